# SPDX-License-Identifier: Apache-2.0
"""Which places of a map are near the truth, without ever holding all pairs at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vpr_ros.core import pose as se3
from vpr_ros.core.judged import Tolerance

_PAIRS = 500_000   # that are looked at together: some 60 MB
_M_PER_DEG = 111_000.0   # of latitude
_WIDER = 8         # times as many neighbors, where the nearest all look another way

Rows = NDArray[np.int64]


def nearest_positives(places: se3.Array, truth: se3.Array, tolerance: Tolerance) -> Rows:
    """Return (Q,): the row of the place (N, 7) nearest to each true pose (Q, 7), -1 for none.

    Only places within `tolerance`, heading included, count: a nearer one that looks the other way
    is no positive. Among places equally near, any.
    """
    found = np.full(len(truth), -1, dtype=np.int64)
    if not len(places) or not len(truth):
        return found
    tree, reach_m = cKDTree(places[:, :3]), _reach_m(tolerance)
    unsettled, k = np.arange(len(truth)), 1
    while len(unsettled):
        left = []
        for rows in np.array_split(unsettled, len(unsettled) * k // _PAIRS + 1):
            away_m, place = (np.asarray(part).reshape(len(rows), k) for part in tree.query(
                truth[rows, :3], k, distance_upper_bound=reach_m))
            inside = np.isfinite(away_m)
            holds = inside & tolerance.holds(places[np.where(inside, place, 0)],
                                             truth[rows][:, None])
            first = np.argmax(holds, axis=1)
            settled = holds.any(axis=1)
            found[rows[settled]] = place[settled, first[settled]]
            left.append(rows[~settled & inside[:, -1]])
        unsettled = np.concatenate(left) if k < len(places) else unsettled[:0]
        k = min(k * _WIDER, len(places))
    return found


def positive_pairs(places: se3.Array, truth: se3.Array, tolerance: Tolerance
                   ) -> Iterator[tuple[Rows, Rows]]:
    """Yield every positive as (row of `truth`, row of `places`), some 500,000 at a time.

    A chunk is larger only where one true pose alone has more places around it.
    """
    if not len(places) or not len(truth):
        return
    tree, reach_m = cKDTree(places[:, :3]), _reach_m(tolerance)
    count = tree.query_ball_point(truth[:, :3], reach_m, return_length=True)
    chunk = np.cumsum(count) // _PAIRS
    for rows in np.split(np.arange(len(truth)), np.flatnonzero(np.diff(chunk)) + 1):
        near = cKDTree(truth[rows, :3]).sparse_distance_matrix(tree, reach_m,
                                                               output_type='ndarray')
        query, place = rows[near['i']], near['j'].astype(np.int64)
        holds = tolerance.holds(places[place], truth[query])
        yield query[holds], place[holds]


def why_no_positive(places: se3.Array, truth: se3.Array, tolerance: Tolerance) -> str:
    """Return why none of the true poses (Q, 7) has a place (N, 7) near, and what to look at."""
    if not len(places) or not len(truth):
        return 'there are no places' if not len(places) else 'there are no true poses'
    tree = cKDTree(places[:, :3])
    away_m = float(np.min(tree.query(truth[:, :3])[0]))
    said = (f'no frame was taken within {tolerance.m:g} m and {tolerance.deg:g} deg of a place of '
            f'the map: the truth spans {_span(truth)}, the map {_span(places)}')
    if away_m <= tolerance.m:
        return (f'{said}. Both go to the same positions but look another way there: is the truth '
                'of the camera, or of another frame of the robot, or the other lane? See '
                '--tolerance-deg')
    for factor, unit in ((1e-3, 'millimeters'), (1e-2, 'centimeters'), (1e3, 'kilometers')):
        scaled = truth[:, :3] * factor
        near = np.asarray(tree.query(scaled)[0]) <= tolerance.m
        if near.mean() > 0.5 and np.ptp(scaled, axis=0).max() > tolerance.m:
            return f'{said}. The truth seems to be in {unit}: give it in meters'
    if _look_like_degrees(truth, places):
        return (f'{said}. The truth seems to be in degrees of latitude and longitude: give it in '
                'meters, in the frame of the map')
    return (f'{said}; the nearest two are {away_m:.1f} m apart. Is the truth in the frame of the '
            'map, and in meters? Or was this run elsewhere?')


def _look_like_degrees(truth: se3.Array, places: se3.Array) -> bool:
    """Say whether the truth would span about what the map does, were it latitude and longitude."""
    span, of_map_m = np.ptp(truth[:, :2], axis=0).max(), np.ptp(places[:, :2], axis=0).max()
    return bool((np.abs(truth[:, :2]) <= 180.0).all() and span > 0.0
                and 0.1 < span * _M_PER_DEG / max(of_map_m, 1e-9) < 10.0)


def _reach_m(tolerance: Tolerance) -> float:
    """Return a radius that rounding cannot make too small; `holds` decides in the end."""
    return tolerance.m * (1.0 + 1e-9) + 1e-9


def _span(poses: se3.Array) -> str:
    low, high = poses[:, :2].min(axis=0), poses[:, :2].max(axis=0)
    return (f'x {low[0]:.1f} to {high[0]:.1f} m and y {low[1]:.1f} to {high[1]:.1f} m')
