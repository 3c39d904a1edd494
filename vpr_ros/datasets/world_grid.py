# SPDX-License-Identifier: Apache-2.0
"""Areas become a grid of free and solid cells, and the grid's edges become walls."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vpr_ros.datasets.world_plan import Area, CELL_M, Face, Kind, SOLID, Tag

_MARGIN_M = 3.0
_DOOR_M, _DOOR_CELLS_DEEP = 1.2, 1
_NICHE_M, _NICHE_CELLS_DEEP = 2.4, 3
_NICHES, _BARE = 0.1, 0.12  # shares of the bays that are a niche, or a plain wall

Cells = NDArray[np.int8]


def carve(areas: tuple[Area, ...],
          rng: np.random.Generator) -> tuple[Cells, Cells, tuple[float, float]]:
    """Return `area_of`, `tag_of` and the origin of a plan with these areas."""
    boxes = np.array([a.box_m for a in areas])
    low = boxes[:, :2].min(axis=0) - _MARGIN_M
    size = np.ceil((boxes[:, 2:].max(axis=0) + _MARGIN_M - low) / CELL_M).astype(int)
    area_of = np.full((size[1], size[0]), SOLID, np.int8)
    tag_of = np.zeros_like(area_of)
    origin_m = (float(low[0]), float(low[1]))
    for i, area in enumerate(areas):
        x0, y0, x1, y1 = np.round((boxes[i] - low[[0, 1, 0, 1]]) / CELL_M).astype(int)
        area_of[y0:y1, x0:x1] = i
        if area.kind is Kind.LOBBY and area.along_x:  # four pillars
            for x in (x0 + 6, x1 - 8):
                for y in (y0 + 4, y1 - 6):
                    area_of[y:y + 2, x:x + 2] = SOLID
    for i, area in enumerate(areas):
        if area.kind in (Kind.CORRIDOR, Kind.WING):
            _carve_bays(i, area, area_of, tag_of, origin_m, rng)
    return area_of, tag_of, origin_m


def _carve_bays(index: int, area: Area, area_of: Cells, tag_of: Cells,
                origin_m: tuple[float, float], rng: np.random.Generator) -> None:
    """Carve doors at a steady pitch into both sides, so that bays look alike, and some niches."""
    grid, tags = (area_of, tag_of) if area.along_x else (area_of.T, tag_of.T)
    axis = 0 if area.along_x else 1
    start, stop = area.box_m[axis], area.box_m[axis + 2]
    pitch = float(rng.choice([3.6, 3.9, 4.2]))
    for side, edge in ((-1, area.box_m[1 - axis]), (1, area.box_m[3 - axis])):
        for center in np.arange(start + 1.8, stop - 1.5, pitch):
            tag = Tag.NICHE if rng.random() < _NICHES else Tag.DOOR
            if rng.random() < _BARE:
                continue
            width, depth = ((_NICHE_M, _NICHE_CELLS_DEEP) if tag is Tag.NICHE
                            else (_DOOR_M, _DOOR_CELLS_DEEP))
            a = round((center - width / 2 - origin_m[axis]) / CELL_M)
            b = a + round(width / CELL_M)
            row = round((edge - origin_m[1 - axis]) / CELL_M)
            rows = slice(row, row + depth) if side > 0 else slice(row - depth, row)
            front = grid[row - 1 if side > 0 else row, a - 1:b + 1]
            around = grid[max(rows.start - 1, 0):rows.stop + 1, a - 1:b + 1]
            # Only where the corridor passes in front and nothing else is near.
            if (front == index).all() and (around != SOLID).sum() == b - a + 2:
                grid[rows, a:b] = index
                tags[rows, a:b] = tag


def faces_of(area_of: Cells, tag_of: Cells, origin_m: tuple[float, float]) -> tuple[Face, ...]:
    """Return every straight run of wall between a free cell and a solid one."""
    codes = np.where(area_of == SOLID, SOLID, area_of.astype(np.int16) * len(Tag) + tag_of)
    faces = []
    for normal in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        behind = np.roll(area_of, (normal[1], normal[0]), axis=(0, 1))
        edges = np.where(behind == SOLID, codes, SOLID)
        for line, cells in enumerate(edges.T if normal[0] else edges):
            for a, b in pairwise(np.flatnonzero(np.diff(cells, prepend=-2, append=-2))):
                if cells[a] != SOLID:
                    faces.append(_face(line, int(a), int(b), normal, int(cells[a]), origin_m))
    return tuple(faces)


def _face(line: int, a: int, b: int, normal: tuple[int, int], code: int,
          origin_m: tuple[float, float]) -> Face:
    offset = line + (1 if sum(normal) < 0 else 0)
    ends = ((offset, a), (offset, b)) if normal[0] else ((a, offset), (b, offset))
    p, q = ((origin_m[0] + x * CELL_M, origin_m[1] + y * CELL_M) for x, y in ends)
    # Looking along -normal, the right hand points along (-ny, nx).
    rightward = (q[0] - p[0]) * -normal[1] + (q[1] - p[1]) * normal[0]
    left, right = (p, q) if rightward > 0 else (q, p)
    return Face(left, right, normal, code // len(Tag), Tag(code % len(Tag)))
