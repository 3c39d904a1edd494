# SPDX-License-Identifier: Apache-2.0
import math

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.datasets.places import grouped, joined, NOWHERE, place_numbers, Places
from vpr_ros.datasets.run import LazyImages
from vpr_ros.datasets.utm import compass_to_rad, utm_m, zone_of
from vpr_ros.datasets.world_places import SpotConfig, world_places
from vpr_ros.errors import DatasetError

coordinate = st.floats(-30.0, 30.0, allow_subnormal=False)


def images(count, first=0):
    return LazyImages(count, lambda i: np.full((2, 2, 3), first + i, np.uint8))


def places(numbers, name='some', first=0):
    return Places(name, images(len(numbers), first), np.array(numbers),
                  np.zeros((len(numbers), 2)), np.zeros(len(numbers)), 'by hand')


@settings(max_examples=60)
@given(st.lists(st.tuples(coordinate, coordinate, st.floats(-3.0, 3.0)), max_size=40),
       st.floats(0.5, 10.0), st.floats(5.0, 180.0), st.floats(1.0, 3.0))
def test_a_place_is_small_and_places_are_apart(rows, place_m, place_deg, wider):
    positions = np.array([row[:2] for row in rows]).reshape(-1, 2)
    headings = np.array([row[2] for row in rows])
    numbers = place_numbers(positions, headings, place_m, place_deg, wider * place_m)
    founders = {int(n): int(np.flatnonzero(numbers == n)[0]) for n in set(numbers) - {NOWHERE}}
    assert sorted(founders) == list(range(len(founders)))

    def apart(a, b):
        turn = abs(math.remainder(headings[a] - headings[b], math.tau))
        return math.dist(positions[a], positions[b]), turn <= math.radians(place_deg)
    for row, number in enumerate(numbers):
        if number == NOWHERE:
            assert any(far <= wider * place_m + 1e-9 and alike for far, alike in
                       (apart(row, founder) for founder in founders.values()))
        else:
            far, alike = apart(row, founders[int(number)])
            assert far <= place_m
            assert alike
    for a in founders.values():
        for b in founders.values():
            far, alike = apart(a, b)
            assert a == b or far > wider * place_m - 1e-9 or not alike


def test_an_image_belongs_to_the_nearest_founder_and_those_between_to_none():
    x = np.array([0.0, 0.4, 1.5, 2.5, 2.1])
    numbers = place_numbers(np.stack([x, 0 * x], axis=1), None, 1.0)
    assert numbers.tolist() == [0, 0, NOWHERE, 1, 1]


def test_two_ways_through_one_spot_are_two_places():
    numbers = place_numbers(np.zeros((3, 2)), np.array([0.0, math.pi, -math.pi + 0.1]), 1.0, 30.0)
    assert numbers.tolist() == [0, 1, 1]


@pytest.mark.parametrize('limits', [(0.0, 10.0, None), (1.0, 0.0, None), (1.0, 10.0, 0.5)])
def test_limits_that_make_no_sense_are_refused(limits):
    with pytest.raises(DatasetError, match='places need a positive size'):
        place_numbers(np.zeros((1, 2)), None, *limits)


def test_grouped_leaves_out_what_lies_between_and_says_so():
    x = np.array([0.0, 0.4, 1.5, 2.5])
    made = grouped('line', images(4), np.stack([x, 0 * x], axis=1), None, 'a line', 1.0)
    assert made.place_of.tolist() == [0, 0, 1]
    assert [int(image[0, 0, 0]) for image in made.images] == [0, 1, 3]
    assert 'within 1 m of its first image, places are 2 m apart' in made.protocol
    with pytest.raises(DatasetError, match="no place of 'line' has 3 images; the most"):
        made.at_least(3)
    assert made.at_least(2).place_of.tolist() == [0, 0]


def test_sets_are_joined_without_mixing_their_places():
    both = joined('both', [places([0, 0, 2]), places([1, 0], first=10)])
    assert both.place_of.tolist() == [0, 0, 2, 4, 3]
    assert [int(image[0, 0, 0]) for image in both.images] == [0, 1, 2, 10, 11]
    assert {number: rows.tolist() for number, rows in both.rows_by_place().items()} == {
        0: [0, 1], 2: [2], 3: [4], 4: [3]}
    with pytest.raises(DatasetError, match='made of no sets'):
        joined('none', [])


@pytest.mark.parametrize(('change', 'said'), [
    ({'place_of': np.array([0, -1])}, 'numbers from 0'),
    ({'place_of': np.array([0])}, 'has 2 images but places of shape'),
    ({'positions_m': np.zeros((2, 4))}, 'are not 2 finite rows'),
    ({'positions_m': np.full((2, 2), np.nan)}, 'are not 2 finite rows'),
    ({'headings_rad': np.zeros(3)}, 'are not 2 finite numbers'),
])
def test_records_that_contradict_themselves_are_refused(change, said):
    fields = {'name': 'odd', 'images': images(2), 'place_of': np.array([0, 1]),
              'positions_m': None, 'headings_rad': None, 'protocol': ''}
    with pytest.raises(DatasetError, match=said):
        Places(**{**fields, **change})


def test_utm_gives_known_coordinates():
    # The example of the package utm.
    example = utm_m(np.array([51.2]), np.array([7.5]), 32)[0]
    assert example == pytest.approx([395_201.3103811303, 5_673_135.241182375], abs=1e-3)
    south = utm_m(np.array([-51.2]), np.array([7.5]), 32)[0]
    assert south == pytest.approx([example[0], 10_000_000.0 - example[1]], abs=1e-6)
    equator = utm_m(np.array([0.0]), np.array([3.0]), 31)[0]
    assert equator == pytest.approx([500_000.0, 0.0], abs=1e-6)
    # The meridian arc to 60 degrees north is 6,654,072.819 m on WGS 84.
    arc = utm_m(np.array([60.0]), np.array([3.0]), 31)[0, 1] / 0.9996
    assert arc == pytest.approx(6_654_072.819, abs=0.002)
    assert (zone_of(-180.0), zone_of(13.4), zone_of(179.9)) == (1, 33, 60)


@given(st.floats(-70.0, 70.0), st.floats(-2.5, 2.5))
def test_a_metre_on_the_grid_is_a_metre_on_the_ground(latitude, off):
    step_deg = 1e-4
    here = utm_m(np.array([latitude, latitude + step_deg, latitude]),
                 np.array([3.0 + off, 3.0 + off, 3.0 + off + step_deg]), 31)
    sine = math.sin(math.radians(latitude + step_deg / 2))
    e2 = 0.00669437999014
    north_m = math.radians(step_deg) * 6378137.0 * (1 - e2) / (1 - e2 * sine ** 2) ** 1.5
    assert math.dist(here[0], here[1]) == pytest.approx(north_m, rel=1.5e-3)
    sine = math.sin(math.radians(latitude))
    east_m = math.radians(step_deg) * 6378137.0 * math.cos(math.radians(latitude)) / math.sqrt(
        1 - e2 * sine ** 2)
    assert math.dist(here[0], here[2]) == pytest.approx(east_m, rel=1.5e-3)


def test_compass_bearings_become_headings():
    assert compass_to_rad(np.array([90.0, 0.0, 180.0, 360.0])) == pytest.approx(
        [0.0, math.pi / 2, -math.pi / 2, math.pi / 2])


def test_a_world_gives_spots_on_several_days_and_again_the_same():
    config = SpotConfig(spots=3, views=2, size_px=(48, 64))
    made, again = (world_places(5, config=config) for _ in range(2))
    assert made.place_of.tolist() == [0, 1, 2, 0, 1, 2]
    first = [made.images[i] for i in (0, 3)]
    assert first[0].shape == (48, 64, 3)
    assert not np.array_equal(first[0], first[1])
    assert np.array_equal(first[0], again.images[0])
    distance = np.linalg.norm(made.positions_m[:3, None] - made.positions_m[None, 3:], axis=2)
    assert np.diag(distance).max() <= 2 * config.aside_m
    assert (distance + 99 * np.eye(3)).min() > 2 * config.aside_m
    with pytest.raises(DatasetError, match='spots need at least one view'):
        SpotConfig(views=0)
