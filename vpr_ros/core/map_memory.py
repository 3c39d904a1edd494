# SPDX-License-Identifier: Apache-2.0
"""How much memory descriptors of a map take, before there is one."""

from __future__ import annotations

from dataclasses import dataclass

from vpr_ros.core.contrast import RANK
from vpr_ros.core.precision import Precision
from vpr_ros.errors import MapError

_FLOAT_BYTES = 4


@dataclass(frozen=True)
class MemoryUse:
    """A network's files beside the descriptors of a map, as a localizer holds them."""

    model_bytes: int
    map_bytes: int

    @property
    def total_bytes(self) -> int:
        """Both."""
        return self.model_bytes + self.map_bytes


def memory_use(model_bytes: int, places: int, dim: int, precision: Precision) -> MemoryUse:
    """Return what a network of so many bytes and a map of `places` take together."""
    return MemoryUse(model_bytes, map_bytes(places, dim, precision))


def descriptor_bytes(places: int, dim: int, precision: Precision) -> int:
    """Return the bytes of `places` x `dim` components: what a map takes on disk for them.

    The "N * D * 4" of Grainge et al. (RA-L 2025) at float32. Raises MapError below one.
    """
    if places < 1 or dim < 1:
        raise MapError(f'{places} places of {dim} dimensions are no map')
    return places * dim * precision.bytes_each


def map_bytes(places: int, dim: int, precision: Precision) -> int:
    """Return what a localizer holds in memory of the descriptors of a map.

    Counted are the descriptors, once, and what `Contrast` keeps: at most 512 directions (r, dim)
    in float32, and for each place r whitened numbers at float32, or else the scale of its row and
    its length. Not counted is what no network changes, some 0.4 kB a place: poses, the belief,
    and a tree to find neighbors with; thumbnails and local features stay on disk.
    Raises MapError below one place or dimension.
    """
    rank = min(RANK, dim, places)
    of_place = rank if precision is Precision.FLOAT32 else 2
    return (descriptor_bytes(places, dim, precision)
            + _FLOAT_BYTES * (rank * dim + places * of_place))
