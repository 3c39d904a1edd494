# SPDX-License-Identifier: Apache-2.0
"""Arrays as they are packed: few distinct values as codebook, indices and gaps; others whole.

In the manner of Deep Compression (Han et al., ICLR 2016), with every bit kept: -0.0, NaN and
whatever else stands in an array comes back as it was. Entropy coding is `byte_streams`' part.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_LEVELS = 256
# A prefix code spends a bit at least on every zero: with more zeros, gaps cost less.
SPARSE_FROM = 0.45
ITEM_BYTES = (1, 2, 4, 8)
_STRIDE = 255        # the longest step of one byte; 0 stands for such a step to no value
_BLOCK = 1 << 18     # values at a time: what fits into caches
_LOOK = 4096         # values that show whether an array has many different ones

Unsigned = NDArray[Any]  # '<u1', '<u2', '<u4' or '<u8'
Bytes = NDArray[np.uint8]


class Kind(Enum):
    """How an array is stored; the value is what the file says."""

    PLAIN = 'p'   # all its items
    DENSE = 'd'   # a codebook, and an index for each item
    SPARSE = 's'  # a codebook, and an index and the step to it for each item that is not zero


@dataclass(frozen=True)
class ArrayPlan:
    """Sizes of an array and of its parts.

    `levels` entries in the codebook; indices count from its entry `zero`, +0 or what comes next,
    and wrap at 256. `values` items that are not zero, `steps` bytes that lead to them.
    """

    item_bytes: int
    count: int
    kind: Kind
    levels: int = 0
    zero: int = 0
    values: int = 0
    steps: int = 0

    def __post_init__(self) -> None:
        if self.item_bytes not in ITEM_BYTES or self.count < 1:
            raise ValueError(f'an array of {self.count} items of {self.item_bytes} bytes')
        fits = {Kind.PLAIN: not (self.levels or self.zero or self.values or self.steps),
                Kind.DENSE: not (self.values or self.steps),
                Kind.SPARSE: self.values <= min(self.steps, self.count)
                and _STRIDE * (self.steps - self.values) < self.count
                and self.zero < self.levels}[self.kind]
        shared = self.kind is not Kind.PLAIN
        if not fits or (shared and not (1 <= self.levels <= MAX_LEVELS
                                       and 0 <= self.zero <= self.levels)):
            raise ValueError(f'an array that cannot be: {self}')

    @property
    def size(self) -> int:
        """Bytes of the array."""
        return self.count * self.item_bytes

    @property
    def symbols(self) -> int:
        """How many indices are stored; none where all items are equal."""
        if self.kind is Kind.DENSE:
            return self.count if self.levels > 1 else 0
        return self.values


@dataclass(frozen=True, eq=False)
class CodedArray:
    """An array and its parts; which are empty, `plan` tells.

    `codebook` holds the differences of the distinct values, sorted: neighbors are alike.
    """

    plan: ArrayPlan
    plain: Unsigned
    codebook: Unsigned
    symbols: Bytes
    steps: Bytes


def unsigned(item_bytes: int) -> np.dtype[Any]:
    """Return the little-endian unsigned type that items are handled as."""
    return np.dtype(f'<u{item_bytes}')


def encode(items: Unsigned) -> CodedArray:
    """Return the parts of a non-empty array, (N,) of the bits of any type as unsigned."""
    nothing, no_bytes = items[:0], np.empty(0, np.uint8)
    codebook = _codebook(items)
    if codebook is None or 2 * len(codebook) > len(items):  # a codebook would not pay
        return CodedArray(ArrayPlan(items.itemsize, len(items), Kind.PLAIN), items, nothing,
                          no_bytes, no_bytes)
    zero = int(np.searchsorted(codebook, _ordered(items.dtype.type(0))))
    deltas = np.diff(codebook, prepend=items.dtype.type(0))
    levels, symbols = len(codebook), no_bytes
    if levels > 1:
        symbols = np.concatenate([
            (np.searchsorted(codebook, _ordered(block)) - zero).astype(np.uint8)
            for block in _blocks(items)])
        if items.size - np.count_nonzero(items) >= SPARSE_FROM * items.size:
            places = np.flatnonzero(symbols)
            steps = _steps(places)
            plan = ArrayPlan(items.itemsize, len(items), Kind.SPARSE, levels, zero, len(places),
                             len(steps))
            return CodedArray(plan, nothing, deltas, symbols[places], steps)
    plan = ArrayPlan(items.itemsize, len(items), Kind.DENSE, levels, zero)
    return CodedArray(plan, nothing, deltas, symbols, no_bytes)


def decode(coded: CodedArray) -> Unsigned:
    """Return the array of its parts, (count,); raises ValueError for steps that lead outside."""
    plan = coded.plan
    if plan.kind is Kind.PLAIN:
        return coded.plain
    kind = unsigned(plan.item_bytes)
    codebook = _disordered(np.cumsum(coded.codebook, dtype=kind))
    if plan.kind is Kind.DENSE and plan.levels == 1:
        return np.full(plan.count, codebook[0])
    by_symbol = np.zeros(MAX_LEVELS, kind)
    by_symbol[(np.arange(plan.levels) - plan.zero) % MAX_LEVELS] = codebook
    if plan.kind is Kind.DENSE:
        return by_symbol.take(coded.symbols)
    items = np.zeros(plan.count, kind)
    at, done = -1, 0
    for block in _blocks(coded.steps):
        reached = np.cumsum(block, dtype=np.intp)
        if not block.all():  # strides to no value
            walked = np.cumsum(np.where(block == 0, _STRIDE, block), dtype=np.intp)
            last, reached = int(walked[-1]), walked[block != 0]
        else:
            last = int(reached[-1])
        reached += at
        at += last
        if at >= plan.count or done + len(reached) > plan.values:
            raise ValueError('steps that lead outside their array')
        items[reached] = by_symbol.take(coded.symbols[done:done + len(reached)])
        done += len(reached)
    if done != plan.values:
        raise ValueError('steps to fewer values than there are')
    return items


def _codebook(items: Unsigned) -> Unsigned | None:
    """Return the distinct values, ordered; None where there are more than MAX_LEVELS."""
    known = np.unique(_ordered(items[:_LOOK]))
    for block in _blocks(items):
        if len(known) > MAX_LEVELS:
            return None
        ordered = _ordered(block)
        nearest = known[np.minimum(np.searchsorted(known, ordered), len(known) - 1)]
        if (missing := ordered[nearest != ordered]).size:
            known = np.union1d(known, missing)
    return known if len(known) <= MAX_LEVELS else None


def _ordered(items: Any) -> Any:
    """Return numbers that sort as floats of these bits do; -0.0 stands just below +0.0."""
    top = items.dtype.type(1 << (8 * items.dtype.itemsize - 1))
    return np.where(items & top, ~items, items | top)


def _disordered(ordered: Unsigned) -> Unsigned:
    """Undo `_ordered`."""
    top = ordered.dtype.type(1 << (8 * ordered.itemsize - 1))
    return np.where(ordered & top, ordered ^ top, ~ordered)


def _steps(places: NDArray[np.intp]) -> Bytes:
    """Return the bytes that lead from before the array to each of these sorted places."""
    ahead = np.diff(places, prepend=-1)
    strides = (ahead - 1) // _STRIDE
    ends = np.cumsum(strides + 1) - 1
    steps = np.zeros(int(ends[-1]) + 1 if len(ends) else 0, np.uint8)
    steps[ends] = ahead - _STRIDE * strides
    return steps


def _blocks(items: Any) -> Any:
    return (items[start:start + _BLOCK] for start in range(0, len(items), _BLOCK))
