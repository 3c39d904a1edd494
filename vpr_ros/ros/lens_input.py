# SPDX-License-Identifier: Apache-2.0
"""What the CameraInfo beside an image topic says of the lens; the first valid one counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]  # Humble has it here
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from vpr_ros.core.intrinsics import camera_info_topic, Intrinsics, is_rectified
from vpr_ros.errors import FrameError
from vpr_ros.ros.qos import subscribe

# Some drivers publish a CameraInfo with each image, others once and latch it. A volatile
# subscriber never gets a latched one, and one that asks for latched ones gets no others.
_VOLATILE = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT,
    durability=DurabilityPolicy.VOLATILE)
_LATCHED = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL)
_PERIOD_S = 0.5


class LensInput:
    """Listens to the CameraInfo of one camera until it has told of the lens.

    `topics` are the camera's image topics, resolved, by transport: the name of the CameraInfo
    follows the *remapped* image, as image_transport does it.
    """

    def __init__(self, node: Node, camera: str, topics: Mapping[str, str],
                 deliver: Callable[[str, Intrinsics], None]) -> None:
        image_topic = next(iter(topics.values()))
        self.topic = camera_info_topic(image_topic)
        self._node = node
        self._camera = camera
        self._deliver = deliver
        self._rectified = is_rectified(image_topic)
        self._subscriptions: list[Any] = []
        self._open(_VOLATILE)
        # Only where one is latched is a latched one asked for: drivers log who asks in vain.
        self._timer: Any = node.create_timer(_PERIOD_S, self._look_for_latched,
                                             clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self) -> None:
        """Listen no more."""
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop())
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None

    def _open(self, profile: QoSProfile) -> None:
        self._subscriptions.append(subscribe(
            self._node, CameraInfo, self.topic, self._receive, profile,
            lambda: None, lambda _count: None))

    def _look_for_latched(self) -> None:
        if len(self._subscriptions) != 1:
            return
        offers = [publisher.qos_profile.durability for publisher in
                  self._node.get_publishers_info_by_topic(self._subscriptions[0].topic_name)]
        if DurabilityPolicy.TRANSIENT_LOCAL in offers:
            self._open(_LATCHED)

    def _receive(self, message: CameraInfo) -> None:
        if not self._subscriptions:
            return  # the other subscription was quicker
        try:
            lens = Intrinsics.from_message(message, self._rectified)
        except FrameError as error:
            self._warn(str(error))
            return
        if lens is None:
            self._warn(f'{self.topic} says that the camera is not calibrated; views are verified '
                       'without its lens')
            return
        self._node.get_logger().info(
            f'camera {self._camera}: {self.topic} tells of a lens of {lens.width}x{lens.height}, '
            f'focal length {lens.fx:.0f} pixels')
        self.close()
        self._deliver(self._camera, lens)

    def _warn(self, text: str) -> None:
        self._node.get_logger().warning(f'camera {self._camera}: {text}',
                                        throttle_duration_sec=30.0)
