# SPDX-License-Identifier: Apache-2.0
"""When each message of a bag is sent: by the clock, or one image after the other."""

from __future__ import annotations

from collections.abc import Iterator
import time

from vpr_ros.bags.recording import BagMessage, Recording
from vpr_ros.core.types import Frame
from vpr_ros.errors import BagError, FrameError
from vpr_ros.ros.replay_node import NodeProcess
from vpr_ros.ros.replay_player import Player

_FIRST_LOOK_S = 0.3    # an image that was not answered by then may be none
_RESEND_S = 2.0        # one that was not answered by then may have been lost on the way
_RESENDS = 15
_POLL_S = 0.2
_BURST = 25            # odometry messages that the node surely takes at once,
_BREATH_S = 0.02       # and how long it takes for them
_LATEST_ODOMETRY_NS = 2_000_000_000   # by the bag: after this, no odometry of an image is to come


class Pace:
    """Sends the images and the odometry of a recording through a player.

    At `rate` 0 an image is sent once its odometry is out and the one before was answered;
    above, everything goes at the moment of its recording, that many times as fast.
    """

    def __init__(self, player: Player, node: NodeProcess, image: str, rate: float) -> None:
        self._player = player
        self._node = node
        self._image = image
        self._rate = rate
        self._burst = 0

    def play(self, recording: Recording, odom: str) -> Iterator[int]:
        """Send all of it, and yield the stamp of each image sent; a line on stdout for each.

        Raises VprError when the node dies.
        """
        topics = [self._image, *([odom] if odom else [])]
        messages = recording.messages(topics)
        if self._rate > 0.0:
            sent = self._by_the_clock(messages)
        else:
            sent = self._in_turn(messages, bool(odom))
        for stamp_ns in sent:
            print(stamp_ns, flush=True)
            yield stamp_ns

    def _by_the_clock(self, messages: Iterator[BagMessage]) -> Iterator[int]:
        first: tuple[float, int] | None = None
        for message in messages:
            first = first or (time.monotonic(), message.record_ns)
            due_s = first[0] + (message.record_ns - first[1]) * 1e-9 / self._rate
            while (left_s := due_s - time.monotonic()) > 0.0:
                self._node.require()
                time.sleep(min(left_s, _POLL_S))
            if message.topic != self._image:
                self._player.send_odometry(message)
            elif (stamp_ns := _stamp_ns(message)) is not None:
                self._node.require()
                self._player.send_image(message)
                yield stamp_ns

    def _in_turn(self, messages: Iterator[BagMessage], has_odometry: bool) -> Iterator[int]:
        waiting: list[tuple[int, BagMessage]] = []   # images whose odometry is still to come
        for message in messages:
            if message.topic == self._image:
                if (stamp_ns := _stamp_ns(message)) is not None:
                    waiting.append((stamp_ns, message))
            else:
                self._send_odometry(message)
            known_ns = message.stamp_ns if message.topic != self._image else 0
            overdue_ns = message.record_ns - _LATEST_ODOMETRY_NS
            while waiting and (not has_odometry or waiting[0][0] <= known_ns
                               or waiting[0][1].record_ns < overdue_ns):
                yield self._until_answered(*waiting.pop(0))
        for stamp_ns, image in waiting:
            yield self._until_answered(stamp_ns, image)

    def _send_odometry(self, message: BagMessage) -> None:
        self._player.send_odometry(message)
        self._burst += 1
        if self._burst % _BURST == 0:
            time.sleep(_BREATH_S)

    def _until_answered(self, stamp_ns: int, image: BagMessage) -> int:
        self._burst = 0
        self._player.send_image(image)
        if stamp_ns == 0 or self._answers(stamp_ns, _FIRST_LOOK_S) or not _is_picture(image):
            return stamp_ns   # nobody answers for what has no stamp, or is no picture
        for _ in range(_RESENDS):
            if self._answers(stamp_ns, _RESEND_S):
                break
            self._player.send_image(image)  # a picture of equal stamp is judged once
        return stamp_ns

    def _answers(self, stamp_ns: int, limit_s: float) -> bool:
        """Wait for the answer; False when it seems that there will be none."""
        end_s = time.monotonic() + limit_s
        while (left_s := end_s - time.monotonic()) > 0.0:
            if self._player.wait_for(lambda: self._player.has_answer(stamp_ns),
                                     min(left_s, _POLL_S)):
                return True
            self._node.require()
        return False


def _stamp_ns(message: BagMessage) -> int | None:
    """Return the stamp of an image, or None for bytes that are no message."""
    try:
        return message.stamp_ns
    except BagError:
        return None


def _is_picture(message: BagMessage) -> bool:
    try:
        Frame.from_message(message.decoded(), '')
    except (BagError, FrameError):
        return False
    return True
