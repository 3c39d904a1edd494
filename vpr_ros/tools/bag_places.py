# SPDX-License-Identifier: Apache-2.0
"""Recordings with poses as a set to learn from: places made by distance and heading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
import sys

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.datasets.places import grouped, joined, Places
from vpr_ros.datasets.run import Run
from vpr_ros.errors import DatasetError
from vpr_ros.tools.picture_source import BagCamera


@dataclass(frozen=True)
class PlaceConfig:
    """What counts as one place.

    An image belongs to a place within `place_m` and `place_deg` of its first image; places that
    look the same way are `apart_m` from one another, and images between belong to none. Of a
    robot that creeps or stands, an image is kept each `step_m` or `step_deg`.
    """

    place_m: float = 1.0
    place_deg: float = 30.0
    apart_m: float = 2.0
    step_m: float = 0.1
    step_deg: float = 5.0
    least_images: int = 2

    def __post_init__(self) -> None:
        if self.step_m < 0.0 or self.step_deg < 0.0 or self.least_images < 1:
            raise DatasetError('steps must not be negative, and a place needs an image')


def bag_places(cameras: Sequence[BagCamera], config: PlaceConfig | None = None,
               count: int = sys.maxsize) -> Places:
    """Return the images of recordings in one map frame, grouped by place across all of them.

    `count` bounds the images of a recording, evenly spread. Raises BagError for a recording
    without images or poses, DatasetError for frames that differ, and when no place has
    `least_images` images.
    """
    config = config or PlaceConfig()
    runs = [camera.run(count) for camera in cameras]
    if not runs:
        raise DatasetError('places are made of at least one recording')
    frames = {run.frame_id for run in runs}
    if len(frames) > 1:
        raise DatasetError(f'the poses of the recordings are in different frames, '
                           f'{" and ".join(sorted(frames))}, so their places cannot be compared; '
                           'make places of one at a time')
    single = [_whole(run, moved_rows(run.map_from_base, config)) for run in runs]
    name = ' + '.join(run.name for run in runs)
    whole = joined(name, single)
    assert whole.positions_m is not None
    return grouped(name, whole.images, whole.positions_m, whole.headings_rad,
                   f'recordings {name}, positions in {runs[0].frame_id}', config.place_m,
                   config.place_deg, config.apart_m, config.least_images)


def _whole(run: Run, rows: NDArray[np.intp]) -> Places:
    return Places(run.name, run.images, np.zeros(len(run.images), np.int64),
                  run.map_from_base[:, :2], se3.yaw_rad(run.map_from_base), 'one recording'
                  ).part(rows)


def moved_rows(poses: se3.Array, config: PlaceConfig) -> NDArray[np.intp]:
    """Return the rows (of N poses) at which the robot has moved or turned by a step."""
    kept = [0]
    for row in range(1, len(poses)):
        last = poses[kept[-1]]
        if (float(se3.distance_m(poses[row], last)) >= config.step_m
                or float(se3.angle_rad(poses[row], last)) >= math.radians(config.step_deg)):
            kept.append(row)
    return np.array(kept, np.intp)
