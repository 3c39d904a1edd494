# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
import numpy as np
import pytest

from vpr_ros.core.map_memory import descriptor_bytes, map_bytes, memory_use
from vpr_ros.core.precision import (
    fault_of,
    LARGEST,
    let_go,
    Precision,
    precision_of,
    stored,
    StoredRows,
    taken,
)
from vpr_ros.errors import MapError

FEWER = [Precision.FLOAT16, Precision.INT8]


@st.composite
def unit_rows(draw) -> np.ndarray:
    """Any directions: spread over all components, or nearly along one of them."""
    count, dim = draw(st.integers(1, 6)), draw(st.integers(1, 300))
    raw = draw(arrays(np.float32, (count, dim), elements=st.floats(-1, 1, width=32)))
    raw[:, draw(st.integers(0, dim - 1))] += draw(st.sampled_from([2.0, -2.0, 50.0]))
    return (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)


@given(unit_rows(), st.sampled_from(FEWER))
def test_what_comes_back_is_of_unit_length_and_near(rows, precision):
    kept = stored(rows, precision)
    back = np.asarray(kept)
    assert back.dtype == np.float32
    assert precision_of(kept) is precision
    assert fault_of(kept) is None
    np.testing.assert_allclose(np.linalg.norm(back, axis=1), 1.0, atol=1e-6)
    largest = np.abs(rows).max(axis=1, keepdims=True)
    step = largest / LARGEST if precision is Precision.INT8 else np.maximum(
        np.abs(rows) * 2.0 ** -10, 2.0 ** -24)
    # Half a step of each component, and what they make of the length altogether.
    length = np.sqrt(((0.5 * step * np.ones_like(rows)) ** 2).sum(axis=1, keepdims=True))
    assert (np.abs(back - rows) <= 0.5 * step + 2.0 * length * np.abs(rows) + 1e-6).all()


@given(unit_rows())
def test_to_keep_as_int8_what_was_kept_so_changes_nothing(rows):
    once = stored(rows, Precision.INT8)
    twice = stored(np.asarray(once), Precision.INT8)
    np.testing.assert_array_equal(twice.codes, once.codes)


@given(st.integers(0, 1000), st.sampled_from([64, 1024]))
def test_a_similarity_changes_by_little(seed, dim):
    rng = np.random.default_rng(seed)
    rows, asked = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in
                   (rng.normal(size=(20, dim)), rng.normal(size=(5, dim))))
    for precision, most in ((Precision.FLOAT16, 5e-4), (Precision.INT8, 8e-3)):
        back = np.asarray(stored(rows, precision))
        assert np.abs(back @ asked.T - rows @ asked.T).max() < most


def test_rows_are_read_as_an_array_is():
    rows = np.eye(5, dtype=np.float32)[[0, 3, 1]]
    for precision in FEWER:
        kept = stored(rows, precision)
        np.testing.assert_array_equal(kept[1], rows[1])
        np.testing.assert_array_equal(kept[np.array([2, 0])], rows[[2, 0]])
        np.testing.assert_array_equal(kept[::2], rows[::2])
        np.testing.assert_array_equal(np.ascontiguousarray(kept, dtype=np.float32), rows)
        part = taken(kept, np.array([2]))
        assert isinstance(part, StoredRows)
        np.testing.assert_array_equal(part[0], rows[2])
        assert (len(kept), kept.shape, kept.nbytes) == (3, (3, 5), 15 * precision.bytes_each)


def test_float32_rows_are_not_copied():
    rows = np.eye(3, dtype=np.float32)
    assert stored(rows, Precision.FLOAT32) is rows


@pytest.mark.parametrize(('codes', 'words'), [
    (np.array([[127, 3], [0, 0]], np.int8), 'do not use their range'),
    (np.array([[126, 3]], np.int8), 'do not use their range'),
    (np.array([[-128, 127]], np.int8), 'do not use their range'),
    (np.array([[1.0, np.nan]], np.float16), 'NaN or not of unit length'),
    (np.array([[1.0, np.inf]], np.float16), 'NaN or not of unit length'),
    (np.array([[0.5, 0.5]], np.float16), 'NaN or not of unit length'),
])
def test_rows_that_stand_for_no_unit_vector_are_found(codes, words):
    assert words in fault_of(StoredRows(codes))
    good = np.array([[127, 3], [-127, 9]], np.int8) if codes.dtype == np.int8 else np.array(
        [[0.6, 0.8]], np.float16)
    assert fault_of(StoredRows(good)) is None


def test_codes_of_another_type_are_refused():
    with pytest.raises(ValueError, match='type uint8'):
        StoredRows(np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match=r'shape \(2,\)'):
        StoredRows(np.zeros(2, np.int8))


def test_rows_on_disk_are_let_go_and_come_back(tmp_path):
    np.save(tmp_path / 'rows.npy', np.eye(64, dtype=np.float16))
    kept = StoredRows(np.load(tmp_path / 'rows.npy', mmap_mode='r'))
    assert fault_of(kept) is None
    let_go(kept)
    np.testing.assert_array_equal(np.asarray(kept), np.eye(64))
    let_go(np.eye(3, dtype=np.float32))   # in memory: nothing to give back


def test_memory_counts_what_is_held():
    assert descriptor_bytes(1000, 512, Precision.INT8) == 512_000
    assert descriptor_bytes(1000, 512, Precision.FLOAT32) == 4 * 512_000
    assert map_bytes(1000, 1024, Precision.FLOAT32) == 4 * (1024_000 + 512 * 1024 + 512_000)
    assert map_bytes(1000, 1024, Precision.INT8) == 1024_000 + 4 * (512 * 1024 + 2000)
    assert map_bytes(10, 1024, Precision.FLOAT16) == 20_480 + 4 * (10 * 1024 + 20)
    use = memory_use(7, 1000, 64, Precision.FLOAT16)
    assert use.total_bytes == 7 + map_bytes(1000, 64, Precision.FLOAT16)
    with pytest.raises(MapError, match='0 places of 64'):
        map_bytes(0, 64, Precision.INT8)
