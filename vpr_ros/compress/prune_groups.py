# SPDX-License-Identifier: Apache-2.0
"""Channels that go together: what of a network is deleted as one, or stays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Side = Literal['in', 'out']
Mask = NDArray[np.bool_]


class Part(Enum):
    """Where a group belongs; deleting of a `DESCRIPTOR` group changes the descriptor's size."""

    BACKBONE = 'backbone'
    HEAD = 'head'
    DESCRIPTOR = 'descriptor'


@dataclass(frozen=True)
class Member:
    """One side of one layer, an axis that is (outer, channels, inner) flattened.

    Mostly `outer` and `inner` are 1: channel i is row i. The linear behind NetVLAD sees cluster k
    as its inputs k * inner to (k + 1) * inner. What reads several groups side by side (behind a
    Fire of SqueezeNet) has `of` channels, and these are the ones from `first` on; `of` 0: all.
    """

    layer: str
    side: Side
    outer: int = 1
    inner: int = 1
    first: int = 0
    of: int = 0

    def rows(self, kept: Mask) -> Mask:
        """Return which rows of the axis stay, for the channels (n,) that do.

        The rows of other groups stay.
        """
        if self.of:
            among = np.ones(self.of, dtype=bool)
            among[self.first:self.first + len(kept)] = kept
            kept = among
        return np.tile(np.repeat(kept, self.inner), self.outer)


@dataclass(frozen=True)
class Group:
    """Channels that are in several layers at once; named after the layer that makes them.

    Widths of `few` (rows, clusters) are counted one by one, not in multiples. Where several groups
    make the map side by side, its channels from `first` on are of this one.
    """

    name: str
    channels: int
    members: tuple[Member, ...]
    part: Part
    few: bool = False
    first: int = 0


def descriptor_axes(groups: Sequence[Group]) -> list[list[Group]]:
    """Return the groups that make the descriptor, axis by axis, the one that varies slowest first.

    Channels before rows; but the channels of the map vary fastest where clusters make the
    descriptor with them (NetVLAD). Several groups side by side are one axis.
    """
    makers = [group for group in groups if group.part is Part.DESCRIPTOR]
    of_map = sorted((group for group in makers if group.name.startswith('backbone.')),
                    key=lambda group: group.first)
    return [*([group] for group in makers if group not in of_map), *([of_map] if of_map else [])]


def kept_rows(groups: Sequence[Group], kept: Mapping[str, Mask]) -> dict[tuple[str, Side], Mask]:
    """Return for each side of a layer which rows of its axis stay.

    `kept` has a mask for each group that loses channels, by name; where two groups share an axis
    (clusters and channels of NetVLAD), what stays belongs to kept channels of both.
    """
    rows: dict[tuple[str, Side], Mask] = {}
    for member, mask in _masks(groups, kept):
        axis = (member.layer, member.side)
        stays = member.rows(mask)
        rows[axis] = rows[axis] & stays if axis in rows else stays
    return rows


def _masks(groups: Sequence[Group], kept: Mapping[str, Mask]) -> Iterator[tuple[Member, Mask]]:
    for group in groups:
        mask = kept.get(group.name)
        if mask is not None:
            yield from ((member, mask) for member in group.members)
