# SPDX-License-Identifier: Apache-2.0
"""What a floor plan is: areas on a grid of cells, their walls, the lamps and two routes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

CELL_M = 0.3
CEILING_M = 3.0
SOLID = -1

Floats = NDArray[np.float64]


class Tag(IntEnum):
    """What a free cell is carved for, beside being part of its area."""

    PLAIN = 0
    DOOR = 1    # a recess whose back is a door
    NICHE = 2   # a recess for a vending machine, lockers, a sofa


class Kind(IntEnum):
    """What an area is; it chooses the look of its walls, floor and light."""

    CORRIDOR = 0
    LOBBY = 1
    WING = 2
    STREET = 3


@dataclass(frozen=True)
class Area:
    """A rectangle of free space `x0 y0 x1 y1` in metres."""

    name: str
    kind: Kind
    box_m: tuple[float, float, float, float]
    along_x: bool


@dataclass(frozen=True)
class Face:
    """A straight run of wall, from left to right as seen from the free side."""

    left: tuple[float, float]
    right: tuple[float, float]
    normal: tuple[int, int]
    area: int
    tag: Tag

    @property
    def length_m(self) -> float:
        """The run's length."""
        return abs(self.right[0] - self.left[0]) + abs(self.right[1] - self.left[1])


@dataclass(frozen=True)
class Plan:
    """Where is what: `area_of` and `tag_of` are (rows, columns) over cells, row 0 lowest y."""

    areas: tuple[Area, ...]
    area_of: NDArray[np.int8]
    tag_of: NDArray[np.int8]
    origin_m: tuple[float, float]
    faces: tuple[Face, ...]
    lamps_m: Floats          # (L, 3) ceiling lamps
    mapping_route_m: Floats  # (N, 2) points every few centimetres
    query_route_m: Floats

    def cells(self, x_m: Floats, y_m: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return rows and columns of points, clipped to the grid."""
        rows, columns = self.area_of.shape
        row = ((y_m - self.origin_m[1]) / CELL_M).astype(np.intp)
        column = ((x_m - self.origin_m[0]) / CELL_M).astype(np.intp)
        return np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)

    def area_at(self, x_m: Floats, y_m: Floats) -> NDArray[np.int8]:
        """Return the index of the area at each point, SOLID inside walls."""
        found: NDArray[np.int8] = self.area_of[self.cells(x_m, y_m)]
        return found
