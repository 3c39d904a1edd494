# SPDX-License-Identifier: Apache-2.0
"""Play bags through the real node, in a process of its own, and write down what it published.

`python -m vpr_ros.ros.replay BAG... --map MAP --image TOPIC --out FILE`
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseArray, PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image, PointCloud2

from vpr_ros.bags.recording import BagMessage, Recording
from vpr_ros.bags.wire import IMAGE_TYPES, ODOMETRY
from vpr_ros.core.published import MATCH_FIELDS
from vpr_ros.errors import BagError, VprError

_START_S = 30.0      # the node reads map and model
_RESEND_S = 1.0      # an image unanswered for so long was lost on the way
_RESENDS = 10
_KINDS = {'sensor_msgs/msg/Image': Image, 'sensor_msgs/msg/CompressedImage': CompressedImage}


@dataclass
class Answer:
    """What the node published about one image."""

    camera: str = ''
    status: dict[str, str] = field(default_factory=dict)
    pose: list[float] | None = None
    hypotheses: list[list[float]] = field(default_factory=list)
    matches: list[tuple[int, float]] = field(default_factory=list)

    def record(self, stamp_ns: int) -> dict[str, Any]:
        """Return a line of the output, named as in the outcomes.jsonl of vpr evaluate."""
        best = self.pose or (self.hypotheses[0] if self.hypotheses else None)
        return {'stamp_ns': stamp_ns, 'camera': self.camera, 'reason': self.status['reason'],
                'pose': best, 'published': self.pose is not None,
                'probability': float(self.status['probability']) if best else None,
                'unknown_probability': float(self.status['unknown_probability']),
                'matches': self.matches, 'latency_ms': float(self.status['latency_ms']),
                'describe_ms': float(self.status['describe_ms']),
                'restarted': self.status['restarted'] == 'true'}


class Player(Node):
    """Publishes a bag's images and odometry, and listens to the node."""

    def __init__(self, kind: str, compressed: bool) -> None:
        super().__init__('vpr_replay')
        topic = 'image/compressed' if compressed else 'image'
        self._images = self.create_publisher(_KINDS[kind], topic, QoSProfile(
            depth=1, reliability=ReliabilityPolicy.RELIABLE))
        self._odometry = self.create_publisher(Odometry, 'odom', 100)
        self._kind = _KINDS[kind]
        self.answers: dict[int, Answer] = {}
        self.odometry_heard = False    # by the node, which says so in its diagnostics
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        for message, name, act in (
                (PoseWithCovarianceStamped, 'pose', self._on_pose),
                (PoseArray, 'hypotheses', self._on_hypotheses),
                (PointCloud2, 'place_matches', self._on_matches),
                (DiagnosticStatus, 'status', self._on_status)):
            self.create_subscription(message, f'relocalizer/{name}', act, 100)

    def is_connected(self) -> bool:
        """Whether the node hears us and we hear it."""
        return (self._images.get_subscription_count() > 0
                and self._odometry.get_subscription_count() > 0
                and all(self.count_publishers(f'relocalizer/{name}') > 0 for name in
                        ('pose', 'hypotheses', 'place_matches', 'status')))

    def send_image(self, message: BagMessage) -> None:
        """Publish an image as it lies in the bag."""
        self._images.publish(deserialize_message(_cdr(message), self._kind))

    def send_odometry(self, message: BagMessage) -> None:
        """Publish an Odometry as it lies in the bag."""
        self._odometry.publish(deserialize_message(_cdr(message), Odometry))

    def has_answer(self, stamp_ns: int) -> bool:
        """Whether all about an image has come; topics do not come in the order of sending."""
        answer = self.answers.get(stamp_ns)
        if answer is None or not answer.status or not answer.matches:
            return False
        return answer.pose is not None or answer.status['reason'] != 'accepted'

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            for item in status.values:
                if item.key == 'odometry received':
                    self.odometry_heard = self.odometry_heard or int(item.value) > 0

    def _of(self, message: Any) -> Answer:
        stamp = message.header.stamp
        return self._at(stamp.sec * 1_000_000_000 + stamp.nanosec)

    def _at(self, stamp_ns: int) -> Answer:
        return self.answers.setdefault(stamp_ns, Answer())

    def _on_pose(self, message: PoseWithCovarianceStamped) -> None:
        self._of(message).pose = _row(message.pose.pose)

    def _on_hypotheses(self, message: PoseArray) -> None:
        self._of(message).hypotheses = [_row(pose) for pose in message.poses]

    def _on_matches(self, message: PointCloud2) -> None:
        rows = np.frombuffer(bytes(message.data), MATCH_FIELDS)
        self._of(message).matches = [(int(r['place']), round(float(r['similarity']), 6))
                                     for r in rows[:10]]

    def _on_status(self, message: DiagnosticStatus) -> None:
        values = {item.key: item.value for item in message.values}
        seconds, nanoseconds = values['stamp'].split('.')
        answer = self._at(int(seconds) * 1_000_000_000 + int(nanoseconds))
        answer.camera, answer.status = message.hardware_id, values


def _row(pose: Any) -> list[float]:
    p, q = pose.position, pose.orientation
    return [round(value, 6) for value in (p.x, p.y, p.z, q.x, q.y, q.z, q.w)]


def _cdr(message: BagMessage) -> bytes:
    if message.ros1:
        raise BagError('ROS 1 bags cannot be played through a ROS 2 node; convert the bag with '
                       'rosbags-convert, or use vpr evaluate')
    return bytes(message.data)


@contextmanager
def relocalizer(map_folder: Path, parameters: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the node as a process of its own; it is interrupted at the end, as by Ctrl-C.

    Raises VprError when it does not end cleanly.
    """
    command = [sys.executable, '-m', 'vpr_ros.ros.relocalizer_node', '--ros-args',
               '-p', f'map:={map_folder.absolute()}']
    for parameter in parameters:
        command += ['-p', parameter]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        yield process
        process.send_signal(signal.SIGINT)
        if process.wait(_START_S) != 0:
            raise VprError(f'the node ended with code {process.returncode}')
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def replay(bags: Sequence[Path], map_folder: Path, image: str, odom: str, out: Path,
           parameters: Sequence[str], rate: float) -> tuple[int, int]:
    """Play `bags` and write a JSON line for each answered image; return images sent, answered.

    `rate` 0 sends an image once the one before was answered, so that none is dropped; 1 is real
    time. Raises BagError for missing topics, VprError when the node does not start.
    """
    with Recording(bags) as recording:
        kind = recording.require(image, IMAGE_TYPES).type
        if odom:
            recording.require(odom, (ODOMETRY,))
        rclpy.init()
        player = Player(kind, kind.endswith('CompressedImage'))
        executor = SingleThreadedExecutor()
        executor.add_node(player)
        try:
            # Who sends an image only after its odometry can wait for the latter to get through.
            patient = ['odom_wait_s:=2.0'] if odom and rate == 0.0 else []
            with relocalizer(map_folder, [*patient, *parameters]) as process:
                _until(executor, player.is_connected, process)
                if odom:
                    first = next(iter(recording.messages([odom])))
                    _until(executor, lambda: _is_heard(player, first), process)
                sent = _play(recording, image, odom, rate, player, executor)
        finally:
            executor.shutdown()
            player.destroy_node()
            rclpy.try_shutdown()
    answered = [stamp for stamp in sent if player.has_answer(stamp)]
    with out.open('w') as lines:
        for stamp_ns in answered:
            lines.write(json.dumps(player.answers[stamp_ns].record(stamp_ns)) + '\n')
    return len(sent), len(answered)


def _is_heard(player: Player, odometry: BagMessage) -> bool:
    """Say whether the node hears odometry; until then send the first one, which may come twice."""
    if not player.odometry_heard:
        player.send_odometry(odometry)
    return player.odometry_heard


def _until(executor: SingleThreadedExecutor, is_done: Any,
           process: subprocess.Popen[bytes]) -> None:
    limit_s = time.monotonic() + _START_S
    while not is_done():
        if process.poll() is not None:
            raise VprError(f'the node ended at start with code {process.returncode}; see above')
        if time.monotonic() > limit_s:
            raise VprError(f'the node was not there within {_START_S:g} s')
        executor.spin_once(timeout_sec=0.05)


def _play(recording: Recording, image: str, odom: str, rate: float, player: Player,
          executor: SingleThreadedExecutor) -> list[int]:
    sent: list[int] = []
    topics = [image, odom] if odom else [image]
    waiting: list[BagMessage] = []     # images whose odometry is still to come
    begun: tuple[float, int] | None = None
    for message in recording.messages(topics):
        if rate > 0.0:
            begun = begun or (time.monotonic(), message.record_ns)
            due_s = begun[0] + (message.record_ns - begun[1]) * 1e-9 / rate
            while (left_s := due_s - time.monotonic()) > 0.0:
                executor.spin_once(timeout_sec=left_s)
        if message.topic != image:
            player.send_odometry(message)
            covered = [m for m in waiting if m.stamp_ns <= message.stamp_ns]
        else:
            waiting.append(message)
            covered = [] if odom and rate == 0.0 else [message]
        for ready in covered:
            waiting.remove(ready)
            sent.append(_send(ready, rate, player, executor))
    for ready in waiting if odom and rate == 0.0 else ():
        sent.append(_send(ready, rate, player, executor))
    if sent:
        _spin(executor, player, sent[-1])
    return sent


def _send(message: BagMessage, rate: float, player: Player,
          executor: SingleThreadedExecutor) -> int:
    player.send_image(message)
    for _ in range(_RESENDS if rate == 0.0 else 0):
        if _spin(executor, player, message.stamp_ns):
            break
        player.send_image(message)  # a picture of equal stamp is judged once
    return message.stamp_ns


def _spin(executor: SingleThreadedExecutor, player: Player, stamp_ns: int) -> bool:
    """Listen until an image is answered; False when it seems to be lost."""
    limit_s = time.monotonic() + _RESEND_S
    while not player.has_answer(stamp_ns) and time.monotonic() < limit_s:
        executor.spin_once(timeout_sec=0.05)
    return player.has_answer(stamp_ns)


def main() -> int:
    """Run from the command line; exit 2 and one line for what the user can mend."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('bags', nargs='+', type=Path)
    parser.add_argument('--map', type=Path, required=True)
    parser.add_argument('--image', required=True)
    parser.add_argument('--odom', default='')
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--rate', type=float, default=0.0,
                        help='1: real time; 0: each image once the last one was answered')
    parser.add_argument('--parameter', action='append', default=[], metavar='NAME:=VALUE')
    flags = parser.parse_args()
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    try:
        sent, answered = replay(flags.bags, flags.map, flags.image, flags.odom, flags.out,
                                flags.parameter, flags.rate)
    except VprError as error:
        print(f'replay: {error}', file=sys.stderr)
        return 2
    print(f'{answered} of {sent} images answered')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
