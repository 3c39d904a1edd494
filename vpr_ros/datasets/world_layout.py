# SPDX-License-Identifier: Apache-2.0
"""The layout of a procedural world: where its areas lie and which way the two runs go.

A ring of corridors around solid offices, a lobby on the ring, a wing that only the query run
enters, and a street with a corner that leads to the lobby's door, mirrored and stretched by the
seed:

            +--wing---+
            |         |
    +--north+---------+--+
    west                 east
    lobby ---- south ----+
      |
    street =======+
                  |
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from vpr_ros.datasets.world_grid import carve, faces_of
from vpr_ros.datasets.world_plan import Area, CEILING_M, CELL_M, Floats, Kind, Plan

_CORNER_RADIUS_M = 1.2
_STREET_HALF_M = 4.8
_ENTRANCE_M = 1.2       # how deep the passage from the street to the lobby is

Line = list[tuple[float, float]]


def make_plan(seed: int) -> Plan:
    """Return the floor plan of a seed; equal seeds give equal plans."""
    rng = np.random.default_rng([seed, 1])

    def between(low: float, high: float) -> float:
        return CELL_M * int(rng.integers(round(low / CELL_M), round(high / CELL_M) + 1))

    half = float(rng.choice([1.2, 1.2, 1.5]))
    east, north = between(42.0, 49.5), between(25.5, 31.5)
    wing_x0, wing_x1 = between(10.5, 13.5), between(30.0, 33.0)
    wing_y = north + between(15.0, 18.0)
    lobby_x, lobby_y = between(4.8, 6.0), between(3.6, 4.5)
    street_y1 = -lobby_y - _ENTRANCE_M
    street_y0 = street_y1 - between(9.6, 11.4)
    corner_x = -between(42.0, 51.0)
    street_end = street_y0 - between(27.0, 33.0)
    areas: tuple[Area, ...] = (
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
        Area('entrance', Kind.LOBBY, (-1.5, street_y1, 1.5, -lobby_y), False),
        Area('street', Kind.STREET,
             (corner_x - _STREET_HALF_M, street_y0, lobby_x + 9.0, street_y1), True),
        Area('side street', Kind.STREET,
             (corner_x - _STREET_HALF_M, street_end, corner_x + _STREET_HALF_M, street_y0),
             False),
    )
    walk_x, walk_y = corner_x + _STREET_HALF_M - 3.0, street_y1 - 3.3
    there: Line = [(walk_x, street_end + 2.4), (walk_x, walk_y), (0.0, walk_y), (0.0, 0.0),
                   (east, 0.0), (east, north)]
    wing: Line = [(wing_x1, north), (wing_x1, wing_y), (wing_x0, wing_y), (wing_x0, north)]
    home: Line = [(0.0, north), (0.0, 1.5)]
    mapping, query = there + home, there + wing + home
    if rng.integers(2):
        areas = tuple(Area(a.name, a.kind, (-a.box_m[2], a.box_m[1], -a.box_m[0], a.box_m[3]),
                           a.along_x) for a in areas)
        mapping, query = ([(-x, y) for x, y in line] for line in (mapping, query))
    area_of, tag_of, origin_m = carve(areas, rng)
    return Plan(areas, area_of, tag_of, origin_m, faces_of(area_of, tag_of, origin_m),
                _lamps(areas), round_corners(mapping), round_corners(query))


def _lamps(areas: tuple[Area, ...]) -> Floats:
    """Hang lamps along the middle of corridors and in three rows over the lobby."""
    lamps: Line = []
    for area in areas:
        x0, y0, x1, y1 = area.box_m
        if area.kind is Kind.STREET:
            continue
        if area.kind is Kind.LOBBY and area.along_x:
            lamps += [(float(x), y0 + (y1 - y0) * share) for share in (0.2, 0.5, 0.8)
                      for x in np.arange(x0 + 1.5, x1 - 0.5, 3.0)]
        elif area.along_x:
            lamps += [(float(x), (y0 + y1) / 2) for x in np.arange(x0 + 1.5, x1 - 0.5, 3.6)]
        else:
            lamps += [((x0 + x1) / 2, float(y)) for y in np.arange(y0 + 0.6, y1 - 0.5, 3.6)]
    return np.array([(x, y, CEILING_M) for x, y in lamps])


def round_corners(vertices: Line, step_m: float = 0.05) -> Floats:
    """Return points every `step_m` along a polyline whose corners became arcs, (N, 2)."""
    points = np.array(vertices)
    pieces = [points[:1]]
    for (before, corner), (_, after) in pairwise(pairwise(points)):
        into = (corner - before) / np.linalg.norm(corner - before)
        out = (after - corner) / np.linalg.norm(after - corner)
        if abs(float(into @ out)) > 0.999:
            continue
        entry = corner - into * _CORNER_RADIUS_M
        center = entry + out * _CORNER_RADIUS_M
        angle = np.linspace(0.0, np.pi / 2, 24)[:, None]
        pieces.append(center + _CORNER_RADIUS_M * (into * np.sin(angle) - out * np.cos(angle)))
    line = np.concatenate([*pieces, points[-1:]])
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.arange(0.0, along[-1], step_m)
    return np.stack([np.interp(at, along, line[:, i]) for i in (0, 1)], axis=1)
