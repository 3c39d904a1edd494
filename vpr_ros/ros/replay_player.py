# SPDX-License-Identifier: Apache-2.0
"""The robot around the node, out of a bag: publishes images and odometry, hears the answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseArray, PoseWithCovarianceStamped
from lifecycle_msgs.srv import GetState
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image, PointCloud2

from vpr_ros.bags.answers import status_stamp_ns
from vpr_ros.bags.outcome_messages import HYPOTHESES, MATCHES, NODE, POSE, STATUS, TYPES
from vpr_ros.bags.recording import BagMessage
from vpr_ros.bags.wire import COMPRESSED_IMAGE, IMAGE
from vpr_ros.bags.writer import BagWriter
from vpr_ros.core.types import Reason, stamp_ns_of

_KINDS = {IMAGE: Image, COMPRESSED_IMAGE: CompressedImage}
_HEARD = {POSE: PoseWithCovarianceStamped, HYPOTHESES: PoseArray, MATCHES: PointCloud2,
          STATUS: DiagnosticStatus}
_DIAGNOSTICS, _DIAGNOSTICS_TYPE = '/diagnostics', 'diagnostic_msgs/msg/DiagnosticArray'
_ALWAYS = {HYPOTHESES, MATCHES, STATUS}


class Player(Node):
    """Sends what lies in a bag, and writes down what the node says, as it says it.

    One thread sends, another spins; `wait_for` lets the first wait for what the second hears.
    """

    def __init__(self, image_type: str, published: BagWriter) -> None:
        super().__init__('vpr_replay')
        topic = 'image/compressed' if image_type == COMPRESSED_IMAGE else 'image'
        self._images = self.create_publisher(_KINDS[image_type], topic, QoSProfile(
            depth=1, reliability=ReliabilityPolicy.RELIABLE))
        self._odometry = self.create_publisher(Odometry, 'odom', 100)
        # After the publishers: the node gets to know of all in this order. So whoever has it
        # answer here may take it that it hears the images, too.
        self._state: Any = self.create_client(GetState, f'{NODE}/get_state')
        self._image_type = image_type
        self._published = published
        self._news = threading.Condition()
        self._said: dict[int, set[str]] = {}      # by stamp, the topics that have spoken
        self._latest: tuple[int, float] = (0, time.monotonic())  # moment in the bag, and here
        self.odometry_sent = 0
        self.odometry_heard = 0   # by the node, as it says in its diagnostics
        self.heard_s = time.monotonic()
        for topic, kind in _HEARD.items():
            self.create_subscription(kind, topic, partial(self._hear, topic), 100, raw=True)
        self.create_subscription(DiagnosticArray, _DIAGNOSTICS, self._hear_diagnostics, 10,
                                 raw=True)

    @property
    def hears_all(self) -> bool:
        """Whether every topic of the node is there."""
        return (self._images.get_subscription_count() > 0
                and self._odometry.get_subscription_count() > 0
                and self._state.service_is_ready()
                and all(self.count_publishers(topic) > 0 for topic in _HEARD))

    def ask_state(self) -> Any:
        """Return a future that is done when the node has said its state: it hears us then."""
        return self._state.call_async(GetState.Request())

    def send_image(self, message: BagMessage) -> None:
        """Publish an image as it lies in the bag."""
        with self._news:
            self._latest = (message.record_ns, time.monotonic())
        self._images.publish(deserialize_message(message.cdr, _KINDS[self._image_type]))

    def send_odometry(self, message: BagMessage) -> None:
        """Publish an Odometry as it lies in the bag."""
        self.odometry_sent += 1
        self._odometry.publish(deserialize_message(message.cdr, Odometry))

    def wait_for(self, is_true: Callable[[], bool], limit_s: float) -> bool:
        """Wait until something heard makes it true; False when it took longer."""
        with self._news:
            return self._news.wait_for(is_true, limit_s)

    def has_answer(self, stamp_ns: int) -> bool:
        """Whether all about an image has come; topics do not come in the order of sending."""
        said = self._said.get(stamp_ns, set())
        return said >= _ALWAYS and (POSE in said or Reason.ACCEPTED.value not in said)

    def _hear(self, topic: str, data: bytes) -> None:
        message = deserialize_message(data, _HEARD[topic])
        words = {topic}
        if topic == STATUS:
            values = {item.key: item.value for item in message.values}
            stamp_ns = status_stamp_ns(values)
            words.add(values['reason'])
        else:
            stamp_ns = stamp_ns_of(message)
        with self._news:
            self.heard_s = time.monotonic()
            self._write(topic, TYPES[topic], data)
            self._said.setdefault(stamp_ns, set()).update(words)
            self._news.notify_all()

    def _hear_diagnostics(self, data: bytes) -> None:
        message = deserialize_message(data, DiagnosticArray)
        with self._news:
            self._write(_DIAGNOSTICS, _DIAGNOSTICS_TYPE, data)
            for status in message.status:
                for item in status.values:
                    if item.key == 'odometry received':
                        self.odometry_heard = int(item.value)
            self._news.notify_all()

    def _write(self, topic: str, msgtype: str, data: bytes) -> None:
        """Write a message at the moment of the bag's time at which it came."""
        record_ns, sent_s = self._latest
        if record_ns:
            late_ns = round((time.monotonic() - sent_s) * 1e9)
            self._published.raw(topic, msgtype, record_ns + late_ns, bytes(data))
