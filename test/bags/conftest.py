# SPDX-License-Identifier: Apache-2.0
"""Bags of a robot that drives along x at 1 m/s with a camera, made on the spot."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from vpr_ros.bags.writer import BagWriter
from vpr_ros.core.pose import from_xy_yaw

S = 1_000_000_000
T0 = 1_700_000_000 * S


def noise(index, height=24, width=32):
    return np.random.default_rng(index).integers(0, 256, (height, width, 3), np.uint8)


@dataclass(frozen=True)
class Drive:
    """A bag and what was put into it: a picture and an odometry pose ten times a second."""

    path: Path
    storage: str
    count: int
    start_s: float

    @property
    def stamps_ns(self):
        return [T0 + round(self.start_s * S) + i * S // 10 for i in range(self.count)]

    @property
    def file(self):
        """The file that holds the messages."""
        if self.path.is_file():
            return self.path
        return next(p for p in self.path.iterdir() if p.suffix in ('.mcap', '.db3'))


@pytest.fixture
def picture():
    """Return a function that gives another picture for every index."""
    return noise


@pytest.fixture
def new_path(tmp_path):
    """Return a function that names a bag as its storage wants."""
    def name_it(storage='mcap', name='run'):
        return tmp_path / (f'{name}.bag' if storage == 'rosbag1' else name)
    return name_it


@pytest.fixture
def drive(new_path):
    """Return a function that writes a drive."""
    def write(storage='mcap', name='run', count=20, start_s=0.0, topic='/cam'):
        made = Drive(new_path(storage, name), storage, count, start_s)
        with BagWriter(made.path, storage) as bag:
            for index, stamp_ns in enumerate(made.stamps_ns):
                bag.image(topic, stamp_ns, noise(index))
                bag.odometry('/odom', stamp_ns, from_xy_yaw(start_s + index / 10, 0.0, 0.0))
        return made
    return write
