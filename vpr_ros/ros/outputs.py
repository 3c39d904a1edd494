# SPDX-License-Identifier: Apache-2.0
"""What the node says about a frame, on which topics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseArray, PoseWithCovarianceStamped
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image, PointCloud2

from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.types import Frame, Outcome
from vpr_ros.ros import messages
from vpr_ros.ros.debug_image import debug_picture
from vpr_ros.ros.node_config import NodeConfig


@dataclass(frozen=True, eq=False)
class Judged:
    """One frame with its outcome, what is believed of each match, and how long it took."""

    frame: Frame
    outcome: Outcome
    probabilities: Sequence[float]
    decode_ms: float
    latency_ms: float   # from receiving the message to publishing
    age_ms: float       # from the image's stamp to publishing, by the node's clock


class Outputs:
    """The publishers of a relocalizer."""

    def __init__(self, node: LifecycleNode) -> None:
        def create(kind: type[Any], topic: str, depth: int = 10) -> Any:
            return node.create_lifecycle_publisher(kind, topic, QoSProfile(depth=depth))

        self._node = node
        self._pose = create(PoseWithCovarianceStamped, '~/pose')
        self._hypotheses = create(PoseArray, '~/hypotheses')
        self._matches = create(PointCloud2, '~/place_matches')
        self._status = create(DiagnosticStatus, '~/status')
        self._debug = create(Image, '~/debug_image', 1)

    def publish(self, judged: Judged, place_map: PlaceMap, config: NodeConfig) -> None:
        """Publish all about one frame; the status last, so that it closes the frame."""
        outcome = judged.outcome
        if (fix := outcome.accepted) is not None:
            self._pose.publish(messages.pose_with_covariance(fix))
        self._hypotheses.publish(messages.hypotheses(outcome, place_map.frame_id))
        self._matches.publish(
            messages.place_matches(outcome, place_map, judged.probabilities))
        if self._debug.get_subscription_count() > 0:
            picture = debug_picture(judged.frame.image, outcome, place_map, config.debug_places)
            self._debug.publish(messages.image(picture, outcome.stamp_ns, place_map.frame_id))
        times = {'decode_ms': judged.decode_ms, 'latency_ms': judged.latency_ms,
                 'age_ms': judged.age_ms}
        self._status.publish(messages.status(
            outcome, f'{self._node.get_name()}: {outcome.camera}', times))

    def destroy(self) -> None:
        """Take the topics down."""
        for publisher in (self._pose, self._hypotheses, self._matches, self._status,
                          self._debug):
            self._node.destroy_lifecycle_publisher(publisher)
