# SPDX-License-Identifier: Apache-2.0
"""What somebody else says of where the robot is, in the frame of the map."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
import threading
from typing import Any

from rclpy.node import Node

from vpr_ros.core import pose as se3
from vpr_ros.core.types import stamp_ns_of
from vpr_ros.errors import FrameError
from vpr_ros.ros.qos import odometry_qos

_KEPT = 512  # poses; the newest are what counts, and some of the past, since images come late


@dataclass(frozen=True, eq=False)
class ExternalPose:
    """Where somebody else says that the robot was: `pose` (7,) in the frame of the map."""

    stamp_ns: int
    pose: se3.Array


def checked_pose(message: Any) -> se3.Array:
    """Return the pose (7,) of a PoseWithCovarianceStamped or Odometry message.

    Raises FrameError for NaN and for a quaternion that is not of unit length.
    """
    position, turn = message.pose.pose.position, message.pose.pose.orientation
    try:
        return se3.checked((position.x, position.y, position.z, turn.x, turn.y, turn.z, turn.w))
    except ValueError as error:
        raise FrameError(str(error)) from error


class ExternalInput:
    """Listens to one topic of poses, and keeps those that can be compared with ours.

    `frame_id` tells the frame of the map. Poses in another frame are not transformed: who says
    where the robot is in `odom` says nothing of the map.
    """

    def __init__(self, node: Node, topic: str, kind: type[Any],
                 frame_id: Callable[[], str]) -> None:
        self.topic = topic
        self.received = 0
        self.refused = 0          # NaN, or a quaternion that is none
        self.in_another_frame = 0
        self.trouble = ''         # of the last message
        self.listener: Callable[[ExternalPose], None] = lambda _: None
        self._node = node
        self._kind = kind
        self._frame_id = frame_id
        self._lock = threading.Lock()
        self._poses: deque[ExternalPose] = deque(maxlen=_KEPT)
        self._subscription: Any = None

    def open(self) -> None:
        """Listen."""
        # Volatile and best effort suits every publisher; AMCL's latched pose would be an old one.
        self._subscription = self._node.create_subscription(
            self._kind, self.topic, self._receive, odometry_qos())

    def close(self) -> None:
        """Listen no more."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def clear(self) -> None:
        """Forget the poses; the counts go on."""
        with self._lock:
            self._poses.clear()

    def nearest(self, stamp_ns: int) -> ExternalPose | None:
        """Return the pose whose stamp is nearest, or None when there is none at all."""
        with self._lock:
            return min(self._poses, key=lambda pose: abs(pose.stamp_ns - stamp_ns), default=None)

    def is_there(self) -> bool:
        """Whether somebody publishes this topic."""
        # Counted is by the name as it is given, so it must be remapped before.
        name = self._node.resolve_topic_name(self.topic)
        return bool(self._node.count_publishers(name) > 0)

    def _receive(self, message: Any) -> None:
        self.received += 1
        try:
            found = self._checked(message)
        except FrameError as error:
            self.trouble = f'{self.topic} was ignored: {error}'
            self._node.get_logger().warning(self.trouble, throttle_duration_sec=10.0)
            return
        self.trouble = ''
        with self._lock:
            if self._poses and found.stamp_ns < self._poses[-1].stamp_ns:
                self._poses.clear()  # time jumped back
            self._poses.append(found)
        self.listener(found)

    def _checked(self, message: Any) -> ExternalPose:
        frame_id = message.header.frame_id
        if frame_id != self._frame_id():
            self.in_another_frame += 1
            raise FrameError(f'it is in frame {frame_id!r}, and the map in '
                             f'{self._frame_id()!r}; remap {self.topic} to a pose in that frame')
        try:
            return ExternalPose(stamp_ns_of(message), checked_pose(message))
        except FrameError:
            self.refused += 1
            raise
