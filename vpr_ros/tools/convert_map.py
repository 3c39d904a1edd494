# SPDX-License-Identifier: Apache-2.0
"""A map -> the same map with its descriptors in fewer bits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vpr_ros.core.folder import refuse_existing
from vpr_ros.core.map_memory import map_bytes
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.precision import Precision
from vpr_ros.errors import MapError


@dataclass(frozen=True)
class Converted:
    """What became of a map: precisions, and bytes of its descriptors in memory."""

    before: Precision
    after: Precision
    bytes_before: int
    bytes_after: int
    was_calibrated: bool

    def lines(self) -> Iterator[str]:
        """Yield what a person should know."""
        yield (f'{self.before.value} to {self.after.value}: {self.bytes_before / 1e6:.1f} to '
               f'{self.bytes_after / 1e6:.1f} MB in memory')
        if self.was_calibrated:
            yield (f'its calibration was measured on {self.before.value} descriptors and is left '
                   'out: run vpr calibrate again')


def convert_map(path: Path, out: Path, precision: Precision, force: bool = False) -> Converted:
    """Write the map at `path` to `out` with its descriptors kept as `precision`.

    Raises MapError when `out` exists, or when the map already keeps as few bits.
    """
    refuse_existing(out, force, MapError)
    place_map = PlaceMap.load(path)
    if precision is place_map.precision:
        raise MapError(f'{path} keeps its descriptors as {precision.value} already; '
                       'there is nothing to convert')
    place_map.at(precision).save(out, force)
    before, after = (map_bytes(len(place_map), place_map.card.dim, kept)
                     for kept in (place_map.precision, precision))
    return Converted(place_map.precision, precision, before, after,
                     place_map.calibration is not None)
