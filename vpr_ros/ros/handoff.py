# SPDX-License-Identifier: Apache-2.0
"""What happens to an accepted pose beside `~/pose`: who is told, who is asked, who disagrees."""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile

from vpr_ros.core.types import Hypothesis
from vpr_ros.ros.diagnostics import Finding
from vpr_ros.ros.external_input import ExternalInput
from vpr_ros.ros.external_watch import ExternalWatch
from vpr_ros.ros.initialpose import InitialposeSender, Known
from vpr_ros.ros.map_to_odom import MapToOdom, tf_broadcast
from vpr_ros.ros.node_config import NodeConfig
from vpr_ros.ros.odometry_input import OdometryInput

AMCL_POSE, EXTERNAL_ODOM = 'amcl_pose', 'external_odom'


class Handoff:
    """Gives accepted poses to other localizers, and compares theirs with ours.

    `frame_id` tells the frame of the map, which may be swapped.
    """

    def __init__(self, node: LifecycleNode, odometry: OdometryInput, config: NodeConfig,
                 frame_id: Callable[[], str]) -> None:
        """Raise VprError for a transform that cannot be published here."""
        self._node = node
        self._odometry = odometry
        self._config = config
        self._map_to_odom: MapToOdom | None = None
        self._tf: Any = None
        if config.publish_tf:
            broadcast, self._tf = tf_broadcast(node)
            self._map_to_odom = MapToOdom(broadcast)
        answers = ExternalInput(node, AMCL_POSE, PoseWithCovarianceStamped, frame_id)
        self._initialpose = InitialposeSender(node, answers, odometry, config)
        answers.listener = self._initialpose.hear
        others = ExternalInput(node, EXTERNAL_ODOM, Odometry, frame_id)
        self._watches = tuple(ExternalWatch(source, odometry) for source in (answers, others))
        self._disagreement = node.create_lifecycle_publisher(
            DiagnosticStatus, '~/disagreement', QoSProfile(depth=10))
        self._timer: Any = None

    def open(self) -> None:
        """Listen."""
        for watch in self._watches:
            watch.source.open()
        if self._map_to_odom is not None:
            self._timer = self._node.create_timer(1.0 / self._config.tf_rate_hz, self._send_tf)

    def close(self) -> None:
        """Listen no more, and say nothing."""
        for watch in self._watches:
            watch.source.close()
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None
        self.reset()

    def destroy(self) -> None:
        """Take the topics down."""
        self.close()
        self._initialpose.destroy()
        self._node.destroy_lifecycle_publisher(self._disagreement)
        if self._tf is not None:
            self._node.destroy_publisher(self._tf)

    def reset(self) -> None:
        """Begin anew: what was known of where the robot is has been dropped."""
        self._initialpose.rearm()
        for watch in self._watches:
            watch.clear()
        if self._map_to_odom is not None:
            self._map_to_odom.clear()

    def reconfigure(self, config: NodeConfig) -> None:
        """Use other settings from now on."""
        self._config = self._initialpose.config = config

    def accepted(self, fix: Hypothesis) -> None:
        """Take a pose that was just published."""
        known = Known(fix, self._odometry.at(fix.stamp_ns, 0.0))
        self._initialpose.offer(known)
        if self._map_to_odom is not None:
            trouble = self._map_to_odom.update(fix, known.odom_from_base,
                                               self._odometry.frame_id, time.monotonic())
            if trouble:
                self._node.get_logger().warning(trouble, throttle_duration_sec=10.0)
        self._compare(fix)

    def triggered(self, fix: Hypothesis, sends_before: int) -> None:
        """Send to `initialpose` what `~/trigger` asked for, unless it has just gone out."""
        if self._initialpose.sends == sends_before:
            self._initialpose.send_again(Known(fix, self._odometry.at(fix.stamp_ns, 0.0)))

    @property
    def sends(self) -> int:
        """How often `initialpose` was sent since it was last armed."""
        return self._initialpose.sends

    def findings(self) -> list[Finding]:
        """Look after what was sent, and return what goes to `/diagnostics`."""
        self._initialpose.look()
        return [*self._initialpose.findings(),
                *(finding for watch in self._watches for finding in watch.findings())]

    def _compare(self, fix: Hypothesis) -> None:
        """Say on `~/disagreement` how each external pose agrees; once when there is none."""
        spoken = [watch for watch in self._watches if watch.source.received]
        for watch in spoken or self._watches[:1]:
            comparison = watch.compare(fix, self._config)
            self._disagreement.publish(
                comparison.status(f'{self._node.get_name()}: {watch.source.topic}'))

    def _send_tf(self) -> None:
        assert self._map_to_odom is not None
        config = self._config
        self._map_to_odom.send(self._node.get_clock().now().nanoseconds, time.monotonic(),
                               config.transform_tolerance_s, config.tf_hold_s)
