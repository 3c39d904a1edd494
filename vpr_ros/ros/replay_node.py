# SPDX-License-Identifier: Apache-2.0
"""The relocalizer as a process of its own, apart from every other robot on the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
import os
from pathlib import Path
import signal
import subprocess
import sys

from ament_index_python.packages import get_package_share_directory

from vpr_ros.errors import VprError

_END_S = 30.0
_TAIL_LINES = 8
_OLD, _NEW = 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'


class NodeProcess:
    """A running node and its log."""

    def __init__(self, parameters_file: Path | None, parameters: Sequence[str], log: Path) -> None:
        command = [sys.executable, '-m', 'vpr_ros.ros.relocalizer_node', '--ros-args']
        if parameters_file is not None:
            command += ['--params-file', str(parameters_file)]
        for parameter in parameters:  # under the node's own name they beat whatever a file says
            command += ['-p', f'relocalizer:{parameter}']
        self._log = log
        with log.open('w') as file:
            self._process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT,
                                             start_new_session=True)

    def require(self) -> None:
        """Raise VprError, with the end of its log, when the node has ended."""
        if self._process.poll() is not None:
            raise VprError(f'the node ended with code {self._process.returncode}{self.tail()}')

    def tail(self) -> str:
        """Return the end of the log, as the end of a message."""
        lines = self._log.read_text(errors='replace').strip().splitlines()[-_TAIL_LINES:]
        return '\n  '.join(('; its log ends:', *lines)) if lines else ''

    def interrupt(self) -> None:
        """End it as Ctrl-C does. Raises VprError when it does not end cleanly."""
        self._process.send_signal(signal.SIGINT)
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            raise VprError(f'the node does not end{self.tail()}') from None
        if code != 0:
            raise VprError(f'the node ended with code {code}{self.tail()}')

    def kill(self) -> None:
        """End it by force if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@contextmanager
def relocalizer(parameters_file: Path | None, parameters: Sequence[str], log: Path
                ) -> Iterator[NodeProcess]:
    """Run the node while the block lasts; it is interrupted at the end, as by Ctrl-C.

    `parameters` are NAME:=VALUE. Raises VprError when it does not end cleanly.
    """
    node = NodeProcess(parameters_file, parameters, log)
    try:
        yield node
        node.interrupt()
    finally:
        node.kill()


def set_apart() -> None:
    """Have this process and its children speak to nobody else; to be called before rclpy.init.

    What is played must not reach a robot that runs in the same network, nor its poses us.
    """
    os.environ['ROS_DOMAIN_ID'] = str(1 + os.getpid() % 100)
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    if os.environ.get('ROS_DISTRO') in ('humble', 'iron'):  # which do not know of the range yet
        os.environ['ROS_LOCALHOST_ONLY'] = '1'
    if _OLD not in os.environ and _NEW not in os.environ and (profile := _fastdds_profile()):
        older = os.environ.get('ROS_DISTRO') in ('humble', 'iron', 'jazzy')
        os.environ[_OLD if older else _NEW] = str(profile)


def _fastdds_profile() -> Path | None:
    """Return the profile with which large images arrive: beside the source, or installed."""
    shares = [Path(__file__).parents[2], Path(sys.prefix) / 'share' / 'vpr_ros']
    with suppress(LookupError, OSError):  # not there, or no AMENT_PREFIX_PATH
        shares.append(Path(get_package_share_directory('vpr_ros')))
    profiles = (share / 'config' / 'fastdds.xml' for share in shares)
    return next((profile for profile in profiles if profile.is_file()), None)
