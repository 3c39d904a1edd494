# SPDX-License-Identifier: Apache-2.0
"""Picture files with positions or lists of positives, as runs and pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vpr_ros.core import pose as se3
from vpr_ros.datasets.pictures import PictureFiles
from vpr_ros.datasets.run import Run
from vpr_ros.errors import DatasetError

Floats = NDArray[np.float64]
Positives = tuple[tuple[int, ...], ...]

CAMERA = 'camera'
STEP_M = 1.0            # made-up distance of neighbors where a set has no positions
ANY_HEADING_DEG = 180.0
_SECOND_NS = 1_000_000_000
_DAY_S = 86_400


def file_run(name: str, files: Sequence[Path], positions_m: Floats | None = None,
             headings_rad: Floats | None = None, day: int = 0) -> Run:
    """Return files as a run; stamps are made up, one second a frame.

    Without `positions_m` (N, 2 or 3), frames stand STEP_M apart on a line: made up as well, so
    such a run belongs in a pair that lists its positives.
    """
    count = len(files)
    poses = np.tile(se3.IDENTITY, (count, 1))
    if positions_m is None:
        poses[:, 0] = STEP_M * np.arange(count)
    else:
        poses[:, :positions_m.shape[1]] = positions_m
    if headings_rad is not None:
        poses[:, 5], poses[:, 6] = np.sin(headings_rad / 2), np.cos(headings_rad / 2)
    stamps_ns = ((1_000_000 + day * 10 * _DAY_S + np.arange(count)) * _SECOND_NS).astype(np.int64)
    return Run(name, 'map', CAMERA, None, stamps_ns, poses, None, PictureFiles(files))


def positives_by_metres(places_m: Floats, queries_m: Floats, tolerance_m: float,
                        places_rad: Floats | None = None, queries_rad: Floats | None = None,
                        tolerance_deg: float = ANY_HEADING_DEG) -> Positives:
    """Return for each query the places within `tolerance_m` (that distance included), rising.

    And within `tolerance_deg` of its heading, where that is less than 180. Raises DatasetError
    when headings are needed and not there.
    """
    if tolerance_m <= 0.0 or tolerance_deg <= 0.0:
        raise DatasetError('the tolerances must be positive')
    tree = cKDTree(places_m)
    near = [tree.query_ball_point(query, tolerance_m, return_sorted=True) for query in queries_m]
    if tolerance_deg >= ANY_HEADING_DEG:
        return tuple(tuple(int(i) for i in rows) for rows in near)
    if places_rad is None or queries_rad is None:
        raise DatasetError(f'a tolerance of {tolerance_deg:g} degrees needs headings, and not all '
                           'images of this set give one; leave it out')
    limit = np.cos(np.radians(tolerance_deg)) - 1e-12
    return tuple(tuple(int(i) for i in rows if np.cos(places_rad[i] - angle) >= limit)
                 for rows, angle in zip(near, queries_rad, strict=True))


def positives_by_number(places: Sequence[int], queries: Sequence[int], tolerance: int
                        ) -> Positives:
    """Return for each query the rows of the places whose number differs by up to `tolerance`."""
    if tolerance < 0:
        raise DatasetError('the tolerance in frames must not be negative')
    numbers = np.asarray(places, np.int64)
    order = np.argsort(numbers, kind='stable')
    ranked = numbers[order]
    found = []
    for number in queries:
        first, last = np.searchsorted(ranked, [number - tolerance, number + tolerance + 1])
        found.append(tuple(sorted(int(i) for i in order[first:last])))
    return tuple(found)
