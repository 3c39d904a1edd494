# SPDX-License-Identifier: Apache-2.0
"""Odometry as it comes in by one thread and is asked for by another."""

from __future__ import annotations

import threading
import time
from typing import Any

from vpr_ros.core import pose as se3
from vpr_ros.core.motion import OdometryBuffer
from vpr_ros.core.types import stamp_ns_of
from vpr_ros.errors import FrameError

_SILENT_S = 1.0  # after this long without odometry nobody waits for it


class OdometryInput:
    """The odometry buffer behind a lock, with a wait for what is about to come."""

    def __init__(self) -> None:
        self._buffer = OdometryBuffer()
        self._news = threading.Condition()
        self._heard_s = float('-inf')
        self.received = 0
        self.refused = 0
        self.frame_id = ''  # of the newest message

    def add(self, message: Any) -> None:
        """Take a `nav_msgs/Odometry`. Raises FrameError for NaN and broken quaternions."""
        position, turn = message.pose.pose.position, message.pose.pose.orientation
        pose = (position.x, position.y, position.z, turn.x, turn.y, turn.z, turn.w)
        with self._news:
            try:
                self._buffer.add(stamp_ns_of(message), pose)
            except FrameError:
                self.refused += 1
                raise
            self.received += 1
            self.frame_id = message.header.frame_id
            self._heard_s = time.monotonic()
            self._news.notify_all()

    def at(self, stamp_ns: int, wait_s: float) -> se3.Array | None:
        """Return `odom_from_base` (7,) at an image's moment, or None.

        Odometry of that moment may reach us after the image: wait for it, where odometry flows.
        """
        with self._news:
            if self.flows:
                self._news.wait_for(lambda: self._buffer.covers(stamp_ns), wait_s)
            return self._buffer.at(stamp_ns)

    @property
    def flows(self) -> bool:
        """Whether odometry has come within the last second."""
        return time.monotonic() - self._heard_s < _SILENT_S

    def clear(self) -> None:
        """Forget the poses; the counts go on."""
        with self._news:
            self._buffer.clear()
