# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.core.motion import OdometryBuffer
from vpr_ros.errors import FrameError


@pytest.fixture
def buffer() -> OdometryBuffer:
    buffer = OdometryBuffer(span_s=5.0, max_gap_s=0.5)
    for tick in range(11):
        buffer.add(tick * 100_000_000, se3.from_xy_yaw(tick * 0.1, 0.0, 0.0))
    return buffer


def test_between_samples_it_interpolates(buffer):
    np.testing.assert_allclose(buffer.at(250_000_000)[:3], [0.25, 0.0, 0.0])
    np.testing.assert_allclose(buffer.at(300_000_000)[:3], [0.3, 0.0, 0.0])


def test_it_never_extrapolates(buffer):
    assert buffer.at(1_000_000_001) is None
    assert buffer.at(-1) is None
    assert buffer.covers(1_000_000_000)
    assert not buffer.covers(1_000_000_001)


def test_a_gap_is_no_answer(buffer):
    buffer.add(2_000_000_000, se3.from_xy_yaw(5.0, 0.0, 0.0))
    assert buffer.at(1_500_000_000) is None
    np.testing.assert_allclose(buffer.at(2_000_000_000)[:3], [5.0, 0.0, 0.0])


def test_time_that_jumps_back_starts_anew(buffer):
    buffer.add(50_000_000, se3.from_xy_yaw(9.0, 0.0, 0.0))
    assert buffer.at(500_000_000) is None
    np.testing.assert_allclose(buffer.at(50_000_000)[:3], [9.0, 0.0, 0.0])


def test_a_sample_that_comes_twice_changes_nothing(buffer):
    buffer.add(1_000_000_000, se3.from_xy_yaw(7.0, 0.0, 0.0))
    np.testing.assert_allclose(buffer.at(1_000_000_000)[:3], [1.0, 0.0, 0.0])


def test_what_is_old_is_forgotten(buffer):
    buffer.add(6_000_000_000, se3.from_xy_yaw(0.0, 0.0, 0.0))
    assert buffer.at(500_000_000) is None
    assert buffer.at(1_000_000_000) is not None


@pytest.mark.parametrize('pose', [[np.nan, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0], [0.0] * 3])
def test_bad_odometry_is_refused_and_nothing_is_lost(buffer, pose):
    with pytest.raises(FrameError, match='odometry was ignored'):
        buffer.add(1_100_000_000, pose)
    assert buffer.at(950_000_000) is not None
