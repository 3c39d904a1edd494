# SPDX-License-Identifier: Apache-2.0
"""Maps that lack a part: what it is like to be off the map, and a map asked for its own places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vpr_ros.core import pose as se3
from vpr_ros.core.packed_features import PackedFeatures
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.scoring import Tolerance
from vpr_ros.errors import MapError

LEAST_PLACES = 10      # of what is left: fewer are no map to be lost in
_APART = 0.5           # of the tolerance: a place and what it is to be found from
_COVERED = 0.5         # of a run that the map must show, for there to be something to find

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Replay:
    """Places of a map that are driven once more, and those that make the map meanwhile.

    `asked` (n,) and `kept` (m,) are rows of the map, `asked` in the order of time; `row` (n,)
    numbers the places along all sessions, so that neighbors in any replay have near numbers.
    `is_optimistic`: the map holds the session itself meanwhile, without every second place, and
    `slack_m` is how far the next one then is.
    """

    asked: Rows
    kept: Rows
    row: Rows
    is_optimistic: bool
    slack_m: float = 0.0


def part_of(place_map: PlaceMap, rows: Rows, features: bool = False) -> PlaceMap:
    """Return a map of some places, without pictures; with their `features` where wanted."""
    kept = place_map.features if features else None
    return place_map.part(rows, None if kept is None else PackedFeatures.pack(
        kept.config, [kept.of(int(row)) for row in rows]))


def rows_beyond(place_map: PlaceMap, driven: se3.Array, reach_m: float) -> Rows:
    """Return the places farther than `reach_m` from all of `driven` (n, 7), whatever heading."""
    distance_m, _ = cKDTree(driven[:, :3]).query(place_map.poses[:, :3])
    beyond: Rows = np.flatnonzero(np.asarray(distance_m) > reach_m)
    return beyond


def replays(place_map: PlaceMap, tolerance: Tolerance) -> tuple[Replay, ...]:
    """Return how a map can be asked for its own places.

    A session that the others show is asked of them. Of another one every second station along
    its way is asked of those between, and the other way round; stations are half a tolerance
    apart, so that what is asked has no twin in the map.
    Raises MapError when the map shows hardly any of its places twice.
    """
    order = np.lexsort((place_map.stamps_ns, place_map.session_of))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    found: list[Replay] = []
    for session in np.unique(place_map.session_of):
        own = order[place_map.session_of[order] == session]
        others = np.flatnonzero(place_map.session_of != session)
        if _shown(place_map, own, others, tolerance)[0] >= _COVERED:
            found.append(Replay(own, others, rank[own], False))
            continue
        station = _stations(place_map, own, tolerance)
        even, odd = (own[(station >= 0) & (station % 2 == phase)] for phase in (0, 1))
        for asked, kept in ((odd, even), (even, odd)):
            rows = np.sort(np.concatenate([kept, others]))
            if not len(asked) or not len(rows):
                continue
            _, slack_m = _shown(place_map, asked, rows, tolerance)
            found.append(Replay(asked, rows, rank[asked], True, slack_m))
    shown = [_shown(place_map, replay.asked, replay.kept, tolerance)[0] for replay in found]
    if not found or np.mean(shown) < _COVERED:
        raise MapError(
            f'the places of this map are too far from one another for each to be found from the '
            f'next (within {tolerance.m:g} m and {tolerance.deg:g} deg), so the map alone cannot '
            'calibrate itself: give a second run with --query, or map with a smaller --spacing-m')
    return tuple(found)


def _shown(place_map: PlaceMap, asked: Rows, kept: Rows, tolerance: Tolerance
           ) -> tuple[float, float]:
    """Return the share of the places asked that have one of those kept near, and how near."""
    if not len(kept):
        return 0.0, 0.0
    tree = cKDTree(place_map.poses[kept, :3])
    nearest_m = []
    for pose in place_map.poses[asked]:
        near = place_map.poses[kept[tree.query_ball_point(pose[:3], tolerance.m)]]
        near = near[tolerance.holds(near, pose)]
        if len(near):
            nearest_m.append(float(se3.distance_m(near, pose).min()))
    return len(nearest_m) / len(asked), float(np.median(nearest_m)) if nearest_m else 0.0


def _stations(place_map: PlaceMap, own: Rows, tolerance: Tolerance) -> Rows:
    """Return (n,): at which station each row of a session was taken; -1 between two stations."""
    station = np.full(len(own), -1, dtype=np.int64)
    number, last = -1, -1
    for index, row in enumerate(own):
        if last < 0 or place_map.stamps_ns[row] != place_map.stamps_ns[own[last]]:
            if last >= 0 and not _moved(place_map.poses[own[last]], place_map.poses[row],
                                        tolerance):
                continue
            number, last = number + 1, index
        station[index] = number
    return station


def _moved(last: se3.Array, pose: se3.Array, tolerance: Tolerance) -> bool:
    return (float(se3.distance_m(last, pose)) >= _APART * tolerance.m
            or float(np.degrees(se3.angle_rad(last, pose))) >= _APART * tolerance.deg)
