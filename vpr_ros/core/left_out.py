# SPDX-License-Identifier: Apache-2.0
"""Maps that lack a part: what it is like to be off the map, and a map asked for its own places."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vpr_ros.core import pose as se3
from vpr_ros.core.packed_features import PackedFeatures
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.scoring import Tolerance
from vpr_ros.errors import MapError

LEAST_PLACES = 10      # of what is left: fewer are no map to be lost in
_APART = 0.5           # of the tolerance: nearer, a place is no other one
_COVERED = 0.5         # of a run that the map must show, for there to be something to find

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Replay:
    """A session of a map that is driven once more.

    `asked` (n,): its places (rows of the map) in the order of time. `kept` (m,): the places that
    make the map meanwhile. `hidden[i]` (rows of the map) show nothing when `asked[i]` is asked.
    `slack_m`: how far the nearest place then is, where the one that was asked would have been.
    """

    asked: Rows
    kept: Rows
    hidden: tuple[Rows, ...]
    slack_m: float = 0.0

    @property
    def is_optimistic(self) -> bool:
        """Whether the map meanwhile holds the session itself."""
        return any(len(rows) > 0 for rows in self.hidden)


def part_of(place_map: PlaceMap, rows: Rows, features: bool = False) -> PlaceMap:
    """Return a map of some places, without pictures; with their `features` where wanted."""
    stored = place_map.features if features else None
    return replace(
        place_map, descriptors=np.asarray(place_map.descriptors[rows]),
        poses=place_map.poses[rows], stamps_ns=place_map.stamps_ns[rows],
        camera_of=place_map.camera_of[rows], session_of=place_map.session_of[rows],
        thumbnails=(), digest='', calibration=None, features=None if stored is None else
        PackedFeatures.pack(stored.config, [stored.of(int(row)) for row in rows]))


def rows_beyond(place_map: PlaceMap, driven: se3.Array, reach_m: float) -> Rows:
    """Return the places farther than `reach_m` from all of `driven` (n, 7), whatever heading."""
    distance_m, _ = cKDTree(driven[:, :3]).query(place_map.poses[:, :3])
    beyond: Rows = np.flatnonzero(np.asarray(distance_m) > reach_m)
    return beyond


def replays(place_map: PlaceMap, tolerance: Tolerance) -> tuple[Replay, ...]:
    """Return how a map can be asked for its own places.

    A session that the others show is asked of them. Of another one each place is asked of the
    whole map, where that place and what was seen half a tolerance around it on that way shows
    nothing.
    Raises MapError when hardly any place is shown by another one, then.
    """
    order = np.lexsort((place_map.stamps_ns, place_map.session_of))
    every = np.arange(len(place_map))
    found: list[Replay] = []
    shown: list[float] = []
    for session in np.unique(place_map.session_of):
        own = order[place_map.session_of[order] == session]
        others = np.flatnonzero(place_map.session_of != session)
        nothing = (np.zeros(0, dtype=np.int64),) * len(own)
        replay = Replay(own, others, nothing)
        share, _ = _shown(place_map, replay, tolerance)
        if share < _COVERED:
            replay = Replay(own, every, _around(place_map, own, tolerance))
            share, slack_m = _shown(place_map, replay, tolerance)
            replay = replace(replay, slack_m=slack_m)
        found.append(replay)
        shown += [share] * len(own)
    if np.mean(shown) < _COVERED:
        raise MapError(
            f'the places of this map are too far from one another for each to be found from the '
            f'next (within {tolerance.m:g} m and {tolerance.deg:g} deg), so the map alone cannot '
            'calibrate itself: give a second run with --query, or map with a smaller --spacing-m')
    return tuple(found)


def _shown(place_map: PlaceMap, replay: Replay, tolerance: Tolerance) -> tuple[float, float]:
    """Return the share of the places asked for that have another one near, and how near."""
    if not len(replay.kept):
        return 0.0, 0.0
    poses = place_map.poses
    tree = cKDTree(poses[replay.kept, :3])
    nearest_m = []
    for row, hidden in zip(replay.asked, replay.hidden, strict=True):
        around = replay.kept[tree.query_ball_point(poses[row, :3], tolerance.m)]
        others = poses[np.setdiff1d(around, hidden)]
        others = others[tolerance.holds(others, poses[row])]
        if len(others):
            nearest_m.append(float(se3.distance_m(others, poses[row]).min()))
    return len(nearest_m) / len(replay.asked), float(np.median(nearest_m)) if nearest_m else 0.0


def _around(place_map: PlaceMap, own: Rows, tolerance: Tolerance) -> tuple[Rows, ...]:
    """Return for each place of a session those before and after it that are nearly the same."""
    poses, hidden = place_map.poses[own], []
    for index in range(len(own)):
        first = last = index
        while first > 0 and _is_near(poses[first - 1], poses[index], tolerance):
            first -= 1
        while last + 1 < len(own) and _is_near(poses[last + 1], poses[index], tolerance):
            last += 1
        hidden.append(own[first:last + 1])
    return tuple(hidden)


def _is_near(a: se3.Array, b: se3.Array, tolerance: Tolerance) -> bool:
    return (float(se3.distance_m(a, b)) < _APART * tolerance.m
            and float(np.degrees(se3.angle_rad(a, b))) < _APART * tolerance.deg)
