# SPDX-License-Identifier: Apache-2.0
"""A relocalizer in a process of its own, and a camera and ears for it in this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import subprocess
import sys
from tempfile import TemporaryDirectory
import time

import cv2
from diagnostic_msgs.msg import DiagnosticStatus
from nav_msgs.msg import Odometry
import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.types import Camera, Describer, Image as Picture
from vpr_ros.datasets.world import building_pair, View

_ROOT = Path(__file__).parents[1]
_DISCOVERY_S = 20.0


class Bench:
    """Publishes images, and tells of each when its status came; `rss_mb` is the node's memory."""

    def __init__(self, node: Node, pid: int) -> None:
        self._node = node
        self._pid = pid
        self._camera = node.create_publisher(Image, 'image', qos_profile_sensor_data)
        self._odometry = node.create_publisher(Odometry, 'odom', 10)
        node.create_subscription(DiagnosticStatus, 'relocalizer/status', self._hear, 100)
        self.statuses: list[tuple[float, dict[str, str]]] = []

    def connect(self, picture: Picture) -> None:
        """Wait until the node answers."""
        end = time.monotonic() + _DISCOVERY_S
        while not self.statuses:
            if time.monotonic() > end:
                raise SystemExit('the node does not answer; run it by hand to see why')
            self.show(message_of(picture))
            self.spin(0.2)

    def show(self, message: Image) -> str:
        """Publish an image with the stamp of now, and return the stamp as statuses name it."""
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(time.time_ns(), 10**9)
        self._camera.publish(message)
        return f'{message.header.stamp.sec}.{message.header.stamp.nanosec:09d}'

    def say_odometry(self) -> None:
        """Publish that the robot has not moved, with the stamp of now."""
        message = Odometry()
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(time.time_ns(), 10**9)
        message.pose.pose.orientation.w = 1.0
        self._odometry.publish(message)

    def spin(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Take what comes for some time, or until something is true."""
        end = time.monotonic() + seconds
        while not until() and (left := end - time.monotonic()) > 0.0:
            rclpy.spin_once(self._node, timeout_sec=left)

    @property
    def rss_mb(self) -> float:
        """The memory that the node's process holds."""
        status = Path(f'/proc/{self._pid}/status').read_text(encoding='ascii')
        line = next(line for line in status.splitlines() if line.startswith('VmRSS'))
        return int(line.split()[1]) / 1024.0

    def _hear(self, status: DiagnosticStatus) -> None:
        self.statuses.append((time.monotonic(), {v.key: v.value for v in status.values}))


@contextmanager
def relocalizer(place_map: PlaceMap, model: Path | None, threads: int) -> Iterator[Bench]:
    """Run a node on `place_map` for as long as the block lasts."""
    # Large images need it, on the side of the camera: that is this process.
    os.environ.setdefault('FASTDDS_DEFAULT_PROFILES_FILE', str(_ROOT / 'config' / 'fastdds.xml'))
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))
    with TemporaryDirectory() as scratch:
        place_map.save(Path(scratch) / 'bench.map')
        command = [sys.executable, '-m', 'vpr_ros.ros.relocalizer_node', '--ros-args',
                   '-p', f'map:={scratch}/bench.map', '-p', f'threads:={threads}',
                   *(['-p', f'model:={model}'] if model else [])]
        process = subprocess.Popen(command, env={**os.environ, 'PYTHONPATH': str(_ROOT)})
        rclpy.init()
        node = Node('bench')
        try:
            yield Bench(node, process.pid)
        finally:
            node.destroy_node()
            rclpy.try_shutdown()
            process.terminate()
            process.wait()


def map_of(describer: Describer, places: int, width_px: int, height_px: int
           ) -> tuple[PlaceMap, list[Picture]]:
    """Return a map of the procedural building, and its pictures in the size asked for."""
    run = building_pair(0, View(320, 240)).mapping
    rows = np.linspace(0, len(run.images) - 1, places).astype(int)
    pictures = [np.asarray(cv2.resize(run.images[row], (width_px, height_px)), np.uint8)
                for row in rows]
    zeros = np.zeros(places, np.int32)
    place_map = PlaceMap(
        'map', describer.card, (Camera('camera'),), describer.describe(pictures),
        run.map_from_base[rows], np.arange(places, dtype=np.int64), zeros, zeros, ('bench',))
    return place_map, pictures


def message_of(picture: Picture) -> Image:
    """Return a picture as an rgb8 message."""
    height, width, _ = picture.shape
    return Image(height=height, width=width, encoding='rgb8', step=3 * width,
                 data=picture.tobytes())
