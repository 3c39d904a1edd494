# SPDX-License-Identifier: Apache-2.0
"""Descriptors in fewer bits: what is kept of a unit vector, and the unit vector it stands for."""

from __future__ import annotations

import ctypes
from enum import Enum
import mmap
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

LARGEST = 127     # of the components of a row in int8: each row uses the whole range
_PIECE = 4096     # rows that are looked at once: they may be memory-mapped
_UNIT_TOLERANCE = 1e-3


class Precision(Enum):
    """In what the descriptors of a map are kept; the value is what the user types."""

    FLOAT32 = 'float32'
    FLOAT16 = 'float16'
    INT8 = 'int8'

    @property
    def bytes_each(self) -> int:
        """Bytes of one component."""
        return int(np.dtype(self.value).itemsize)


class StoredRows:
    """N unit descriptors as float16 or int8 `codes` (N, dim); indexing gives float32 unit rows.

    A code row stands for the unit vector of its direction. So int8 needs no scale beside it: a
    row was multiplied by `127 / max |component|` and rounded, and its length takes that back.
    """

    def __init__(self, codes: NDArray[Any]) -> None:
        """Raise ValueError for other codes than float16 or int8, (N, dim)."""
        if codes.dtype not in (np.float16, np.int8) or codes.ndim != 2:
            raise ValueError(f'descriptors of type {codes.dtype} and shape {codes.shape} are '
                             'none of a map')
        self.codes = codes
        self.shape = codes.shape
        self.nbytes = codes.nbytes
        self.precision = Precision(str(codes.dtype))

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        rows = np.asarray(self.codes[index], dtype=np.float32)
        unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
        return unit

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(np.float32 if dtype is None else dtype, copy=False)

    def take(self, rows: NDArray[np.int64]) -> StoredRows:
        """Return some of the rows as they are kept."""
        return StoredRows(np.asarray(self.codes[rows]))


# Of a map: float32 rows, which may lie on disk, or what is kept of them in fewer bits.
Rows = NDArray[np.float32] | StoredRows


def precision_of(rows: Rows) -> Precision:
    """Return in what the rows are kept."""
    return rows.precision if isinstance(rows, StoredRows) else Precision.FLOAT32


def stored(rows: ArrayLike, precision: Precision) -> Rows:
    """Return unit rows (N, dim) as they are kept; float32 ones are not copied.

    The error of a component is at most half a unit in the last place of float16, and
    `max |component| / 254` in int8 before the row is made of unit length again.
    """
    exact = np.asarray(rows, dtype=np.float32)
    if precision is Precision.FLOAT32:
        return exact
    if precision is Precision.FLOAT16:
        return StoredRows(exact.astype(np.float16))
    codes = np.empty(exact.shape, dtype=np.int8)
    for start in range(0, len(exact), _PIECE):
        piece = exact[start:start + _PIECE]
        largest = np.abs(piece).max(axis=1, keepdims=True)
        codes[start:start + _PIECE] = np.rint(piece * (LARGEST / largest))
    return StoredRows(codes)


def taken(rows: Rows, chosen: NDArray[np.int64]) -> Rows:
    """Return some of the rows as they are kept, in memory."""
    return rows.take(chosen) if isinstance(rows, StoredRows) else np.asarray(rows[chosen])


def fault_of(rows: Rows) -> str | None:
    """Return what is wrong with the rows, or None: none is NaN and each stands for a unit one."""
    for start in range(0, len(rows), _PIECE):
        part = slice(start, start + _PIECE)
        if isinstance(rows, StoredRows) and rows.precision is Precision.INT8:
            codes = rows.codes[part]
            largest = np.maximum(codes.max(axis=1), -codes.min(axis=1).astype(np.int16))
            if (largest != LARGEST).any():
                return 'int8 descriptors that do not use their range'
            continue
        floats = rows.codes[part] if isinstance(rows, StoredRows) else rows[part]
        lengths = np.linalg.norm(floats.astype(np.float32, copy=False), axis=1)
        if not (np.abs(lengths - 1.0) <= _tolerance(rows)).all():
            return 'descriptors that are NaN or not of unit length'
    return None


def let_go(rows: Rows) -> None:
    """Give the memory of rows that lie on disk back; they are read again when asked for."""
    base = (rows.codes if isinstance(rows, StoredRows) else rows).base
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)


def trim() -> None:
    """Give the system back what was freed meanwhile, of which glibc keeps tens of megabytes."""
    give_back = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if give_back is not None:
        give_back(0)


def _tolerance(rows: Rows) -> float:
    return _UNIT_TOLERANCE * (1.0 if precision_of(rows) is Precision.FLOAT32 else 2.0)
