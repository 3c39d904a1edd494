# SPDX-License-Identifier: Apache-2.0
import math
import threading
import time
from types import SimpleNamespace

import pytest

from vpr_ros.errors import FrameError
from vpr_ros.ros.odometry_input import OdometryInput

SECOND_NS = 1_000_000_000


def message(metres, stamp_ns):
    seconds, nanoseconds = divmod(stamp_ns, SECOND_NS)
    pose = SimpleNamespace(position=SimpleNamespace(x=metres, y=0.0, z=0.0),
                           orientation=SimpleNamespace(x=0.0, y=0.0, z=0.0, w=1.0))
    return SimpleNamespace(pose=SimpleNamespace(pose=pose), header=SimpleNamespace(
        frame_id='odom', stamp=SimpleNamespace(sec=seconds, nanosec=nanoseconds)))


@pytest.fixture
def odometry():
    odometry = OdometryInput()
    odometry.add(message(1.0, SECOND_NS))
    odometry.add(message(2.0, SECOND_NS + 100_000_000))
    return odometry


def test_the_pose_of_an_images_moment_lies_between_two_samples(odometry):
    assert odometry.at(SECOND_NS + 50_000_000, 0.0)[0] == pytest.approx(1.5)


def test_an_image_waits_for_the_odometry_of_its_moment(odometry):
    late = threading.Timer(0.05, odometry.add, [message(3.0, SECOND_NS + 200_000_000)])
    late.start()
    assert odometry.at(SECOND_NS + 150_000_000, 5.0)[0] == pytest.approx(2.5)
    late.join()


def test_it_waits_no_longer_than_told(odometry):
    started_s = time.monotonic()
    assert odometry.at(SECOND_NS * 9, 0.05) is None
    assert 0.05 <= time.monotonic() - started_s < 1.0


def test_nobody_waits_where_there_is_no_odometry():
    started_s = time.monotonic()
    assert OdometryInput().at(SECOND_NS, 30.0) is None
    assert time.monotonic() - started_s < 5.0


def test_nan_is_refused_and_counted(odometry):
    with pytest.raises(FrameError, match='odometry was ignored'):
        odometry.add(message(math.nan, 2 * SECOND_NS))
    assert (odometry.received, odometry.refused) == (2, 1)


def test_after_clear_nothing_is_known_and_the_counts_go_on(odometry):
    odometry.clear()
    assert odometry.at(SECOND_NS, 0.0) is None
    assert odometry.received == 2
