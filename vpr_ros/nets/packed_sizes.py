# SPDX-License-Identifier: Apache-2.0
"""Where the bytes of a packed model went: by kind, and by array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpr_ros.nets.array_code import CodedArray, encode, Kind
from vpr_ros.nets.model_folder import WEIGHTS
from vpr_ros.nets.packed_format import Header, STREAMS


@dataclass(frozen=True)
class ArraySize:
    """An array of `count` items, and the bytes that it takes packed; levels 0: stored whole.

    A stream holds the parts of all arrays. Its bytes are told apart by the arrays' entropies.
    """

    name: str
    count: int
    item_bytes: int
    levels: int
    zeros: int
    codebook_bytes: float
    index_bytes: float
    gap_bytes: float
    plain_bytes: float

    @property
    def packed_bytes(self) -> float:
        """Bytes of the array in the packed file."""
        return self.codebook_bytes + self.index_bytes + self.gap_bytes + self.plain_bytes

    @property
    def bits(self) -> float:
        """Bits for each item, its share of the codebook in it."""
        return 8 * self.packed_bytes / self.count


@dataclass(frozen=True)
class PackedSizes:
    """Bytes of a packed file, of what it was, and of its parts.

    `weights_bytes` is the weights file alone; the folder holds the same weights once more, in
    its graphs. `rest_bytes`: graphs without arrays, the card, names, digests.
    """

    file_bytes: int
    folder_bytes: int
    weights_bytes: int
    codebook_bytes: int
    index_bytes: int
    gap_bytes: int
    plain_bytes: int
    rest_bytes: int
    arrays: tuple[ArraySize, ...]

    @property
    def ratio(self) -> float:
        """How many times as large the weights file is, safetensors in float32 as a rule."""
        return self.weights_bytes / self.file_bytes


def sizes_of(names: Sequence[str], coded: Sequence[CodedArray], header: Header, file_bytes: int
             ) -> PackedSizes:
    """Return the sizes of a packed file from its header and its arrays."""
    stored = {name: sum(frames) for name, frames in header.frames.items()}
    wanted = [_wanted(each) for each in coded]
    totals = {name: sum(each[name] for each in wanted) for name in stored}
    arrays = tuple(
        _array_size(name, each, {stream: stored[stream] * bits / totals[stream]
                                 for stream, bits in own.items() if totals[stream]})
        for name, each, own in zip(names, coded, wanted, strict=True))
    codebooks, plain = (sum(size for name, size in stored.items() if name.startswith(kind))
                        for kind in ('codebook', 'plain'))
    weights = next(file.size for file in header.files if file.name == WEIGHTS)
    return PackedSizes(
        file_bytes, header.size, weights, codebooks, stored['symbols'], stored['steps'], plain,
        file_bytes - codebooks - plain - stored['symbols'] - stored['steps'], arrays)


def packed_bits(items: NDArray[Any]) -> float:
    """Return about how many bits an array will take packed: what entropy says, without coding it.

    Of any shape and type of 1, 2, 4 or 8 bytes. For choices that are made before there is a file.
    """
    flat = np.ascontiguousarray(items).reshape(-1)
    return sum(_wanted(encode(flat.view(f'<u{flat.itemsize}'))).values())


def _wanted(coded: CodedArray) -> dict[str, float]:
    """Return the bits that an array asks of each stream."""
    plan = coded.plan
    bits = dict.fromkeys(STREAMS, 0.0)
    bits['symbols'], bits['steps'] = _entropy(coded.symbols), _entropy(coded.steps)
    if plan.kind is Kind.PLAIN:
        bits[f'plain{plan.item_bytes}'] = _by_byte(coded.plain)
    else:
        bits[f'codebook{plan.item_bytes}'] = _by_byte(coded.codebook)
    return bits


def _by_byte(items: NDArray[Any]) -> float:
    planes = np.ascontiguousarray(items).view(np.uint8).reshape(len(items), items.itemsize).T
    return sum(_entropy(plane) for plane in planes)


def _entropy(data: NDArray[np.uint8]) -> float:
    """Return the bits of all bytes together, by how often each value stands among them."""
    counts = np.bincount(data, minlength=256)
    counts = counts[counts > 0]
    return float(-(counts * np.log2(counts / max(len(data), 1))).sum())


def _array_size(name: str, coded: CodedArray, stored: dict[str, float]) -> ArraySize:
    plan = coded.plan
    return ArraySize(name, plan.count, plan.item_bytes, plan.levels, _zeros(coded),
                     stored.get(f'codebook{plan.item_bytes}', 0.0), stored.get('symbols', 0.0),
                     stored.get('steps', 0.0), stored.get(f'plain{plan.item_bytes}', 0.0))


def _zeros(coded: CodedArray) -> int:
    """Return how many items are +0."""
    plan = coded.plan
    if plan.kind is Kind.SPARSE:
        return plan.count - plan.values
    if plan.kind is Kind.PLAIN:
        return int(plan.count - np.count_nonzero(coded.plain))
    zero = np.cumsum(coded.codebook, dtype=coded.codebook.dtype)[plan.zero:plan.zero + 1]
    if not (zero == 1 << (8 * plan.item_bytes - 1)).any():  # the entry is another value's
        return 0
    return int(plan.count - np.count_nonzero(coded.symbols)) if plan.levels > 1 else plan.count
