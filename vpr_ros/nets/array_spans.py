# SPDX-License-Identifier: Apache-2.0
"""Where the arrays lie in the files of a model folder: safetensors and ONNX, read by NumPy alone.

The robot has no `onnx`; of protobuf's wire format only what leads to a tensor's bytes is read.
A file that is not understood has no arrays, and is packed as bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import json
import math

_SAFETENSORS = {'F64': 8, 'I64': 8, 'U64': 8, 'F32': 4, 'I32': 4, 'U32': 4, 'F16': 2, 'BF16': 2,
                'I16': 2, 'U16': 2, 'I8': 1, 'U8': 1, 'BOOL': 1}
# TensorProto.DataType -> bytes
_ONNX = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
_GRAPH, _NODE, _INITIALIZER, _ATTRIBUTE, _TENSOR = 7, 1, 5, 5, 5
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = 1, 2, 8, 9
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Span:
    """An array within a file: its first byte, its items and shape."""

    name: str
    offset: int
    item_bytes: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of the array."""
        return self.item_bytes * math.prod(self.shape)


def spans(name: str, data: memoryview) -> list[Span]:
    """Return the arrays of a file that is called `name`, in the order in which they lie there."""
    read = {'safetensors': _safetensors, 'onnx': _onnx}.get(name.rpartition('.')[2])
    if read is None:
        return []
    try:
        found = sorted(read(data), key=lambda span: span.offset)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return []
    apart, end = [], 0
    for span in found:
        if span.size and span.offset >= end and span.offset + span.size <= len(data):
            apart.append(span)
            end = span.offset + span.size
    return apart


def _safetensors(data: memoryview) -> Iterator[Span]:
    start = 8 + int.from_bytes(data[:8], 'little')
    header = json.loads(bytes(data[8:start]))
    for name, entry in header.items():
        if name == '__metadata__' or entry['dtype'] not in _SAFETENSORS:
            continue
        begin, end = entry['data_offsets']
        span = Span(name, start + begin, _SAFETENSORS[entry['dtype']], tuple(entry['shape']))
        if span.size == end - begin:
            yield span


def _onnx(data: memoryview) -> Iterator[Span]:
    """Yield the initializers, and the tensors that nodes hold (Constant)."""
    for graph in _parts(data, (0, len(data)), _GRAPH):
        for tensor in _parts(data, graph, _INITIALIZER):
            yield from _tensor(data, tensor)
        for node in _parts(data, graph, _NODE):
            for attribute in _parts(data, node, _ATTRIBUTE):
                for tensor in _parts(data, attribute, _TENSOR):
                    yield from _tensor(data, tensor)


def _tensor(data: memoryview, where: tuple[int, int]) -> Iterator[Span]:
    shape: list[int] = []
    item_bytes, name, raw = 0, '', None
    for field, wire, value, end in _fields(data, *where):
        if field == _DIMS and wire == _VARINT:
            shape.append(value)
        elif field == _DIMS and wire == _BYTES:  # packed
            while value < end:
                dim, value = _varint(data, value, end)
                shape.append(dim)
        elif field == _DATA_TYPE:
            item_bytes = _ONNX.get(value, 0)
        elif field == _NAME:
            name = bytes(data[value:end]).decode(errors='replace')
        elif field == _RAW_DATA:
            raw = (value, end)
    if raw is not None and item_bytes:
        span = Span(name, raw[0], item_bytes, tuple(shape))
        if span.size == raw[1] - raw[0]:
            yield span


def _parts(data: memoryview, where: tuple[int, int], number: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each message that is field `number` of another."""
    return ((start, end) for field, wire, start, end in _fields(data, *where)
            if field == number and wire == _BYTES)


def _fields(data: memoryview, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (field, wire type, start, end) of bytes, and (field, wire type, value, 0) of varints.

    Raises ValueError where this is no message.
    """
    while at < end:
        key, at = _varint(data, at, end)
        field, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(data, at, end)
            yield field, wire, value, 0
        elif wire == _BYTES:
            length, at = _varint(data, at, end)
            if length > end - at:
                raise ValueError('a field that ends behind its message')
            yield field, wire, at, at + length
            at += length
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f'there is no wire type {wire}')


def _varint(data: memoryview, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 64:
        byte = data[at]
        at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
        if byte < 128:
            return value, at
    raise ValueError('a number that does not end')
