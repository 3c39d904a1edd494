# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest
import safetensors.numpy

from vpr_ros.nets.array_spans import spans

onnx = pytest.importorskip('onnx')

ARRAYS = {'conv': np.arange(24, dtype=np.float32).reshape(2, 3, 4), 'half': np.ones(5, np.float16),
          'count': np.array(7, np.int64), 'empty': np.empty((0, 4), np.float32),
          'tiny': np.array([-3, 4], np.int8)}


def graph(constant=None):
    """An ONNX model with ARRAYS as initializers, and a Constant."""
    held = [onnx.numpy_helper.from_array(array, name) for name, array in ARRAYS.items()]
    told = onnx.helper.make_tensor('by hand', onnx.TensorProto.FLOAT, [3], [1.0, 2.0, 3.0])
    node = onnx.helper.make_node('Constant', [], ['c'], value=onnx.numpy_helper.from_array(
        np.full(6, 2.5, np.float32) if constant is None else constant, 'held'))
    made = onnx.helper.make_graph([node], 'g', [], [], initializer=[*held, told])
    return onnx.helper.make_model(made).SerializeToString()


def found(name, data):
    return {span.name: (span, data[span.offset:span.offset + span.size])
            for span in spans(name, memoryview(data))}


def test_the_arrays_of_safetensors_are_found():
    data = safetensors.numpy.save(ARRAYS, {'vpr_ros': 'made'})
    there = found('weights.safetensors', data)
    assert there.keys() == ARRAYS.keys() - {'empty'}
    for name, (span, content) in there.items():
        assert content == ARRAYS[name].tobytes()
        assert (span.shape, span.item_bytes) == (ARRAYS[name].shape, ARRAYS[name].itemsize)


def test_the_arrays_of_a_graph_are_found():
    there = found('model.onnx', graph())
    wanted = {**ARRAYS, 'held': np.full(6, 2.5, np.float32)}
    del wanted['empty']
    assert there.keys() == wanted.keys()  # not those that stand there number by number
    for name, (span, content) in there.items():
        assert content == wanted[name].tobytes()
        assert (span.shape, span.item_bytes) == (wanted[name].shape, wanted[name].itemsize)


def test_other_files_have_none():
    assert spans('card.json', memoryview(graph())) == []


@pytest.mark.parametrize('data', [
    b'', b'{}', bytes(8), b'\xff' * 8, b'\x02' + bytes(7) + b'[]', b'\x04' + bytes(7) + b'null',
    (len(b'{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}')).to_bytes(8, 'little')
    + b'{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}',  # and nothing behind
])
def test_a_file_that_is_not_understood_has_none(data):
    assert spans('weights.safetensors', memoryview(data)) == []


@settings(max_examples=200)
@given(data=st.data(), name=st.sampled_from(['weights.safetensors', 'model.onnx']))
def test_of_a_damaged_file_no_array_lies_outside_it_or_in_another(data, name):
    content = bytearray(safetensors.numpy.save(ARRAYS) if name.startswith('w') else graph())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[:data.draw(st.integers(0, len(content)))]
    end = 0
    for span in spans(name, memoryview(bytes(content))):
        assert span.offset >= end
        end = span.offset + span.size
        assert end <= len(content)


@given(data=st.binary(max_size=200), name=st.sampled_from(['a.safetensors', 'a.onnx']))
def test_any_bytes_are_read_without_complaint(data, name):
    for span in spans(name, memoryview(data)):
        assert span.offset + span.size <= len(data)
