# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.core.contrast import Contrast, DriveMean

DIM = 64


def unit_rows(seed: int, count: int, dim: int = DIM) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def shifted(rows: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Descriptors of another season: all moved by one vector, and again of unit length."""
    moved = rows + offset
    return (moved / np.linalg.norm(moved, axis=-1, keepdims=True)).astype(np.float32)


@settings(max_examples=30)
@given(st.integers(1, 90), st.integers(0, 1000))
def test_a_place_is_most_like_itself(count, seed):
    """Also where there are more places than dimensions, and fewer."""
    rows = unit_rows(seed, count)
    contrast = Contrast(rows)
    assert len(contrast) == count
    for place in range(0, count, 7):
        similarity = contrast.of(rows[place], contrast.mean)
        assert similarity.shape == (count,)
        if count > 1:
            assert np.argmax(similarity) == place
            assert similarity[place] == pytest.approx(1.0, abs=1e-4)
        assert np.abs(similarity).max() <= 1.0 + 1e-4


@settings(max_examples=15)
@given(st.randoms(use_true_random=False), st.integers(2, 100))
def test_the_order_of_places_does_not_matter(random, count):
    rows, order = unit_rows(5, count), list(range(count))
    random.shuffle(order)
    a, b = Contrast(rows), Contrast(rows[order])
    view = unit_rows(6, 1)[0]
    np.testing.assert_allclose(b.of(view, b.mean), a.of(view, a.mean)[order], atol=1e-4)


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('count', [1, 2, 200])
def test_a_map_that_shows_one_thing_tells_nothing_and_nothing_breaks(count):
    contrast = Contrast(np.repeat(unit_rows(1, 1), count, axis=0))
    for view in unit_rows(2, 3):
        similarity = contrast.of(view, contrast.mean)
        assert np.isfinite(similarity).all()
        assert np.ptp(similarity) < 1e-6


def test_a_place_that_resembles_many_is_worth_less():
    """Half of the map shares a look (a bare wall); a picture of it is torn between its places."""
    wall, own = unit_rows(1, 1)[0], unit_rows(2, 60)
    rows = own.copy()
    rows[:30] = shifted(own[:30], 3.0 * wall)
    contrast = Contrast(rows)
    view = shifted(0.5 * own[3] + 0.5 * own[45], 3.0 * wall)  # of either place as much, and wall
    cosine, similarity = rows @ view, contrast.of(view, contrast.mean)
    assert cosine[:30].min() > cosine[45]     # the cosine only sees that it is a wall
    assert similarity[45] > np.delete(similarity[:30], 3).max()


def test_what_all_of_the_map_shares_says_nothing():
    rows, shared = unit_rows(3, 40), 2.0 * unit_rows(4, 1)[0]
    plain, tinted = Contrast(rows), Contrast(shifted(rows, shared))
    view = shifted(rows[7], shared)
    best = tinted.of(view, tinted.mean)
    assert np.argmax(best) == 7
    assert np.delete(best, 7).max() < 0.6
    assert np.delete(plain.of(rows[7], plain.mean), 7).max() < 0.6


@pytest.mark.parametrize('strength', [1.0, 3.0])
def test_the_mean_of_the_drive_takes_another_season_away(strength):
    """A constant vector on every view of the drive is gone after some steps."""
    rows = unit_rows(5, 80)
    contrast, winter = Contrast(rows), strength * unit_rows(6, 1)[0]
    views = shifted(rows[10:60], winter)
    drive = DriveMean(contrast.mean)
    for view in views[:20]:
        drive.add(view)
    ranks, before = [], []
    for place in range(30, 60):
        drive.add(views[place - 10])
        for mean, into in ((drive.mean, ranks), (contrast.mean, before)):
            similarity = contrast.of(views[place - 10], mean)
            into.append((similarity[place] - similarity.mean()) / similarity.std())
    assert np.min(ranks) > 5.0
    assert np.mean(ranks) > np.mean(before)


def test_the_mean_begins_as_the_maps_and_forgets():
    start, later = np.zeros(DIM, np.float32), unit_rows(7, 1)[0]
    drive = DriveMean(start)
    drive.add(later)
    assert 0.0 < np.linalg.norm(drive.mean) < 0.5   # one view is no season
    for _ in range(500):
        drive.add(later)
    np.testing.assert_allclose(drive.mean, later, atol=1e-3)
    assert (start == 0.0).all()


def test_a_picture_that_never_changes_does_not_become_noise():
    """What is left of a view after the mean has come to it points where it always did."""
    rows = unit_rows(8, 50)
    contrast = Contrast(rows)
    drive = DriveMean(contrast.mean)
    for _ in range(3000):
        drive.add(rows[4])
    similarity = contrast.of(rows[4], drive.mean)
    assert np.isfinite(similarity).all()
    assert np.abs(similarity).max() <= 1.0 + 1e-4


def test_a_large_map_is_whitened_by_a_sample_of_it():
    rows = unit_rows(9, 5000)
    contrast = Contrast(rows)
    for place in (0, 1, 4097, 4999):
        assert np.argmax(contrast.of(rows[place], contrast.mean)) == place
