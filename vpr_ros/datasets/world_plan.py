# SPDX-License-Identifier: Apache-2.0
"""The floor plan of a procedural world: areas on a grid, their walls, lamps and the two routes.

A building with a ring of corridors around solid offices, a lobby on the ring, a wing that only
the query run enters, and a street with a corner that leads to the lobby's door:

            +--wing---+
            |         |
    +--north+-- ... --+--+
    west                 east
    lobby ---- south ----+
      |
    ==street======+
                  |   (mirrored and stretched by the seed)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

CELL_M = 0.3
CEILING_M = 3.0
SOLID = -1
_MARGIN_M = 3.0
_DOOR_M = 1.2
_CORNER_RADIUS_M = 1.2

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


def make_plan(seed: int) -> Plan:
    """Return the floor plan of a seed; equal seeds give equal plans."""
    rng = np.random.default_rng([seed, 1])
    pick = lambda low, high: CELL_M * int(rng.integers(round(low / CELL_M),  # noqa: E731
                                                       round(high / CELL_M) + 1))
    half = float(rng.choice([1.2, 1.2, 1.5]))
    east, north = pick(42, 49.5), pick(25.5, 31.5)
    wing_x0, wing_x1 = pick(10.5, 13.5), pick(30, 33)
    wing_y = north + pick(15, 18)
    lobby_x, lobby_y = pick(4.8, 6), pick(3.6, 4.5)
    street_y0, street_y1 = -lobby_y - 1.2 - pick(9.6, 11.4), -lobby_y - 1.2
    corner_x, street_half = -pick(42, 51), 4.8
    street_end = street_y0 - pick(27, 33)
    areas = (
        Area('lobby', Kind.LOBBY, (-lobby_x, -lobby_y, lobby_x, lobby_y), True),
        Area('south', Kind.CORRIDOR, (lobby_x, -half, east + half, half), True),
        Area('east', Kind.CORRIDOR, (east - half, half, east + half, north + half), False),
        Area('north', Kind.CORRIDOR, (-half, north - half, east - half, north + half), True),
        Area('west', Kind.CORRIDOR, (-half, lobby_y, half, north - half), False),
        Area('wing up', Kind.WING,
             (wing_x1 - half, north + half, wing_x1 + half, wing_y + half), False),
        Area('wing', Kind.WING,
             (wing_x0 - half, wing_y - half, wing_x1 - half, wing_y + half), True),
        Area('wing down', Kind.WING,
             (wing_x0 - half, north + half, wing_x0 + half, wing_y - half), False),
        Area('entrance', Kind.LOBBY, (-1.5, -lobby_y - 1.2, 1.5, -lobby_y), False),
        Area('street', Kind.STREET,
             (corner_x - street_half, street_y0, lobby_x + 9.0, street_y1), True),
        Area('side street', Kind.STREET,
             (corner_x - street_half, street_end, corner_x + street_half, street_y0), False),
    )
    walk_y = street_y1 - 3.3
    walk_x = corner_x + street_half - 3.0
    ring = [(east, 0.0), (east, north)]
    home = [(0.0, north), (0.0, 1.5)]
    start = [(walk_x, street_end + 2.4), (walk_x, walk_y), (0.0, walk_y), (0.0, 0.0)]
    wing = [(wing_x1, north), (wing_x1, wing_y), (wing_x0, wing_y), (wing_x0, north)]
    mapping, query = start + ring + home, start + ring + wing + home
    mirror = bool(rng.integers(2))
    if mirror:
        areas = tuple(Area(a.name, a.kind, (-a.box_m[2], a.box_m[1], -a.box_m[0], a.box_m[3]),
                           a.along_x) for a in areas)
        mapping, query = ([(-x, y) for x, y in line] for line in (mapping, query))
    area_of, tag_of, origin = _carve(areas, rng)
    return Plan(areas, area_of, tag_of, origin, _faces(area_of, tag_of, origin), _lamps(areas),
                round_corners(mapping), round_corners(query))


def _carve(areas: tuple[Area, ...], rng: np.random.Generator) -> tuple[
        NDArray[np.int8], NDArray[np.int8], tuple[float, float]]:
    boxes = np.array([a.box_m for a in areas])
    low = boxes[:, :2].min(axis=0) - _MARGIN_M
    size = np.ceil((boxes[:, 2:].max(axis=0) + _MARGIN_M - low) / CELL_M).astype(int)
    area_of = np.full((size[1], size[0]), SOLID, np.int8)
    tag_of = np.zeros_like(area_of)
    for i, area in enumerate(areas):
        x0, y0, x1, y1 = np.round((boxes[i] - low[[0, 1, 0, 1]]) / CELL_M).astype(int)
        area_of[y0:y1, x0:x1] = i
        if area.kind is Kind.LOBBY and area.along_x:  # four pillars
            for px in (x0 + 6, x1 - 8):
                for py in (y0 + 4, y1 - 6):
                    area_of[py:py + 2, px:px + 2] = SOLID
    for i, area in enumerate(areas):
        if area.kind in (Kind.CORRIDOR, Kind.WING):
            _carve_recesses(i, area, area_of, tag_of, (float(low[0]), float(low[1])), rng)
    return area_of, tag_of, (float(low[0]), float(low[1]))


def _carve_recesses(index: int, area: Area, area_of: NDArray[np.int8], tag_of: NDArray[np.int8],
                    origin: tuple[float, float], rng: np.random.Generator) -> None:
    """Carve doors at a steady pitch into both sides, so that bays look alike, and some niches."""
    grid, tags = (area_of, tag_of) if area.along_x else (area_of.T, tag_of.T)
    axis = 0 if area.along_x else 1
    start, stop = area.box_m[axis], area.box_m[axis + 2]
    pitch = float(rng.choice([3.6, 3.9, 4.2]))
    for side, edge in ((-1, area.box_m[1 - axis]), (1, area.box_m[3 - axis])):
        for center in np.arange(start + 1.8, stop - 1.5, pitch):
            what = Tag.NICHE if rng.random() < 0.1 else Tag.DOOR
            if rng.random() < 0.12:
                continue
            width, depth = (2.4, 3) if what is Tag.NICHE else (_DOOR_M, 1)
            a = round((center - width / 2 - origin[axis]) / CELL_M)
            b = a + round(width / CELL_M)
            row = round((edge - origin[1 - axis]) / CELL_M)
            rows = slice(row, row + depth) if side > 0 else slice(row - depth, row)
            beyond = slice(max(rows.start - 1, 0), rows.stop + 1)
            front = grid[row - 1 if side > 0 else row, a - 1:b + 1]
            around = grid[beyond, a - 1:b + 1]
            free = (around == index).sum()
            if (front == index).all() and (around >= 0).sum() == free <= b - a + 2:
                grid[rows, a:b] = index
                tags[rows, a:b] = what


def _faces(area_of: NDArray[np.int8], tag_of: NDArray[np.int8],
           origin: tuple[float, float]) -> tuple[Face, ...]:
    faces = []
    for normal in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        behind = np.roll(area_of, (normal[1], normal[0]), axis=(0, 1))
        wall = (area_of != SOLID) & (behind == SOLID)
        lines = wall.T if normal[0] else wall
        ids = (area_of.astype(np.int16) * 8 + tag_of)
        ids = ids.T if normal[0] else ids
        for line in range(len(lines)):
            cells = np.where(lines[line], ids[line], -1)
            breaks = np.flatnonzero(np.diff(cells, prepend=-2, append=-2))
            for a, b in zip(breaks[:-1], breaks[1:]):
                if cells[a] >= 0:
                    faces.append(_face(line, int(a), int(b), normal, int(cells[a]), origin))
    return tuple(faces)


def _face(line: int, a: int, b: int, normal: tuple[int, int], code: int,
          origin: tuple[float, float]) -> Face:
    offset = line + (1 if sum(normal) < 0 else 0)
    ends = [(offset, a), (offset, b)] if normal[0] else [(a, offset), (b, offset)]
    points = [(origin[0] + x * CELL_M, origin[1] + y * CELL_M) for x, y in ends]
    # Looking along -normal, the right hand points along (-ny, nx).
    rightward = (points[1][0] - points[0][0]) * -normal[1] + (
        points[1][1] - points[0][1]) * normal[0]
    left, right = points if rightward > 0 else points[::-1]
    return Face(left, right, normal, code // 8, Tag(code % 8))


def _lamps(areas: tuple[Area, ...]) -> Floats:
    lamps = []
    for area in areas:
        x0, y0, x1, y1 = area.box_m
        if area.kind is Kind.STREET:
            continue
        step = 3.0 if area.kind is Kind.LOBBY else 3.6
        xs, ys = ([(x0 + x1) / 2], np.arange(y0 + 1.5, y1 - 0.5, step))
        if area.along_x:
            xs, ys = np.arange(x0 + 1.5, x1 - 0.5, step), [(y0 + y1) / 2]
        if area.kind is Kind.LOBBY and area.along_x:
            ys = [y0 + (y1 - y0) * f for f in (0.2, 0.5, 0.8)]
        lamps += [(x, y, CEILING_M) for x in xs for y in ys]
    return np.array(lamps)


def round_corners(vertices: list[tuple[float, float]], step_m: float = 0.05) -> Floats:
    """Return points every `step_m` along a polyline whose corners became arcs."""
    points = np.array(vertices)
    pieces = [points[:1]]
    for before, corner, after in zip(points[:-2], points[1:-1], points[2:]):
        into = (corner - before) / np.linalg.norm(corner - before)
        out = (after - corner) / np.linalg.norm(after - corner)
        if abs(float(into @ out)) > 0.999:
            continue
        entry, leave = corner - into * _CORNER_RADIUS_M, corner + out * _CORNER_RADIUS_M
        center = entry + out * _CORNER_RADIUS_M
        angle = np.linspace(0.0, np.pi / 2, 24)[:, None]
        arc = center + _CORNER_RADIUS_M * (into * np.sin(angle) - out * np.cos(angle))
        pieces.append(arc)
        del leave
    pieces.append(points[-1:])
    line = np.concatenate(pieces)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.arange(0.0, along[-1], step_m)
    return np.stack([np.interp(at, along, line[:, i]) for i in (0, 1)], axis=1)
