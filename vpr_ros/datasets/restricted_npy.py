# SPDX-License-Identifier: Apache-2.0
"""NumPy files of objects, which are pickles, read without running anything that they name.

Such a file may name any function of Python. Here only three names are known, those of arrays,
types and scalars of NumPy, and they stand for inert records of this file: neither NumPy nor
anything else is called. All other names are refused.
"""

from __future__ import annotations

import io
from pathlib import Path
import pickle
from typing import Any

import numpy as np
from numpy.lib import format as npy

from vpr_ros.errors import DatasetError

_RECIPE = ('convert it where you trust it: json.dump([[int(q), [int(p) for p in ps]] for q, ps in '
           "numpy.load(file, allow_pickle=True)], open('ground_truth.json', 'w'))")
_TYPES = {'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f4', 'f8', 'b1'}
_LARGEST_BYTES = 256 << 20


class _Type:
    def __init__(self, code: Any = '', *rest: Any) -> None:
        self.code, self.order = code, '<'

    def __setstate__(self, state: Any) -> None:
        self.order = state[1] if state[1] in ('<', '>') else '<'

    def values(self, data: Any) -> list[Any]:
        """Return the numbers in the bytes of an array."""
        if isinstance(data, str):
            data = data.encode('latin1')
        if self.code not in _TYPES or not isinstance(data, bytes):
            raise pickle.UnpicklingError(f'an array of type {self.code!r}')
        values: list[Any] = np.frombuffer(data, self.order + self.code).tolist()
        return values


class _Array:
    def __init__(self, *shape: Any) -> None:
        self.items: list[Any] = []
        self.shape: tuple[int, ...] = ()

    def __setstate__(self, state: Any) -> None:
        _, self.shape, kind, _, data = state
        self.items = data if isinstance(data, list) else kind.values(data)


class _Scalar:
    def __init__(self, kind: _Type, data: Any) -> None:
        self.items = kind.values(data)


class _NdarrayName:
    """Stands for the class ndarray, which is named and never called."""


_KNOWN: dict[tuple[str, str], type] = {
    (module, name): stand_in
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray')
    for name, stand_in in (('_reconstruct', _Array), ('scalar', _Scalar))}
_KNOWN |= {('numpy', 'dtype'): _Type, ('numpy', 'ndarray'): _NdarrayName}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name."""
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f'the file names {module}.{name}')
        return _KNOWN[module, name]


def read_objects(file: Path) -> list[Any]:
    """Return a .npy file as nested lists of numbers, whether it is plain or of objects.

    Raises DatasetError when it cannot be read, or names anything but arrays and numbers.
    """
    try:
        with open(file, 'rb') as stream:
            version = npy.read_magic(stream)
            header = npy.read_array_header_1_0 if version == (1, 0) else \
                npy.read_array_header_2_0
            shape, _, kind = header(stream)
            data = stream.read(_LARGEST_BYTES)
        if not kind.hasobject:
            plain: list[Any] = np.frombuffer(data, kind).reshape(shape).tolist()
            return plain
        loaded = _Unpickler(io.BytesIO(data), encoding='latin1').load()
        return _plain(loaded, 0)  # type: ignore[no-any-return]
    except pickle.UnpicklingError as error:
        raise DatasetError(f'{file} is a pickle that is not read here ({error}); {_RECIPE}'
                           ) from error
    except (OSError, ValueError, EOFError, TypeError, AttributeError, IndexError, KeyError,
            MemoryError, OverflowError, RecursionError) as error:
        raise DatasetError(f'{file} is not a .npy file of numbers and lists ({error})') from error


def _plain(value: Any, depth: int) -> Any:
    if depth > 8:
        raise ValueError('lists within lists within lists')
    if isinstance(value, _Array):
        items = [_plain(item, depth + 1) for item in value.items]
        return _shaped(items, value.shape)
    if isinstance(value, _Scalar):
        return value.items[0]
    if isinstance(value, (list, tuple)):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, (bool, int, float)):
        return value
    raise pickle.UnpicklingError(f'it holds a {type(value).__name__}')


def _shaped(items: list[Any], shape: tuple[int, ...]) -> Any:
    if len(shape) == 0:
        return items[0]
    if len(shape) == 1 or not items:
        return items
    step = len(items) // shape[0]
    if step * shape[0] != len(items):
        raise ValueError('the shape does not fit')
    return [_shaped(items[i * step:(i + 1) * step], shape[1:]) for i in range(shape[0])]
