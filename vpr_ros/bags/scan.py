# SPDX-License-Identifier: Apache-2.0
"""What a look through a damaged file yields: where each message that survived lies."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, Protocol


class Place(NamedTuple):
    """Where a message lies: `size` bytes at `offset` of the block that starts at `block`."""

    block: int
    offset: int
    size: int


class Entry(NamedTuple):
    """One message that survived."""

    record_ns: int
    topic: str
    place: Place


class Scan(Protocol):
    """A damaged file that was looked through once."""

    types: dict[str, str]  # by topic
    entries: list[Entry]   # in any order
    problem: str           # what was met on the way; empty when nothing was

    def fetch(self, place: Place) -> bytes:
        """Return the bytes of one message."""

    def close(self) -> None:
        """Close the file."""


class BlockCache:
    """The last few unpacked blocks: messages in the order of time jump between neighbors."""

    def __init__(self, unpack: Callable[[int], bytes], size: int = 4) -> None:
        self._unpack = unpack
        self._size = size
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def fetch(self, place: Place) -> bytes:
        """Return the bytes at a place."""
        if (block := self._blocks.pop(place.block, None)) is None:
            block = self._unpack(place.block)
        self._blocks[place.block] = block
        if len(self._blocks) > self._size:
            self._blocks.popitem(last=False)
        return block[place.offset:place.offset + place.size]
