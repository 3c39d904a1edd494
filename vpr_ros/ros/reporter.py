# SPDX-License-Identifier: Apache-2.0
"""What goes to `/diagnostics` once a second."""

from __future__ import annotations

from collections.abc import Mapping
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]  # Humble has it here
from rclpy.lifecycle import LifecycleNode

from vpr_ros.ros.camera_input import CameraInput
from vpr_ros.ros.diagnostics import Rate
from vpr_ros.ros.messages import header, key_values
from vpr_ros.ros.pipeline import Pipeline

_PERIOD_S = 1.0


class Reporter:
    """Looks after the inputs once a second, warns when one gets into trouble, and reports."""

    def __init__(self, node: LifecycleNode, pipeline: Pipeline,
                 inputs: Mapping[str, CameraInput]) -> None:
        self._node = node
        self._pipeline = pipeline
        self._inputs = inputs
        self._troubled: set[str] = set()
        self._rates: dict[str, Rate] = {}
        self.failures = 0
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        # By the steady clock: simulated time may stand still, and that is worth a report, too.
        self._timer = node.create_timer(_PERIOD_S, self._report,
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))

    def destroy(self) -> None:
        """Say no more."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)

    def _report(self) -> None:
        now_s = time.monotonic()
        cameras = [self._camera(camera, now_s) for camera in self._inputs.values()]
        stamp_ns = self._node.get_clock().now().nanoseconds
        self._publisher.publish(DiagnosticArray(
            header=header(stamp_ns, ''),
            status=[*cameras, self._localization(now_s), *self._handoff(), self._map(),
                    self._calibration()]))

    def _camera(self, camera: CameraInput, now_s: float) -> DiagnosticStatus:
        trouble = camera.look_after()
        if trouble is None:
            self._troubled.discard(camera.camera)
        elif camera.camera not in self._troubled:  # once for each time that it begins
            self._troubled.add(camera.camera)
            self._node.get_logger().warning(f'camera {camera.camera}: {trouble}')
        name, pipeline = camera.camera, self._pipeline
        values = {
            'rate in, Hz': self._rate(f'in {name}', camera.counts.received, now_s),
            'rate out, Hz': self._rate(f'out {name}', pipeline.judged[name], now_s),
            'judged': pipeline.judged[name],
            'undecodable': pipeline.undecodable[name],
            **camera.values(),
        }
        if pipeline.needs_lenses:
            values['lens'] = pipeline.lens_of(name)
        return self._status(f'camera {name}', trouble, 'images arrive', values)

    def _localization(self, now_s: float) -> DiagnosticStatus:
        pipeline = self._pipeline
        latest = pipeline.latest
        values = {
            'state': 'active' if self._inputs else 'inactive',
            'verdict': latest.reason.value if latest else 'none yet',
            'accepted': pipeline.accepted,
            'accepted, Hz': self._rate('accepted', pipeline.accepted, now_s),
            'latency p50, ms': f'{pipeline.latencies.quantile(0.5):.1f}',
            'latency p95, ms': f'{pipeline.latencies.quantile(0.95):.1f}',
            'odometry received': pipeline.odometry.received,
            'odometry, Hz': self._rate('odometry', pipeline.odometry.received, now_s),
            'odometry refused': pipeline.odometry.refused,
            'failures': self.failures,
        }
        trouble = f'{self.failures} frames failed; see the log' if self.failures else None
        return self._status('localization', trouble, 'running', values)

    def _handoff(self) -> list[DiagnosticStatus]:
        return [self._status(finding.part, finding.trouble, finding.fine, finding.values)
                for finding in self._pipeline.handoff.findings()]

    def _map(self) -> DiagnosticStatus:
        place_map, card = self._pipeline.place_map, self._pipeline.describer.card
        return self._status('map', None, 'loaded', {
            'map': self._node.get_parameter('map').value,
            'map digest': place_map.digest,
            'places': len(place_map),
            'frame': place_map.frame_id,
            'model': card.name,
            'model digest': card.digest,
        })

    def _calibration(self) -> DiagnosticStatus:
        promise, flows = self._pipeline.promise, self._pipeline.odometry.flows
        return self._status('calibration', None, promise.sentence_with(flows), promise.values())

    def _rate(self, name: str, count: int, now_s: float) -> str:
        return f'{self._rates.setdefault(name, Rate()).look(count, now_s):.1f}'

    def _status(self, part: str, trouble: str | None, fine: str,
                values: Mapping[str, object]) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=DiagnosticStatus.WARN if trouble else DiagnosticStatus.OK,
            name=f'{self._node.get_name()}: {part}', message=trouble or fine,
            hardware_id=self._node.get_fully_qualified_name(), values=key_values(values))
