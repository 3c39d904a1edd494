# SPDX-License-Identifier: Apache-2.0
"""Stamped poses as they were recorded, put in order or refused."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.core.trajectory_lookup import seconds
from vpr_ros.core.types import Trajectory
from vpr_ros.errors import BagError

REORDER_S = 0.5  # messages may overtake one another by this much; more is a clock that jumped
_SAME_M = 0.1    # two poses at one stamp that differ by less are one pose sent twice
_SAME_RAD = 0.1
_UNIT_TOLERANCE = 1e-3  # as core.pose


class Samples:
    """Poses of one source, in the order of recording."""

    def __init__(self, name: str) -> None:
        self.name = name  # for errors: a topic, or a link as `odom -> base_link`
        self._stamps_ns: list[int] = []
        self._poses: list[tuple[float, ...]] = []
        self._bags: list[int] = []

    def add(self, bag: int, stamp: Any, position: Any, orientation: Any) -> None:
        """Add one pose from the parts of a message (a stamp, a vector, a quaternion)."""
        self._bags.append(bag)
        self._stamps_ns.append(stamp.sec * 1_000_000_000 + stamp.nanosec)
        self._poses.append((position.x, position.y, position.z,
                            orientation.x, orientation.y, orientation.z, orientation.w))

    def latest(self) -> se3.Array:
        """Return the last pose. Raises BagError as `trajectory` does for bad poses."""
        latest: se3.Array = self._checked_poses()[-1]
        return latest

    def differ(self) -> bool:
        """Whether the poses are not one and the same."""
        poses = self._checked_poses()
        return bool((se3.distance_m(poses, poses[0]) > 1e-6).any()
                    or (se3.angle_rad(poses, poses[0]) > 1e-6).any())

    def trajectory(self, frame_id: str) -> Trajectory:
        """Return the samples in the order of their stamps, in `frame_id`.

        A pose that repeats the stamp of another is dropped (as tf2 drops it), and one that was
        overtaken by up to REORDER_S is put in its place.
        Raises BagError for poses that are not finite or not of unit length, for stamps that jump
        back further, for two different poses at one stamp, and for bags that overlap in time.
        """
        stamps_ns = np.array(self._stamps_ns, np.int64)
        bags = np.array(self._bags)
        poses = self._checked_poses()
        for bag in np.unique(bags):
            self._refuse_jump(stamps_ns[bags == bag])
        self._refuse_overlap(stamps_ns, bags)
        order = np.argsort(stamps_ns, kind='stable')
        stamps_ns, poses, bags = stamps_ns[order], poses[order], bags[order]
        repeated = np.flatnonzero(np.diff(stamps_ns) == 0) + 1
        self._refuse_contradiction(stamps_ns, poses, repeated)
        stamps_ns, poses, bags = (np.delete(rows, repeated, axis=0)
                                  for rows in (stamps_ns, poses, bags))
        breaks = tuple(int(row) for row in np.flatnonzero(np.diff(bags)) + 1)
        return Trajectory(stamps_ns, poses, frame_id, breaks)

    def _checked_poses(self) -> se3.Array:
        poses = np.array(self._poses, np.float64).reshape(-1, 7)
        if len(poses) == 0:
            raise BagError(f'{self.name} has no poses; choose another pose source')
        with np.errstate(invalid='ignore', over='ignore'):
            unit = np.abs(np.linalg.norm(poses[:, 3:], axis=1) - 1.0) <= _UNIT_TOLERANCE
        bad = np.flatnonzero(~(np.isfinite(poses).all(axis=1) & unit))
        if len(bad):
            raise BagError(f'{len(bad)} of {len(poses)} poses of {self.name} hold NaN, infinity '
                           'or a quaternion that is not of unit length (the first at '
                           f'{seconds(self._stamps_ns[bad[0]])}); choose another pose source')
        return poses

    def _refuse_jump(self, stamps_ns: NDArray[np.int64]) -> None:
        latest_ns = np.maximum.accumulate(stamps_ns)
        behind_ns = latest_ns - stamps_ns
        if len(late := np.flatnonzero(behind_ns > REORDER_S * 1e9)):
            row = late[0]
            raise BagError(f'the stamps of {self.name} jump back by {behind_ns[row] * 1e-9:.2f} s '
                           f'after {seconds(int(latest_ns[row]))}: a bag was recorded from a loop '
                           'or a clock was set; cut it there into two bags')

    def _refuse_overlap(self, stamps_ns: NDArray[np.int64], bags: NDArray[Any]) -> None:
        spans = sorted((int(stamps_ns[bags == bag].min()), int(stamps_ns[bags == bag].max()))
                       for bag in np.unique(bags))
        for (_, end_ns), (start_ns, _) in pairwise(spans):
            if end_ns - start_ns > REORDER_S * 1e9:
                raise BagError(f'two of the bags overlap in time on {self.name}, from '
                               f'{seconds(start_ns)} to {seconds(end_ns)}, so a moment has two '
                               'poses (a simulated clock?); use them one at a time')

    def _refuse_contradiction(self, stamps_ns: NDArray[np.int64], poses: se3.Array,
                              repeated: NDArray[np.intp]) -> None:
        a, b = poses[repeated - 1], poses[repeated]
        apart = (se3.distance_m(a, b) > _SAME_M) | (se3.angle_rad(a, b) > _SAME_RAD)
        if apart.any():
            stamp_ns = int(stamps_ns[repeated[apart]][0])
            raise BagError(f'{self.name} has different poses at one stamp, {int(apart.sum())} '
                           f'times (the first at {seconds(stamp_ns)}): two nodes publish it, or '
                           'one leaves the stamp empty; choose another pose source')
