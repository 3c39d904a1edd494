# SPDX-License-Identifier: Apache-2.0
import os
import pickle

from hypothesis import given, strategies as st
import numpy as np
import pytest

from vpr_ros.datasets.restricted_npy import read_objects
from vpr_ros.errors import DatasetError


def as_objects(rows):
    table = np.empty((len(rows), 2), object)
    for i, (query, listed) in enumerate(rows):
        table[i, 0], table[i, 1] = query, listed
    return table


@given(st.lists(st.tuples(st.integers(0, 2 ** 40), st.lists(st.integers(0, 10 ** 5), max_size=4)),
                min_size=1, max_size=6))
def test_lists_of_objects_are_read_as_they_were_written(tmp_path_factory, rows):
    file = tmp_path_factory.mktemp('npy') / 'gt.npy'
    np.save(file, as_objects(rows), allow_pickle=True)
    assert read_objects(file) == [[query, listed] for query, listed in rows]


def test_arrays_and_scalars_of_numpy_within_are_numbers(tmp_path):
    table = as_objects([(np.int64(3), np.array([1, 2], np.int32)), (1.5, [np.uint8(7)])])
    np.save(tmp_path / 'gt.npy', table, allow_pickle=True)
    assert read_objects(tmp_path / 'gt.npy') == [[3, [1, 2]], [1.5, [7]]]


def test_a_file_of_python_2_is_read(tmp_path):
    """As VPR-Bench's files are: protocol 2, byte strings, numpy.core.multiarray."""
    pickled = (b'\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00'
               b'\x85U\x01b\x87Rq\x03(K\x01K\x02K\x02\x86cnumpy\ndtype\nq\x04U\x02O8K\x00K\x01'
               b'\x87Rq\x05(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb\x89]q\x06('
               b'K\x00]q\x07(K\x00K\x01eK\x01]q\x08K\x02aetb.')
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (2, 2), }"
    header += b' ' * (117 - len(header)) + b'\n'
    file = tmp_path / 'gt.npy'
    file.write_bytes(b'\x93NUMPY\x01\x00' + len(header).to_bytes(2, 'little') + header + pickled)
    assert read_objects(file) == [[0, [0, 1]], [1, [2]]]


def test_a_plain_array_is_read(tmp_path):
    np.save(tmp_path / 'gt.npy', np.arange(6).reshape(3, 2))
    assert read_objects(tmp_path / 'gt.npy') == [[0, 1], [2, 3], [4, 5]]


class _Runs:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


class _Evaluates:
    def __reduce__(self):
        return np.load, ('elsewhere.npy',)


@pytest.mark.parametrize('inside', [_Runs, lambda marker: _Evaluates(),
                                    lambda marker: np.random.default_rng(0),
                                    lambda marker: {'a': 1}, lambda marker: 'text'])
def test_a_file_that_holds_anything_else_is_refused_and_nothing_is_run(tmp_path, inside):
    marker = tmp_path / 'was run'
    file = tmp_path / 'gt.npy'
    table = as_objects([(0, [0])])
    table[0, 1] = inside(marker)
    with open(file, 'wb') as stream:
        np.lib.format.write_array(stream, table, allow_pickle=True)
    with pytest.raises(DatasetError, match='is a pickle that is not read here .*convert it where'):
        read_objects(file)
    assert not marker.exists()


@pytest.mark.parametrize('cut', [0, 4, 100, 140, 200])
def test_a_cut_file_is_refused(tmp_path, cut):
    file = tmp_path / 'gt.npy'
    np.save(file, as_objects([(i, [i, i + 1]) for i in range(40)]), allow_pickle=True)
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(DatasetError, match=r'gt\.npy is'):
        read_objects(file)


def test_a_file_that_is_no_array_is_refused(tmp_path):
    (tmp_path / 'gt.npy').write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(DatasetError, match='not a .npy file of numbers and lists'):
        read_objects(tmp_path / 'gt.npy')
    with pytest.raises(DatasetError, match='not a .npy file of numbers and lists'):
        read_objects(tmp_path / 'no.npy')
