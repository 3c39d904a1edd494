# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, strategies as st
import numpy as np
import pytest

from vpr_ros.core.place_index import PlaceIndex
from vpr_ros.core.precision import Precision, stored
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


@pytest.mark.parametrize('precision', list(Precision))
@pytest.mark.parametrize('places', [1, 30, 1024, 1025, 2500])
def test_each_precision_is_searched_exactly_as_it_is_kept(precision, places):
    """Also where the places fill one piece, or several and a rest."""
    rows = stored(unit_rows(places, places), precision)
    asked = 3.0 * np.random.default_rng(1).normal(size=16).astype(np.float32)
    index, expected = PlaceIndex(rows), np.asarray(rows) @ asked
    np.testing.assert_allclose(index.products(asked), expected, atol=3e-5)
    best = np.argsort(-expected, kind='stable')[:20]
    matches = index.search(asked, 20)
    assert [m.similarity for m in matches] == pytest.approx(expected[best].tolist(), abs=3e-5)
    for match in matches:
        assert match.similarity == pytest.approx(float(expected[match.place]), abs=3e-5)


@pytest.mark.parametrize('precision', [Precision.FLOAT16, Precision.INT8])
def test_places_that_look_the_same_come_in_their_order(precision):
    rows = stored(np.repeat(unit_rows(3, 1), 9, axis=0), precision)
    matches = PlaceIndex(rows).search(unit_rows(3, 1)[0], 9)
    assert [match.place for match in matches] == list(range(9))


def test_float32_rows_are_searched_where_they_are():
    rows = unit_rows(0, 50)
    index = PlaceIndex(rows)
    rows[7] = unit_rows(9, 1)[0]
    assert index.search(rows[7], 1)[0].place == 7


def test_a_descriptor_of_another_size_is_refused():
    for precision in Precision:
        index = PlaceIndex(stored(unit_rows(0, 3), precision))
        with pytest.raises(MapError, match='among 16-d places'):
            index.search(np.zeros(8, np.float32), 1)
        with pytest.raises(MapError, match='among 16-d places'):
            index.products(np.zeros(8, np.float32))
