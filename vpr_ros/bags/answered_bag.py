# SPDX-License-Identifier: Apache-2.0
"""A recording, and beside it what was said of it: one bag to look at in Foxglove or RViz."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import count
from pathlib import Path

from vpr_ros.bags.compose import Said
from vpr_ros.bags.markers import color_of, frame_markers, SCENE, scene_markers
from vpr_ros.bags.recording import BagMessage, Recording
from vpr_ros.bags.trajectory import TF_SOURCE
from vpr_ros.bags.wire import OLD_TF_MESSAGE, TF_MESSAGE, TF_TYPES
from vpr_ros.bags.writer import BagWriter, new_bag
from vpr_ros.core import pose as se3
from vpr_ros.core.types import Outcome
from vpr_ros.errors import BagError


@dataclass(frozen=True, eq=False)
class SaidFrame:
    """All that was said of an image, and what is true as far as it is known."""

    outcome: Outcome
    latency_ms: float
    messages: Sequence[Said]     # as the node publishes them
    truth: se3.Array | None
    right: bool | None           # whether the best hypothesis is; None: the truth is not known


def write_answered_bag(path: Path, recording: Recording, inputs: Sequence[str], image: str,
                       frames: Mapping[int, SaidFrame], places: se3.Array, frame_id: str,
                       diagnostics: Iterable[tuple[int, Said]] = (), force: bool = False) -> None:
    """Write a bag of the `inputs` topics as they are, and the frames (by stamp) and markers.

    What is said of an image was recorded when it would have been on the robot: its latency after
    the image. `inputs` are topics, or 'tf'; /tf_static goes with them. `diagnostics` have their
    moment. Raises BagError when `path` exists (unless `force`) or an input is missing.
    """
    order = count()
    pending = [(record_ns, next(order), said) for record_ns, said in diagnostics]
    heapify(pending)
    unsaid = dict(frames)
    with new_bag(path, force) as bag:
        for row, message in enumerate(recording.messages(_topics(recording, inputs))):
            if row == 0:
                run = [(frame.truth, color_of(frame.outcome, frame.right))
                       for frame in frames.values() if frame.truth is not None]
                scene = scene_markers(message.record_ns, frame_id, places, run)
                bag.raw(SCENE, scene.type, message.record_ns, scene.data, latched=True)
            while pending and pending[0][0] <= message.record_ns:
                record_ns, _, said = heappop(pending)
                bag.raw(said.topic, said.type, record_ns, said.data)
            _copy(bag, message)
            if message.topic == image and (frame := _of(message, unsaid)) is not None:
                markers = frame_markers(frame.outcome, frame_id, frame.truth, frame.right)
                late_ns = message.record_ns + round(frame.latency_ms * 1e6)
                for said in (*frame.messages, markers):
                    heappush(pending, (late_ns, next(order), said))
        while pending:
            record_ns, _, said = heappop(pending)
            bag.raw(said.topic, said.type, record_ns, said.data)


def _topics(recording: Recording, inputs: Sequence[str]) -> list[str]:
    names = {'/tf' if name == TF_SOURCE else name for name in inputs if name}
    there = recording.topics.get('/tf_static')
    if there is not None and there.type in TF_TYPES:
        names.add('/tf_static')
    return sorted(names)


def _of(image: BagMessage, unsaid: dict[int, SaidFrame]) -> SaidFrame | None:
    """Take out and return what was said of an image, or None."""
    try:
        return unsaid.pop(image.stamp_ns, None)
    except BagError:
        return None


def _copy(bag: BagWriter, message: BagMessage) -> None:
    try:
        data = message.cdr
    except BagError:
        return   # bytes that are no message of ROS 1 cannot be said in ROS 2
    kind = TF_MESSAGE if message.type == OLD_TF_MESSAGE else message.type
    bag.raw(message.topic, kind, message.record_ns, data)
