# SPDX-License-Identifier: Apache-2.0
"""Somebody else's pose beside ours, at the moment of each accepted image."""

from __future__ import annotations

from dataclasses import dataclass
import math
import time

from diagnostic_msgs.msg import DiagnosticStatus

from vpr_ros.core import pose as se3
from vpr_ros.core.published import stamp_text
from vpr_ros.core.types import Hypothesis
from vpr_ros.ros.diagnostics import Finding
from vpr_ros.ros.disagreement import Disagreement, Gap, gap, moved, Verdict
from vpr_ros.ros.external_input import ExternalInput
from vpr_ros.ros.messages import in_the_plane, key_values
from vpr_ros.ros.node_config import NodeConfig
from vpr_ros.ros.odometry_input import OdometryInput

_UNMOVED_NS = 500_000_000  # without odometry, a pose holds for as long as this
_LEVELS = {Verdict.AGREES: DiagnosticStatus.OK, Verdict.DISAGREES: DiagnosticStatus.WARN,
           Verdict.ABSENT: DiagnosticStatus.STALE}


@dataclass(frozen=True, eq=False)
class Comparison:
    """An accepted pose beside an external one; `theirs` (7,) is moved to the image's moment."""

    topic: str
    ours: Hypothesis
    theirs: se3.Array | None
    apart: Gap | None
    verdict: Verdict
    against: int     # comparisons in a row that speak against the verdict
    frames: int      # of as many that it takes to change it
    made_s: float    # monotonic

    @property
    def sentence(self) -> str:
        """What the comparison comes to."""
        if self.apart is None:
            return f'no pose on {self.topic} of the moment of the image'
        apart = f'{self.apart.distance_m:.1f} m and {self.apart.angle_rad:.2f} rad apart'
        so_far = (f', and {self.against} of {self.frames} frames speak for the contrary'
                  if self.against else '')
        if self.verdict is Verdict.AGREES:
            return f'{self.topic} agrees: {apart}{so_far}'
        return (f'{self.topic} disagrees: {apart}{so_far}; one of the two is lost. ~/trigger '
                'sends ours to initialpose, where that is asked for')

    def values(self) -> dict[str, object]:
        """Return what stands beside the sentence; NaN where there was nothing to compare."""
        apart = self.apart or Gap(math.nan, math.nan)
        return {
            'verdict': self.verdict.value,
            'distance_m': f'{apart.distance_m:.3f}',
            'angle_rad': f'{apart.angle_rad:.4f}',
            'frames_against': self.against,
            'stamp': stamp_text(self.ours.stamp_ns),
            'ours': in_the_plane(self.ours.pose),
            'theirs': 'none' if self.theirs is None else in_the_plane(self.theirs),
        }

    def status(self, name: str) -> DiagnosticStatus:
        """Return what goes to `~/disagreement`."""
        return DiagnosticStatus(level=_LEVELS[self.verdict], name=name, message=self.sentence,
                                hardware_id=self.topic, values=key_values(self.values()))


class ExternalWatch:
    """Compares the poses of one topic with those that are accepted."""

    def __init__(self, source: ExternalInput, odometry: OdometryInput) -> None:
        self.source = source
        self._odometry = odometry
        self._disagreement = Disagreement()
        self._last: Comparison | None = None

    def clear(self) -> None:
        """Forget what was compared."""
        self.source.clear()
        self._disagreement = Disagreement()
        self._last = None

    def compare(self, ours: Hypothesis, config: NodeConfig) -> Comparison:
        """Return how an accepted pose and the external one of its moment agree."""
        theirs = self._at(ours.stamp_ns, config.external_max_age_s)
        apart = None if theirs is None else gap(ours.pose, theirs)
        near = None if apart is None else apart.is_within(config.agree_m, config.agree_rad)
        verdict = self._disagreement.judge(near, config.disagree_frames)
        self._last = Comparison(self.source.topic, ours, theirs, apart, verdict,
                                self._disagreement.count, config.disagree_frames,
                                time.monotonic())
        return self._last

    def findings(self) -> list[Finding]:
        """Return what goes to `/diagnostics`; nothing for a topic that nobody uses."""
        source, last = self.source, self._last
        if source.received == 0:
            return []
        values: dict[str, object] = {
            'received': source.received, 'refused (NaN)': source.refused,
            'in another frame': source.in_another_frame}
        if last is not None:
            values.update({**last.values(),
                           'seconds since': f'{time.monotonic() - last.made_s:.1f}'})
        disagrees = last is not None and last.verdict is Verdict.DISAGREES
        trouble = source.trouble or (last.sentence if last is not None and disagrees else None)
        fine = last.sentence if last is not None else 'no pose of ours to compare with yet'
        return [Finding(source.topic, trouble, fine, values)]

    def _at(self, stamp_ns: int, max_age_s: float) -> se3.Array | None:
        """Return where they say the robot was at an image's moment, or None."""
        near = self.source.nearest(stamp_ns)
        if near is None or abs(near.stamp_ns - stamp_ns) > max_age_s * 1e9:
            return None
        then, now = self._odometry.at(near.stamp_ns, 0.0), self._odometry.at(stamp_ns, 0.0)
        if then is not None and now is not None:
            return moved(near.pose, then, now)
        return near.pose if abs(near.stamp_ns - stamp_ns) <= _UNMOVED_NS else None
