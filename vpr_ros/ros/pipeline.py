# SPDX-License-Identifier: Apache-2.0
"""One frame's way after it was received: decode, localize, publish."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
import time

from rclpy.lifecycle import LifecycleNode

from vpr_ros.core.intrinsics import Intrinsics
from vpr_ros.core.localizer import Localizer, LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.published import stamp_text
from vpr_ros.core.types import Camera, Outcome
from vpr_ros.errors import FrameError
from vpr_ros.nets.engine_describer import EngineDescriber
from vpr_ros.ros.decoders import Decoder
from vpr_ros.ros.diagnostics import Latencies
from vpr_ros.ros.handoff import Handoff
from vpr_ros.ros.node_config import NodeConfig
from vpr_ros.ros.odometry_input import OdometryInput
from vpr_ros.ros.outputs import Judged, Outputs
from vpr_ros.ros.promise import Promise
from vpr_ros.ros.worker import Arrival


@dataclass(frozen=True, eq=False)
class Setup:
    """What the node was configured with, but for the map, which may be swapped."""

    config: NodeConfig
    thresholds: LocalizerConfig
    cameras: Sequence[Camera]
    decode: Decoder
    describer: EngineDescriber


class Pipeline:
    """Holds the localizer and the map; while the node is active only its worker comes here."""

    def __init__(self, node: LifecycleNode, setup: Setup, place_map: PlaceMap) -> None:
        """Raise MapError for a map of another model, or one that lacks a mount or features."""
        self.config = setup.config
        self.thresholds = setup.thresholds
        self.describer = setup.describer
        self.odometry = OdometryInput()
        self.latencies = Latencies()
        self.judged: Counter[str] = Counter()       # frames of each camera
        self.undecodable: Counter[str] = Counter()
        self.accepted = 0
        self.lenses: dict[str, Intrinsics] = {}     # of each camera that has told
        self.latest: Outcome | None = None
        self._node = node
        self.setup = setup
        self._take(place_map)
        # First what may be refused, so that nothing is left behind.
        self.handoff = Handoff(node, self.odometry, self.config, lambda: self.place_map.frame_id)
        self._outputs = Outputs(node)
        self.reset()

    def use(self, place_map: PlaceMap) -> None:
        """Localize in `place_map` from now on. Raises MapError, and then keeps the old one."""
        self._take(place_map)
        self.reset()

    def destroy(self) -> None:
        """Take the topics down."""
        self._outputs.destroy()
        self.handoff.destroy()

    def reset(self) -> None:
        """Forget where the robot was and how it moved."""
        self.localizer.reset()
        self.odometry.clear()
        self.latest = None
        self._judged_ns: dict[str, int] = {}
        self.handoff.reset()

    def reconfigure(self, config: NodeConfig, thresholds: LocalizerConfig) -> None:
        """Use other settings from the next frame on. Raises MapError for what cannot change."""
        before = self.promise.sentence
        self.localizer.reconfigure(thresholds)
        self.config, self.thresholds = config, thresholds
        if self.promise.sentence != before:
            self._say_promise()
        self.handoff.reconfigure(config)

    def judge(self, arrival: Arrival) -> Outcome | None:
        """Localize one image and say so; None when it cannot be decoded."""
        if self._judged_ns.get(arrival.camera) == arrival.stamp_ns:
            return self.latest  # a trigger was quicker
        started_s = time.perf_counter()
        try:
            frame = self.setup.decode(arrival.message, arrival.camera)
        except FrameError as error:
            self.undecodable[arrival.camera] += 1
            self._node.get_logger().warning(
                f'camera {arrival.camera}: an image was left out: {error}',
                throttle_duration_sec=10.0)
            return None
        decode_ms = (time.perf_counter() - started_s) * 1e3
        wait_s = self.config.odom_wait_s
        outcome = self.localizer.localize(
            frame, lambda stamp_ns: self.odometry.at(stamp_ns, wait_s))
        if outcome.restarted:
            self._node.get_logger().warning(
                f'time jumped back to {stamp_text(outcome.stamp_ns)}: what was believed of the '
                'time before is dropped')
            self.handoff.reset()
        now_ns = self._node.get_clock().now().nanoseconds
        judged = Judged(frame, outcome, self.localizer.place_probabilities(outcome), decode_ms,
                        (time.monotonic() - arrival.received_s) * 1e3,
                        (now_ns - outcome.stamp_ns) * 1e-6)
        self._outputs.publish(judged, self.place_map, self.config)
        self._remember(arrival, judged)
        if (fix := outcome.accepted) is not None:
            self.handoff.accepted(fix)
        return outcome

    @property
    def needs_lenses(self) -> bool:
        """Whether the views are verified geometrically, for which the lenses matter."""
        return self.thresholds.verify.is_on

    @property
    def promise(self) -> Promise:
        """What the probabilities are worth."""
        return Promise.of(self.localizer, self.place_map, self.thresholds.accept_probability)

    def lens_of(self, camera: str) -> str:
        """Return, for `/diagnostics`, where the lens of a camera is known from."""
        if camera in self.lenses:
            return 'known'
        known = any(other.name == camera and other.intrinsics for other in self.place_map.cameras)
        return 'as in the map' if known else 'no CameraInfo yet'

    def use_lens(self, camera: str, lens: Intrinsics) -> None:
        """Use what a CameraInfo says of a camera, from the next frame on."""
        self.lenses[camera] = lens
        self.localizer.set_intrinsics(camera, lens)

    def _take(self, place_map: PlaceMap) -> None:
        localizer = Localizer(self.thresholds, place_map, self.describer, self.setup.cameras)
        for camera, lens in self.lenses.items():
            localizer.set_intrinsics(camera, lens)
        self.localizer = localizer
        self.place_map = place_map
        self._node.get_logger().info(
            f'map {place_map.digest[:12]} of {len(place_map)} places in frame '
            f'{place_map.frame_id}; model {self.describer.card.name} '
            f'{self.describer.card.digest[:12]}')
        self._say_promise()

    def _say_promise(self) -> None:
        log = self._node.get_logger()
        promise = self.promise
        # Two calls: rclpy refuses one place in the code that speaks with two severities.
        if promise.unlike:
            log.warning(promise.sentence)
        else:
            log.info(promise.sentence)

    def _remember(self, arrival: Arrival, judged: Judged) -> None:
        self.latest = judged.outcome
        self._judged_ns[arrival.camera] = arrival.stamp_ns
        self.judged[arrival.camera] += 1
        self.accepted += judged.outcome.accepted is not None
        self.latencies.add(judged.latency_ms)
