# SPDX-License-Identifier: Apache-2.0
"""One camera: its subscriptions, what became of its images, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
import math
import time
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from vpr_ros.core.types import stamp_ns_of
from vpr_ros.ros.diagnostics import CameraCounts, Delivery, Losses
from vpr_ros.ros.node_config import NodeConfig
from vpr_ros.ros.qos import image_qos, LARGE_IMAGES, subscribe, why_silent
from vpr_ros.ros.rate_gate import RateGate
from vpr_ros.ros.worker import Arrival

_COMPRESSED = '/compressed'
_KINDS = {'raw': (Image, 'sensor_msgs/msg/Image'),
          'compressed': (CompressedImage, 'sensor_msgs/msg/CompressedImage')}
_SILENT_S = 2.0      # without an image for this long, something is said
_POOR_SHARE = 0.6    # below this share of its images arriving, too


class CameraInput:
    """Receives the images of one camera, raw or compressed, and hands on those that count.

    A driver that offers both transports makes each only while somebody listens. So with
    `image_transport` auto both are subscribed to until one has spoken; then the other is closed.
    """

    def __init__(self, node: Node, camera: str, topic: str, config: NodeConfig,
                 deliver: Callable[[Arrival], bool]) -> None:
        self.camera = camera
        self.counts = CameraCounts()
        self.delivery = Delivery()
        self.newest: Arrival | None = None
        self.incompatible = 0
        self._node = node
        self._deliver = deliver
        self._losses = Losses()
        self._gate = RateGate(config.max_rate_hz)
        self._profile = image_qos(config.image_reliability)
        self.topics = _topics(node.resolve_topic_name(topic), config.image_transport)
        self._subscriptions: dict[str, Any] = {}
        self._speaking: str | None = None
        self._last_ns: int | None = None
        self._opened_s = time.monotonic()
        self._open(self.topics)

    def close(self) -> None:
        """Listen no more."""
        for transport in list(self._subscriptions):
            self._close(transport)

    def limit(self, max_rate_hz: float) -> None:
        """Use another rate limit from the next image on."""
        self._gate.max_rate_hz = max_rate_hz

    def look_after(self) -> str | None:
        """Return what is wrong with this camera, or None; to be called about once a second."""
        silent_s = time.monotonic() - max(self.counts.heard_s, self._opened_s)
        rate_hz = self.delivery.camera_rate_hz
        if silent_s > max(_SILENT_S, 3.0 / rate_hz if rate_hz else 0.0):
            self._speaking = None
            self._open(self.topics)
            requested = {name: _KINDS[transport][1] for transport, name in self.topics.items()}
            return why_silent(self._node, requested, self._profile)
        if self._speaking is not None:
            for transport in set(self._subscriptions) - {self._speaking}:
                self._close(transport)
        lost = self._losses.look(self.counts.received, self.counts.lost)
        if lost > 1.0 - _POOR_SHARE:
            return f'{lost:.0%} of the images are lost on the way: {LARGE_IMAGES}'
        share = self.delivery.share
        if share is not None and rate_hz and share < _POOR_SHARE:
            return (f'only {share:.0%} of the images arrive that a camera of {rate_hz:.0f} Hz '
                    f'takes: this computer is too busy, or {LARGE_IMAGES}')
        return None

    @property
    def heard(self) -> str:
        """The topic that the images come from, or those that are listened to."""
        chosen = [self._speaking] if self._speaking else list(self._subscriptions)
        return ', '.join(self.topics[transport] for transport in chosen)

    def _open(self, transports: dict[str, str]) -> None:
        for transport, topic in transports.items():
            if transport not in self._subscriptions:
                self._subscriptions[transport] = subscribe(
                    self._node, _KINDS[transport][0], topic, partial(self._receive, transport),
                    self._profile, self._mismatch, self._lost)

    def _close(self, transport: str) -> None:
        self._node.destroy_subscription(self._subscriptions.pop(transport))

    def _mismatch(self) -> None:
        self.incompatible += 1

    def _lost(self, count: int) -> None:
        self.counts.lost += count

    def _receive(self, transport: str, message: Any) -> None:
        counts = self.counts
        counts.received += 1
        counts.heard_s = time.monotonic()
        self._speaking = self._speaking or transport
        stamp_ns = stamp_ns_of(message)
        if transport != self._speaking or stamp_ns == self._last_ns:
            counts.duplicates += 1
            return
        if stamp_ns == 0:
            counts.unstamped += 1
            self._node.get_logger().warning(
                f'camera {self.camera}: images without a stamp are left out, since nobody can '
                'say when they were taken; have the driver fill header.stamp',
                throttle_duration_sec=10.0)
            return
        self._last_ns = stamp_ns
        self.delivery.add(stamp_ns)
        self.newest = Arrival(self.camera, stamp_ns, message, counts.heard_s)
        if not self._gate.admits(stamp_ns):
            counts.gated += 1
        elif self._deliver(self.newest):
            counts.dropped += 1

    def values(self) -> dict[str, object]:
        """Return the counts and estimates as they go to `/diagnostics`."""
        counts, share = self.counts, self.delivery.share
        return {
            'topic': self.heard,
            'received': counts.received,
            'dropped (a newer image came first)': counts.dropped,
            'left out by max_rate_hz': counts.gated,
            'without a stamp': counts.unstamped,
            'twice': counts.duplicates,
            'lost on the way': counts.lost,
            'camera rate (estimated), Hz': f'{self.delivery.camera_rate_hz or math.nan:.1f}',
            'arriving': 'nan' if share is None else f'{share:.0%}',
            'publishers of incompatible QoS': self.incompatible,
        }


def _topics(base: str, transport: str) -> dict[str, str]:
    """Return transport: resolved topic. A base that is itself a compressed topic is that one.

    The compressed name follows the *remapped* base, as image_transport does it.
    """
    if base.endswith(_COMPRESSED):
        return {'compressed': base}
    both = {'raw': base, 'compressed': base + _COMPRESSED}
    return both if transport == 'auto' else {transport: both[transport]}
