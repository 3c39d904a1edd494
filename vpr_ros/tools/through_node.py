# SPDX-License-Identifier: Apache-2.0
"""A recording played through the real node, a process of its own, and what it published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
import json
from pathlib import Path
import subprocess
import sys
from tempfile import TemporaryDirectory

import numpy as np

from vpr_ros.bags.answers import Answer, read_answers
from vpr_ros.bags.compose import Said
from vpr_ros.bags.frames import decode_or_skip, FrameCount, read_images
from vpr_ros.bags.recording import Recording
from vpr_ros.bags.wire import IMAGE_TYPES, ODOMETRY
from vpr_ros.core import pose as se3
from vpr_ros.core.judged import JudgedFrame
from vpr_ros.errors import VprError
from vpr_ros.tools.params_file import node_parameters
from vpr_ros.tools.progress import progress
from vpr_ros.tools.query_run import QueryRun

_DIAGNOSTICS = '/diagnostics'
_END_S = 45.0
_SAID_CHARACTERS = 1500


@dataclass(frozen=True)
class NodeSettings:
    """How the node is run, and how fast a recording is played to it.

    `rate` 0: each image once the one before was answered, so that none is dropped; 1: real time.
    """

    rate: float = 0.0
    params: Path | None = None    # ROS parameter file
    model: Path | None = None     # folder; None: the one that ships with the package
    engine: str = 'auto'
    threads: int = 0

    def __post_init__(self) -> None:
        if not self.rate >= 0.0:
            raise VprError(f'--rate is {self.rate:g}; give 0 (each image once the one before was '
                           'answered), 1 (real time), or how many times as fast')

    def __str__(self) -> str:
        """Return it as the protocol says it."""
        pace = ('each image sent once the one before was answered' if self.rate == 0.0 else
                'in real time' if self.rate == 1.0 else f'{self.rate:g} times as fast as recorded')
        return f'in the node, {pace}'


@dataclass(frozen=True, eq=False)
class Published:
    """What the node published about the images of a recording, in the order of their sending."""

    answers: tuple[Answer, ...]
    dropped: tuple[int, ...]       # stamps of the images that were sent and never answered
    count: FrameCount              # with the images that cannot be decoded, which are not dropped
    repeated: int                  # images of a stamp that had come before
    diagnostics: tuple[tuple[int, Said], ...]   # by the moment of the bag at which they came
    odometry_lost: int

    def remarks(self) -> Iterator[str]:
        """Yield what a person should know of it."""
        if self.dropped:
            sent = len(self.dropped) + len(self.answers)
            yield (f'{len(self.dropped)} of {sent} images were dropped: a newer one came before '
                   'their turn, or they were lost on the way')
        if self.repeated:
            yield (f'{self.repeated} images have a stamp that had come before; the node takes '
                   'each stamp once')
        if self.odometry_lost > 0:
            yield f'{self.odometry_lost} odometry messages did not reach the node'


def play_through_node(run: QueryRun, map_path: Path, settings: NodeSettings) -> Published:
    """Play a recording through the node on a map; return what it published.

    Raises VprError without rclpy, when the node does not start, dies or answers nothing (the end
    of its log is in the message), and BagError for odometry that is none.
    """
    if find_spec('rclpy') is None:
        raise VprError('rclpy cannot be imported, so there is no node to play through; source '
                       'your ROS 2, or pip install -r requirements/ros.txt; without '
                       '--through-node the same localizer runs in this process')
    recording, asked = run.recording, run.asked
    images = recording.require(asked.image, IMAGE_TYPES).count
    if asked.odom:
        recording.require(asked.odom, (ODOMETRY,))
    with TemporaryDirectory(prefix='vpr_through_node.') as scratch:
        out = Path(scratch) / 'replay'
        command = _command(run, map_path, settings, out)
        with _running(command, out.with_suffix('.log')) as lines:
            for _ in progress(lines, images, 'through the node'):
                pass
        done = json.loads((out / 'replay.json').read_text())
        if not done['images_answered']:
            raise VprError(f'the node answered none of {done["images_sent"]} images; its log '
                           f'ends: {_end_of(out / "node.log")}')
        with Recording(out / 'published') as published:
            return _published(run, published, done['odometry_sent'] - done['odometry_heard'])


def judged_frames(run: QueryRun, published: Published) -> list[JudgedFrame]:
    """Return the answers of which the true pose is known, beside it."""
    stamps_ns = np.array([answer.outcome.stamp_ns for answer in published.answers], np.int64)
    poses, inside = run.truth_at(stamps_ns)
    return [JudgedFrame(answer.outcome, pose, answer.latency_ms, answer.decode_ms)
            for answer, pose, known in zip(published.answers, poses, inside, strict=True) if known]


def _command(run: QueryRun, map_path: Path, settings: NodeSettings, out: Path) -> list[str]:
    asked = run.asked
    command = [sys.executable, '-m', 'vpr_ros.ros.replay', *map(str, run.recording.paths),
               '--map', str(map_path), '--image', asked.image, '--rate', str(settings.rate),
               '--out', str(out)]
    command += ['--odom', asked.odom] if asked.odom else []
    command += ['--salvage'] if run.recording.salvage else []
    command += ['--params-file', str(settings.params)] if settings.params is not None else []
    model = '' if settings.model is None else str(settings.model.absolute())
    parameters = [f"model:='{model}'", f'engine:={settings.engine}',
                  f'threads:={settings.threads}', f"cameras:=['{asked.camera}']",
                  *_mount(asked.camera, run.camera.base_from_camera, settings.params)]
    for parameter in parameters:
        command += ['--parameter', parameter]
    return command


def _mount(camera: str, mount: se3.Array | None, params: Path | None) -> list[str]:
    """Return the camera's mount as the recording has it, where no parameter file says another."""
    given = {} if params is None else node_parameters(params)
    if mount is None or f'base_from_camera.{camera}' in given:
        return []
    return [f'base_from_camera.{camera}:=[{", ".join(f"{float(x)!r}" for x in mount)}]']


@contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator[Iterator[str]]:
    """Yield the lines that a process says; it has ended, well, when the block has."""
    with log.open('w') as errors, subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
        assert process.stdout is not None
        try:
            yield iter(process.stdout)
        finally:
            if process.poll() is None:
                process.terminate() if sys.exc_info()[0] else None
                process.wait(_END_S)
    if process.returncode != 0:
        said = log.read_text(errors='replace').strip().removeprefix('replay: ')
        raise VprError(said[-_SAID_CHARACTERS:]
                       or f'the replay ended with code {process.returncode}')


def _end_of(log: Path) -> str:
    return log.read_text(errors='replace').strip()[-_SAID_CHARACTERS:]


def _published(run: QueryRun, published: Recording, odometry_lost: int) -> Published:
    answers = {answer.outcome.stamp_ns: answer for answer in read_answers(published)}
    sent: dict[int, bool] = {}     # by stamp, in the order of sending: whether it was answered
    repeated = 0
    for image in read_images(run.recording, run.asked.image, run.asked.camera, run.count):
        if image.stamp_ns in sent:
            repeated += 1
        elif image.stamp_ns in answers:
            sent[image.stamp_ns] = True
            run.count.read += 1
        elif decode_or_skip(image, run.count) is not None:
            sent[image.stamp_ns] = False
    known = [topic for topic in (_DIAGNOSTICS,) if topic in published.topics]
    diagnostics = tuple((message.record_ns, Said(message.topic, message.type, message.cdr))
                        for message in published.messages(known)) if known else ()
    return Published(tuple(answers[stamp] for stamp, answered in sent.items() if answered),
                     tuple(stamp for stamp, answered in sent.items() if not answered), run.count,
                     repeated, diagnostics, odometry_lost)
