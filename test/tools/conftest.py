# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest

from vpr_ros.bags.writer import BagWriter
from vpr_ros.core import pose as se3
from vpr_ros.tools.build_map import MapSource, write_map

MOUNT = se3.checked([0.2, 0.0, 0.5, -0.5, 0.5, -0.5, 0.5])


@pytest.fixture(scope='session', autouse=True)
def user_cache(tmp_path_factory):
    """Keep what tests describe out of the user's own cache."""
    patch = pytest.MonkeyPatch()
    patch.setenv('XDG_CACHE_HOME', str(tmp_path_factory.mktemp('user_cache')))
    yield
    patch.undo()


@pytest.fixture
def drive(tmp_path, toy_picture):
    """Record a drive along x, a picture and a pose each half meter: `drive(name, xs) -> bag`."""
    def record(name, xs, start_s=0.0, mount=MOUNT, storage='mcap', odom=True, spoil=(),
               pose_delay_s=0.0) -> Path:
        path = tmp_path / name
        with BagWriter(path, storage) as bag:
            if mount is not None:
                bag.tf_static(round(start_s * 1e9), [('base_link', 'eye', mount)])
            for row, x in enumerate(xs):
                stamp_ns = round((start_s + row) * 1e9)
                late_ns = stamp_ns + round(pose_delay_s * 1e9)
                bag.pose_stamped('/pose', late_ns, se3.from_xy_yaw(float(x), 0.0, 0.0))
                if odom:
                    bag.odometry('/odom', stamp_ns, se3.from_xy_yaw(float(row) / 2, 0.0, 0.0))
                if row in spoil:
                    bag.image_bytes('/image', stamp_ns, 16, 16, 'rgb8', 48, b'short', 'eye')
                else:
                    bag.image('/image', stamp_ns, toy_picture(float(x)), 'eye')
        return path
    return record


@pytest.fixture
def halves():
    """Positions half a meter apart."""
    return lambda first, last: np.arange(first, last, 0.5)


@pytest.fixture
def road(drive, halves, describer, tmp_path):
    """The folder of a map of 60 m."""
    write_map([drive('mapping', halves(0, 60))], tmp_path / 'road.map',
              MapSource('/image', '/pose'), describer, salvage=False, force=False)
    return tmp_path / 'road.map'
