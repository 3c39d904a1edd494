# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, strategies as st
import numpy as np
import pytest

from vpr_ros.core.place_index import PlaceIndex
from vpr_ros.core.precision import Precision, stored, StoredRows
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
@pytest.mark.parametrize(('places', 'dim'), [
    (1, 16), (30, 1), (60, 31), (1024, 32), (2048, 64), (2049, 64), (2500, 256), (40, 1000),
    (300, 1024)])
def test_each_precision_is_searched_exactly_as_it_is_kept(precision, places, dim):
    """Also where the places fill one piece, or several and a rest, and for any dimension."""
    rows = stored(unit_rows(places, places, dim), precision)
    asked = 3.0 * np.random.default_rng(1).normal(size=dim).astype(np.float32)
    asked[::2] *= 1e-3
    index, expected = PlaceIndex(rows), np.asarray(rows) @ asked
    np.testing.assert_allclose(index.products(asked), expected, atol=3e-5)
    best = np.argsort(-expected, kind='stable')[:20]
    matches = index.search(asked, 20)
    assert [m.similarity for m in matches] == pytest.approx(expected[best].tolist(), abs=3e-5)
    for match in matches:
        assert match.similarity == pytest.approx(float(expected[match.place]), abs=3e-5)


@given(st.integers(0, 1000), st.sampled_from([Precision.FLOAT16, Precision.INT8]),
       st.integers(1, 40), st.booleans())
def test_the_best_are_found_however_unlike_the_lengths_of_codes(seed, precision, count, negative):
    """Rows with one large component have short codes, others long ones: FAISS orders codes."""
    rng = np.random.default_rng(seed)
    spread = np.exp(rng.uniform(0.0, 3.0, (400, 1)))
    rows = unit_rows(seed, 400) + spread * np.eye(16, dtype=np.float32)[rng.integers(16, size=400)]
    index = PlaceIndex(stored(rows / np.linalg.norm(rows, axis=1, keepdims=True), precision))
    asked = np.abs(unit_rows(seed + 1, 1)[0]) * (-1.0 if negative else 1.0)
    products = index.products(asked)
    best = np.lexsort((np.arange(400), -products))[:count]
    assert [match.place for match in index.search(asked, count)] == best.tolist()


@pytest.mark.parametrize('precision', [Precision.FLOAT16, Precision.INT8])
def test_places_that_look_the_same_come_in_their_order(precision):
    rows = stored(np.repeat(unit_rows(3, 1), 9, axis=0), precision)
    matches = PlaceIndex(rows).search(unit_rows(3, 1)[0], 9)
    assert [match.place for match in matches] == list(range(9))


def test_every_code_is_kept_as_it_is():
    codes = np.repeat(np.arange(-127, 128, dtype=np.int8)[:, None], 64, axis=1)
    codes[:, 0] = 127
    for column in (0, 5):
        asked = np.zeros(64, np.float32)
        asked[column] = 1.0
        lengths = np.linalg.norm(codes.astype(float), axis=1)
        np.testing.assert_allclose(PlaceIndex(StoredRows(codes)).products(asked) * lengths,
                                   codes[:, column], atol=1e-4)


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
