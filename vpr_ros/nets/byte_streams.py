# SPDX-License-Identifier: Apache-2.0
"""Entropy coding: streams of items as zstd frames, one for each of an item's bytes.

zstd codes what repeats nowhere by Huffman's code, which comes within about 1 % of the entropy of
indices and gaps; ANS (constriction, pcodec) gains that 1 % and no more. See docs/packed_models.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
import zstandard

from vpr_ros.nets.array_code import unsigned

_TEXT = zstandard.ZstdCompressionParameters.from_level(19)
# Numbers repeat by chance only. The greedy levels take such repeats and lose up to a quarter by
# it; the optimal parser weighs them, and needs hardly any search for that: 20 times as fast as 19.
_NUMBERS = zstandard.ZstdCompressionParameters.from_level(
    19, strategy=zstandard.STRATEGY_BTOPT, window_log=18, chain_log=8, hash_log=10, search_log=1,
    min_match=7)
_LONG_BYTES = 1 << 22


def squeeze(data: bytes) -> bytes:
    """Return text, or bytes that may hold anything, as one frame.

    So much as no text has is some engine's numbers (openvino_int8.bin).
    """
    kind = _TEXT if len(data) < _LONG_BYTES else _NUMBERS
    return zstandard.ZstdCompressor(compression_params=kind).compress(data)


def squeeze_numbers(items: NDArray[Any]) -> list[bytes]:
    """Return a frame for each byte of the items, the lowest first; none of no items."""
    if not items.size:
        return []
    planes = items.view(np.uint8).reshape(len(items), items.itemsize).T
    coder = zstandard.ZstdCompressor(compression_params=_NUMBERS)
    return [coder.compress(np.ascontiguousarray(plane).data) for plane in planes]


def expand(frame: memoryview, size: int) -> bytes:
    """Return the `size` bytes of a frame; raises ValueError for any other, before they are made.

    The frame's own word about its size is compared first: nothing larger is ever allocated.
    """
    try:
        if zstandard.get_frame_parameters(frame).content_size != size:
            raise ValueError(f'a stream that is not of {size} bytes')
        data = zstandard.ZstdDecompressor().decompress(frame, max_output_size=size)
    except zstandard.ZstdError as error:
        raise ValueError(f'a stream that cannot be decoded ({error})') from error
    if len(data) != size:
        raise ValueError(f'a stream that is not of {size} bytes')
    return data


def expand_numbers(frames: Sequence[memoryview], item_bytes: int, count: int) -> NDArray[Any]:
    """Return `count` items, (count,) unsigned, of a frame for each byte; raises ValueError."""
    if not count:
        return np.empty(0, unsigned(item_bytes))
    planes = [np.frombuffer(expand(frame, count), np.uint8) for frame in frames]
    if item_bytes == 1:
        return planes[0]
    items = np.empty((count, item_bytes), np.uint8)
    for byte, plane in enumerate(planes):
        items[:, byte] = plane
    return items.reshape(-1).view(unsigned(item_bytes))
