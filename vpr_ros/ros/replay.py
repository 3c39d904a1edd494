# SPDX-License-Identifier: Apache-2.0
"""Play bags through the real node, in a process of its own, and record what it published.

`python -m vpr_ros.ros.replay BAG... --map MAP --image TOPIC --out FOLDER`
writes into FOLDER a bag `published`, the node's log `node.log`, and `replay.json`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
import json
from pathlib import Path
import signal
import sys
import threading
import time

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from vpr_ros.bags.recording import BagMessage, Recording
from vpr_ros.bags.wire import IMAGE_TYPES, ODOMETRY
from vpr_ros.bags.writer import BagWriter
from vpr_ros.errors import BagError, VprError
from vpr_ros.ros.replay_node import NodeProcess, relocalizer, set_apart
from vpr_ros.ros.replay_pace import Pace
from vpr_ros.ros.replay_player import Player

_START_S = 120.0     # the node reads map and model, and may measure engines
_LAST_S = 2.5        # after so long without an answer there will be none
_POLL_S = 0.2
_NAP_S = 0.05


@dataclass(frozen=True)
class Replayed:
    """What went to the node: how many images, and odometry as far as it is known to have come."""

    images_sent: int
    images_answered: int
    odometry_sent: int
    odometry_heard: int


def replay(recording: Recording, image: str, odom: str, rate: float, out: Path,
           parameters_file: Path | None, parameters: Sequence[str]) -> Replayed:
    """Play the images of a recording (and odometry, unless `odom` is empty) through the node.

    `rate` 0 sends an image once the one before was answered, so that none is dropped; 1 is real
    time. Raises BagError for missing topics, VprError when the node does not start or dies.
    """
    if rate < 0.0:
        raise VprError(f'the rate is {rate:g}; give 0 (each image once the one before was '
                       'answered), 1 (real time), or how many times as fast')
    image_type = recording.require(image, IMAGE_TYPES).type
    if odom:
        recording.require(odom, (ODOMETRY,))
    out.mkdir(parents=True, exist_ok=True)
    # Who sends each image in its turn can wait for all of it to get through, and for odometry.
    patient = ['image_reliability:=reliable', 'max_rate_hz:=0.0',
               *(['odom_wait_s:=2.0'] if odom else [])] if rate == 0.0 else []
    with BagWriter(out / 'published') as published, \
            relocalizer(parameters_file, [*parameters, *patient], out / 'node.log') as node, \
            _spinning(Player(image_type, published)) as player:
        _connect(player, node)
        if odom:
            first = next(iter(recording.messages([odom])))
            _until(node, lambda: _is_heard(player, first), 'hear odometry')
        sent = list(Pace(player, node, image, rate).play(recording, odom))
        if sent:
            _drain(player, node, sent[-1])
        if odom:
            player.wait_for(lambda: player.odometry_heard >= player.odometry_sent, _LAST_S)
        stamps_ns = set(sent)
        return Replayed(len(stamps_ns), sum(map(player.has_answer, stamps_ns)),
                        player.odometry_sent, player.odometry_heard)


@contextmanager
def _spinning(player: Player) -> Iterator[Player]:
    """Have the player hear while the block lasts."""
    executor = SingleThreadedExecutor()
    executor.add_node(player)

    def spin() -> None:
        with suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin, name='player')
    thread.start()
    try:
        yield player
    finally:
        executor.shutdown()
        thread.join()
        player.destroy_node()


def _connect(player: Player, node: NodeProcess) -> None:
    """Wait until the node hears us and we hear it."""
    _until(node, lambda: player.hears_all, 'come up')
    state = player.ask_state()
    _until(node, state.done, 'answer')


def _is_heard(player: Player, odometry: BagMessage) -> bool:
    """Say whether the node hears odometry; until then send the first one, which may come twice."""
    if not player.odometry_heard:
        player.send_odometry(odometry)
    return player.odometry_heard > 0


def _until(node: NodeProcess, is_done: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + _START_S
    while not is_done():
        node.require()
        if time.monotonic() > end_s:
            raise VprError(f'the node did not {what} within {_START_S:g} s{node.tail()}')
        time.sleep(_NAP_S)


def _drain(player: Player, node: NodeProcess, last_ns: int) -> None:
    """Wait for the last answer, or for silence."""
    player.heard_s = max(player.heard_s, time.monotonic())
    while time.monotonic() - player.heard_s < _LAST_S:
        if player.wait_for(lambda: player.has_answer(last_ns), _POLL_S):
            return
        node.require()


def _stop(*_: object) -> None:
    """End at once, and let nothing disturb the cleaning up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """Run from the command line; exit 2 and one line for what the user can mend."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('bags', nargs='+', type=Path)
    parser.add_argument('--map', type=Path, required=True)
    parser.add_argument('--image', required=True)
    parser.add_argument('--odom', default='', help='topic of nav_msgs/Odometry; left out: none')
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--rate', type=float, default=0.0,
                        help='1: real time; 0: each image once the last one was answered')
    parser.add_argument('--params-file', type=Path)
    parser.add_argument('--parameter', action='append', default=[], metavar='NAME:=VALUE')
    parser.add_argument('--salvage', action='store_true')
    flags = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    set_apart()
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        # `map` is set by name, `autostart` and `image_transport` lest nobody listens.
        parameters = [f'map:={flags.map.absolute()}', 'autostart:=true', 'image_transport:=auto',
                      *flags.parameter]
        with Recording(flags.bags, flags.salvage) as recording:
            done = replay(recording, flags.image, flags.odom, flags.rate, flags.out,
                          flags.params_file, parameters)
        (flags.out / 'replay.json').write_text(json.dumps(asdict(done), indent=2) + '\n')
    except (BagError, VprError) as error:
        print(f'replay: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
