# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, strategies as st
import numpy as np
import pytest

from vpr_ros.core.place_index import PlaceIndex
from vpr_ros.errors import MapError


def unit_rows(seed: int, count: int, dim: int = 16) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@given(st.integers(0, 1000), st.integers(1, 80), st.integers(1, 100))
def test_search_is_exact(seed, places, count):
    rows, query = unit_rows(seed, places), unit_rows(seed + 1, 1)[0]
    similarity = rows @ query
    matches = PlaceIndex(rows).search(query, count)
    assert len(matches) == min(count, places)
    np.testing.assert_allclose([m.similarity for m in matches],
                               np.sort(similarity)[::-1][:count], atol=1e-5)
    for match in matches:
        assert match.similarity == pytest.approx(float(similarity[match.place]), abs=1e-5)


@given(st.integers(0, 1000), st.integers(2, 80))
def test_background_is_the_mean_and_spread_over_all_places(seed, places):
    rows, query = unit_rows(seed, places), unit_rows(seed + 1, 1)[0]
    mean, deviation = PlaceIndex(rows).background(query)
    assert mean == pytest.approx(float((rows @ query).mean()), abs=1e-5)
    assert deviation == pytest.approx(float((rows @ query).std()), abs=1e-4)


def test_the_background_of_a_large_map_is_that_of_a_sample():
    rows, query = unit_rows(1, 5000), unit_rows(2, 1)[0]
    mean, deviation = PlaceIndex(rows).background(query)
    assert mean == pytest.approx(float((rows @ query).mean()), abs=0.02)
    assert deviation == pytest.approx(float((rows @ query).std()), rel=0.1)


def test_a_descriptor_of_another_size_is_refused():
    with pytest.raises(MapError, match='among 16-d places'):
        PlaceIndex(unit_rows(0, 3)).search(np.zeros(8, np.float32), 1)
