# SPDX-License-Identifier: Apache-2.0
"""Odometry by time: where the robot was, in the odometry's own frame, at an image's moment."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from vpr_ros.core import pose as se3
from vpr_ros.errors import FrameError


class OdometryBuffer:
    """The latest odometry poses, interpolated between samples, never extrapolated."""

    def __init__(self, span_s: float = 10.0, max_gap_s: float = 0.5) -> None:
        self._span_ns = int(span_s * 1e9)
        self._max_gap_ns = int(max_gap_s * 1e9)
        self._stamps_ns: list[int] = []
        self._poses: list[se3.Array] = []

    def add(self, stamp_ns: int, odom_from_base: object) -> None:
        """Take one sample; time that jumps backwards starts the buffer anew.

        Raises FrameError for NaN and for a quaternion that is not of unit length.
        """
        try:
            pose = se3.checked(odom_from_base)
        except ValueError as error:
            raise FrameError(f'odometry was ignored: {error}') from error
        if self._stamps_ns and stamp_ns <= self._stamps_ns[-1]:
            if stamp_ns == self._stamps_ns[-1]:
                return
            self.clear()
        self._stamps_ns.append(stamp_ns)
        self._poses.append(pose)
        oldest = bisect_left(self._stamps_ns, stamp_ns - self._span_ns)
        del self._stamps_ns[:oldest], self._poses[:oldest]

    def covers(self, stamp_ns: int) -> bool:
        """Say whether a sample at or after `stamp_ns` has come."""
        return bool(self._stamps_ns) and self._stamps_ns[-1] >= stamp_ns

    def at(self, stamp_ns: int) -> se3.Array | None:
        """Return `odom_from_base` (7,) at `stamp_ns`; None unless close samples hold it."""
        after = bisect_left(self._stamps_ns, stamp_ns)
        if after == len(self._stamps_ns):
            return None
        if self._stamps_ns[after] == stamp_ns:
            return self._poses[after]
        if after == 0:
            return None
        start, end = self._stamps_ns[after - 1], self._stamps_ns[after]
        if end - start > self._max_gap_ns:
            return None
        fraction = np.asarray((stamp_ns - start) / (end - start))
        return se3.interpolate(self._poses[after - 1], self._poses[after], fraction)

    def clear(self) -> None:
        """Forget everything."""
        self._stamps_ns.clear()
        self._poses.clear()
