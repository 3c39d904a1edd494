# SPDX-License-Identifier: Apache-2.0
"""k-means in one dimension: few values, the nearest of them, zero nowhere that it was not."""

from hypothesis import given, strategies as st
from hypothesis.extra import numpy as st_np
import numpy as np
import pytest

from vpr_ros.compress import weight_sharing
from vpr_ros.compress.weight_sharing import shared
from vpr_ros.errors import ModelError

FLOATS = st.floats(-1e3, 1e3, width=32, allow_nan=False)
VALUES = st_np.arrays(np.float32, st.integers(0, 60), elements=FLOATS)


def entropy(indices):
    counts = np.bincount(indices)
    p = counts[counts > 0] / len(indices)
    return float(-(p * np.log2(p)).sum())


@given(VALUES, st.integers(1, 9), st.integers(0, 8), st.sampled_from([0.0, 0.04, 0.5]))
def test_there_are_few_values_ascending_and_all_are_used_by_range(values, levels, rounds, coarse):
    book, indices = shared(values, levels, rounds, coarse)
    assert len(book) <= max(min(levels, np.unique(values).size), 0)
    assert (np.diff(book) > 0).all()
    assert indices.shape == values.shape
    assert indices.size == 0 or (indices.min() >= 0 and indices.max() < len(book))
    if values.size:   # means of what they stand for
        assert values.min() <= book[0]
        assert book[-1] <= values.max()


@given(VALUES.filter(len), st.integers(1, 9), st.integers(0, 8))
def test_without_coarseness_each_takes_the_nearest(values, levels, rounds):
    book, indices = shared(values, levels, rounds)
    away = np.abs(values[:, None].astype(np.float64) - book).min(axis=1)
    assert np.abs(values - book[indices].astype(np.float64)) == pytest.approx(away, abs=1e-9)


@given(VALUES, st.integers(0, 3))
def test_few_enough_values_stay_as_they_are(values, spare):
    book, indices = shared(values, max(np.unique(values).size, 1) + spare, 5, 0.5)
    assert np.array_equal(book[indices], values)


def test_three_heaps_are_found_from_a_linear_start():
    rng = np.random.default_rng(0)
    heaps = np.concatenate([rng.normal(at, 0.01, 100) for at in (-1.0, 0.2, 5.0)])
    book, indices = shared(heaps.astype(np.float32), 3, 20)
    assert book == pytest.approx([-1.0, 0.2, 5.0], abs=0.01)
    assert np.bincount(indices).tolist() == [100, 100, 100]


def test_the_gap_of_pruned_weights_gets_no_value():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.uniform(-2.0, -1.0, 500), rng.uniform(1.0, 2.0, 500)])
    book, _ = shared(values.astype(np.float32), 10, 0)
    assert len(book) == 10
    assert book == pytest.approx([-1.9, -1.7, -1.5, -1.3, -1.1, 1.1, 1.3, 1.5, 1.7, 1.9], abs=0.03)


def test_more_rounds_round_less_and_coarser_ones_take_fewer_bits():
    values = np.random.default_rng(0).standard_normal(20_000).astype(np.float32)

    def of(rounds, coarse):
        book, indices = shared(values, 64, rounds, coarse)
        return float(np.sqrt(np.mean((book[indices] - values) ** 2))), entropy(indices)
    none, fitted, coarse, coarser = of(0, 0.0), of(30, 0.0), of(30, 0.08), of(30, 0.2)
    assert fitted[0] < none[0]
    assert fitted[0] < coarse[0] < coarser[0]
    assert fitted[1] > coarse[1] > coarser[1]
    # what is said of `coarse`: about that share of the spread
    assert coarse[0] == pytest.approx(0.08, rel=0.3)
    assert coarser[0] == pytest.approx(0.2, rel=0.3)


def test_large_layers_are_fitted_by_a_part(monkeypatch):
    values = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    values[4999] = 40.0   # between those that are looked at
    whole = shared(values, 16, 10)
    monkeypatch.setattr(weight_sharing, '_MOST_FITTED', 1000)
    part = shared(values, 16, 10)
    rounding = [np.sqrt(np.mean((book[which] - values) ** 2)) for book, which in (whole, part)]
    assert rounding[1] == pytest.approx(rounding[0], rel=0.1)
    assert part[0][-1] > 30.0
    few = np.tile(np.float32([1.0, -2.0, 3.0]), 1000)
    assert shared(few, 4, 5)[0].tolist() == [-2.0, 1.0, 3.0]


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(bad):
    with pytest.raises(ModelError, match='a weight is not finite'):
        shared(np.float32([0.0, bad]), 4, 5)
    with pytest.raises(ModelError, match='cannot share 0 values'):
        shared(np.float32([1.0]), 0, 5)
