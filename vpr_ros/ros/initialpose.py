# SPDX-License-Identifier: Apache-2.0
"""`initialpose`: sent by AMCL's rules, then watched on `amcl_pose` until it has settled."""

from __future__ import annotations

from dataclasses import dataclass
import threading
import time

from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile

from vpr_ros.core import pose as se3
from vpr_ros.core.published import stamp_text
from vpr_ros.core.types import Hypothesis
from vpr_ros.ros import messages
from vpr_ros.ros.diagnostics import Finding
from vpr_ros.ros.disagreement import Gap, gap, moved
from vpr_ros.ros.external_input import ExternalInput, ExternalPose
from vpr_ros.ros.initialpose_watch import InitialposeWatch, Patience, State
from vpr_ros.ros.node_config import NodeConfig
from vpr_ros.ros.odometry_input import OdometryInput

_OLDER_NS = 1_000_000_000  # an answer may be of a scan from before the image, by as much as this
_ODOMETRY_LAG_S = 1.0      # an answer waits so long for the odometry of its moment


@dataclass(frozen=True, eq=False)
class Known:
    """An accepted pose with the odometry of its moment, where there is any."""

    fix: Hypothesis
    odom_from_base: se3.Array | None


class InitialposeSender:
    """Offers every accepted pose to the watch, which says when one is to be sent.

    The worker's thread offers, the executor's hears and looks. An answer is compared with what
    is accepted by then, moved on by odometry: that is the pose that was sent, unless it was
    corrected since, and then the receiver had better follow.
    """

    def __init__(self, node: LifecycleNode, answers: ExternalInput, odometry: OdometryInput,
                 config: NodeConfig) -> None:
        self.config = config
        self._node = node
        self._answers = answers
        self._odometry = odometry
        self._lock = threading.Lock()
        self._watch = InitialposeWatch(_patience(config))
        self._sent: Hypothesis | None = None
        self._known: Known | None = None                    # the newest accepted pose
        self._answer: tuple[ExternalPose, float] | None = None  # not compared yet, and when heard
        self._said: tuple[ExternalPose, Gap] | None = None  # the last that was compared
        self._publisher = node.create_lifecycle_publisher(
            PoseWithCovarianceStamped, 'initialpose', QoSProfile(depth=1))

    @property
    def sends(self) -> int:
        """How often a pose was sent since it was last armed."""
        return self._watch.sends

    def destroy(self) -> None:
        """Take the topic down."""
        self._node.destroy_lifecycle_publisher(self._publisher)

    def rearm(self) -> None:
        """Begin anew with the next accepted pose: what was known is forgotten."""
        with self._lock:
            self._watch.rearm()
            self._sent = self._known = self._answer = self._said = None

    def offer(self, known: Known) -> None:
        """Send an accepted pose if one is due, and if somebody listens."""
        if not self.config.publish_initialpose:
            return
        now_s = time.monotonic()
        self.look()
        with self._lock:
            self._known = known
            # Not before somebody listens: AMCL may come up after us.
            if not self._watch.is_due(now_s) or not self._publisher.get_subscription_count():
                return
            self._watch.sent(now_s)
            self._sent, self._answer, self._said = known.fix, None, None
            self._publisher.publish(messages.initialpose(known.fix))

    def send_again(self, known: Known) -> None:
        """Send `known` whatever became of those before, and watch it as the first."""
        self.rearm()
        self.offer(known)

    def hear(self, answer: ExternalPose) -> None:
        """Take what the receiver says of where it is."""
        with self._lock:
            if self._sent is not None and answer.stamp_ns > self._sent.stamp_ns - _OLDER_NS:
                self._answer = (answer, time.monotonic())

    def look(self) -> None:
        """Judge what was sent, once its time is over; to be called about once a second."""
        if not self.config.publish_initialpose:
            return
        now_s, there = time.monotonic(), self._answers.is_there()
        with self._lock:
            before = self._watch.state
            self._watch.patience = _patience(self.config)
            self._compare(now_s)
            self._watch.look(now_s, there)
            state = self._watch.state
        if state is not before:
            trouble, fine = self._sentence(now_s)
            logger = self._node.get_logger()
            if trouble:  # two lines, since rclpy holds each call to one severity
                logger.warning(f'initialpose: {trouble}')
            else:
                logger.info(f'initialpose: {fine}')

    def findings(self) -> list[Finding]:
        """Return what goes to `/diagnostics`."""
        if not self.config.publish_initialpose:
            return []
        now_s, watch = time.monotonic(), self._watch
        trouble, fine = self._sentence(now_s)
        values: dict[str, object] = {'state': watch.state.value,
                                     'sent': f'{watch.sends} of {watch.patience.tries}'}
        if watch.state in (State.WATCHED, State.WAITING):
            values['seconds left'] = f'{watch.wait_s(now_s):.1f}'
        if sent := self._sent:
            values['what was sent'] = messages.in_the_plane(sent.pose)
            values['stamp of what was sent'] = stamp_text(sent.stamp_ns)
        if said := self._said:
            answer, found = said
            values[f'what {self._answers.topic} says'] = messages.in_the_plane(answer.pose)
            values['distance, m'] = f'{found.distance_m:.2f}'
            values['angle, rad'] = f'{found.angle_rad:.3f}'
        return [Finding('initialpose', trouble, fine, values)]

    def _compare(self, now_s: float) -> None:
        """Tell the watch whether the newest answer is near what is accepted."""
        if self._answer is None or self._known is None:
            return
        answer, heard_s = self._answer
        then, now = self._known.odom_from_base, self._odometry.at(answer.stamp_ns, 0.0)
        if now is None and self._odometry.flows and now_s - heard_s < _ODOMETRY_LAG_S:
            return
        ours = self._known.fix.pose
        if then is not None and now is not None:
            ours = moved(ours, then, now)
        found = gap(ours, answer.pose)
        near = found.is_within(self.config.agree_m, self.config.agree_rad)
        self._answer, self._said = None, (answer, found)
        self._watch.answered(near, now_s)

    def _sentence(self, now_s: float) -> tuple[str | None, str]:
        """Return what is wrong, or None, and what is said when nothing is."""
        watch, topic = self._watch, self._answers.topic
        tries = f'{watch.sends} of {watch.patience.tries}'
        if watch.state is State.UNANSWERED:
            return (f'nobody answers on {topic}, so nobody knows what became of the pose that '
                    f'was sent; remap {topic} to where the receiver says its pose'), ''
        if watch.state in (State.WAITING, State.GIVEN_UP):
            said = self._said
            what = (f'{topic} is at {messages.in_the_plane(said[0].pose)}, '
                    f'{said[1].distance_m:.1f} m off' if said else f'{topic} says nothing')
            sent = self._sent
            at = f' ({messages.in_the_plane(sent.pose)})' if sent else ''
            then = (f'the pose accepted in {watch.wait_s(now_s):.0f} s is sent'
                    if watch.state is State.WAITING else 'call ~/trigger to send another')
            return f'try {tries}{at} did not settle: {what}; {then}', ''
        if watch.state is State.DUE:
            listeners = self._publisher.get_subscription_count()
            return None, ('the first accepted pose goes out' if listeners
                          else 'nobody listens on initialpose')
        if watch.state is State.WATCHED:
            return None, f'try {tries} was sent and has {watch.wait_s(now_s):.0f} s to settle'
        return None, f'{topic} has settled near what was sent'


def _patience(config: NodeConfig) -> Patience:
    return Patience(config.initialpose_settle_s, config.initialpose_tries,
                    config.initialpose_backoff_s)
