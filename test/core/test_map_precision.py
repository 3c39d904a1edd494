# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.core.calibration import Calibration
from vpr_ros.core.confidence import Confidence
from vpr_ros.core.contrast import Contrast
from vpr_ros.core.left_out import part_of
from vpr_ros.core.localizer import Localizer, LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.precision import Precision, stored
from vpr_ros.errors import MapError

CONFIG = LocalizerConfig()
FEWER = [Precision.FLOAT16, Precision.INT8]


def unit_rows(seed, count, dim):
    rows = np.random.default_rng(seed).normal(size=(count, dim)) + 0.5
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(1, 90), st.sampled_from([8, 64, 600]),
       st.sampled_from(FEWER))
def test_the_contrast_of_kept_rows_is_that_of_what_they_stand_for(seed, count, dim, precision):
    """Turning the view or whitening the rows is the same, whatever the drive looks like."""
    rows = stored(unit_rows(seed, count, dim), precision)
    turned, whitened = Contrast(rows), Contrast(np.asarray(rows))
    assert len(turned) == len(whitened) == count
    np.testing.assert_allclose(turned.mean, whitened.mean, atol=1e-7)
    for view in unit_rows(seed + 1, 3, dim):
        for mean in (turned.mean, view * 0.3):
            np.testing.assert_allclose(turned.of(view, mean), whitened.of(view, mean), atol=1e-3)


@pytest.mark.parametrize('precision', FEWER)
def test_contrast_tells_places_apart_as_well_with_fewer_bits(precision):
    rows = unit_rows(1, 3000, 64)
    few, exact = Contrast(stored(rows, precision)), Contrast(rows)
    view = rows[1234] + 0.05 * unit_rows(2, 1, 64)[0]
    a, b = few.of(view, few.mean), exact.of(view, exact.mean)
    assert a.argmax() == b.argmax() == 1234
    assert np.abs(a - b).max() < 0.03


def drive(place_map, describer, view, places):
    localizer = Localizer(CONFIG, place_map, describer)
    return [localizer.localize(view(place, i), lambda stamp_ns, i=i: se3.from_xy_yaw(i, 0, 0))
            for i, place in enumerate(places)]


@pytest.mark.parametrize('precision', FEWER)
def test_a_drive_ends_as_with_every_bit(corridor, describer, view, tmp_path, precision):
    """Also when the map was saved and loaded meanwhile."""
    places = [*range(10, 30), 40.5, 41.5, 200, 201, 202]
    exact = drive(corridor, describer, view, places)
    corridor.at(precision).save(tmp_path / 's.map')
    for small in (corridor.at(precision), PlaceMap.load(tmp_path / 's.map')):
        outcomes = drive(small, describer, view, places)
        assert [o.reason for o in outcomes] == [o.reason for o in exact]
        for one, other in zip(outcomes, exact, strict=True):
            assert one.matches[0].place == other.matches[0].place
            assert one.matches[0].similarity == pytest.approx(other.matches[0].similarity,
                                                              abs=5e-3)
            assert one.unknown_probability == pytest.approx(other.unknown_probability, abs=0.02)


@pytest.mark.parametrize('precision', list(Precision))
def test_a_part_of_a_map_keeps_its_precision(corridor, precision):
    part = part_of(corridor.at(precision), np.array([4, 2]))
    assert part.precision is precision
    np.testing.assert_array_equal(np.asarray(part.descriptors),
                                  np.asarray(corridor.at(precision).descriptors)[[4, 2]])


def as_child(describer, **changes):
    """A describer that gives the same descriptors, and says that it is another model."""
    own = describer.card.digest
    card = replace(describer.card, **{'name': 'child', 'digest': 'cd' * 32,
                                      'queries_maps_of': (own,), **changes})
    return type(describer)(card)


def test_a_child_asks_the_map_of_its_parent(corridor, describer, view):
    child = as_child(describer)
    assert ([o.matches for o in drive(corridor, child, view, range(5, 9))]
            == [o.matches for o in drive(corridor, describer, view, range(5, 9))])
    with pytest.raises(MapError, match='built by model toy .*not by child .*use that model'):
        Localizer(CONFIG, corridor, as_child(describer, queries_maps_of=()))
    with pytest.raises(MapError, match='not by child .*may also ask maps of 121212121212'):
        Localizer(CONFIG, corridor, as_child(describer, queries_maps_of=('12' * 32,)))
    with pytest.raises(MapError, match='256-d descriptors, and child .* gives 128-d'):
        Localizer(CONFIG, corridor, as_child(describer, dim=128))


def test_a_calibration_by_one_model_is_not_used_for_another(corridor, describer):
    sure = Calibration(Confidence(20.0, 0.0, 0.0, 0.0, 0.0, 0.0), 0.5, settings=CONFIG.settings())
    child, own = as_child(describer), replace(corridor, calibration=sure)
    by_child = replace(corridor, calibration=replace(sure, model='cd' * 32))
    used = {(model, who): Localizer(CONFIG, place_map, asks)
            for model, place_map in (('own', own), ('child', by_child))
            for who, asks in (('own', describer), ('child', child))}
    assert used['own', 'own'].threshold == used['child', 'child'].threshold == 0.5
    for models in (('own', 'child'), ('child', 'own')):
        assert used[models].calibration is None
        assert used[models].threshold == Calibration().threshold
    assert used['own', 'child'].unlike_calibration == (
        f'the model is cdcdcdcdcdcd, not {describer.card.digest[:12]}')
