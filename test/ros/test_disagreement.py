# SPDX-License-Identifier: Apache-2.0
import math

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.ros.disagreement import Disagreement, Gap, gap, moved, Verdict


def test_the_gap_is_measured_in_the_plane_and_round_the_circle():
    a = se3.from_xy_yaw(1.0, 2.0, math.radians(179.0), 5.0)
    b = se3.from_xy_yaw(4.0, 6.0, math.radians(-179.0), -5.0)
    found = gap(a, b)
    assert found.distance_m == pytest.approx(5.0)
    assert found.angle_rad == pytest.approx(math.radians(2.0))
    assert found.is_within(5.1, 0.1)
    assert not found.is_within(4.9, 0.1)
    assert not found.is_within(5.1, 0.01)


@settings(max_examples=50, deadline=None)
@given(st.floats(-9.0, 9.0), st.floats(-9.0, 9.0), st.floats(-9.0, 9.0), st.floats(-9.0, 9.0))
def test_the_gap_is_symmetric(x, y, first, second):
    a, b = se3.from_xy_yaw(x, 0.0, first), se3.from_xy_yaw(0.0, y, second)
    assert gap(a, b) == Gap(gap(b, a).distance_m, pytest.approx(gap(b, a).angle_rad))
    assert 0.0 <= gap(a, b).angle_rad <= math.pi


def test_a_pose_moves_on_as_odometry_does_in_its_own_frame():
    then = se3.from_xy_yaw(10.0, 20.0, math.pi / 2)
    now = moved(then, se3.from_xy_yaw(5.0, 5.0, 0.0), se3.from_xy_yaw(7.0, 5.0, 0.1))
    assert np.allclose(now, se3.from_xy_yaw(10.0, 22.0, math.pi / 2 + 0.1))


def said(looks, frames=3):
    watch = Disagreement()
    return [watch.judge(near, frames) for near in looks]


def test_an_outlier_raises_nothing():
    assert set(said([True, False, True, False, False, True])) == {Verdict.AGREES}


def test_it_is_raised_by_as_many_in_a_row_and_settled_by_as_many():
    verdicts = said([False, False, False, True, True, False, True, True, True])
    assert [verdict is Verdict.DISAGREES for verdict in verdicts] == [
        False, False, True, True, True, True, True, True, False]


def test_without_a_pose_nothing_is_known_and_nothing_kept():
    assert said([False, False, None, False, False]) == [
        Verdict.AGREES, Verdict.AGREES, Verdict.ABSENT, Verdict.AGREES, Verdict.AGREES]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([True, False, None]), max_size=60), st.integers(1, 6))
def test_a_change_takes_as_many_in_a_row(looks, frames):
    watch = Disagreement()
    for index, near in enumerate(looks):
        before = watch.verdict
        after = watch.judge(near, frames)
        latest = looks[max(0, index + 1 - frames):index + 1]
        if after is Verdict.DISAGREES and before is not Verdict.DISAGREES:
            assert latest == [False] * frames
        if before is Verdict.DISAGREES and after is Verdict.AGREES:
            assert latest == [True] * frames
        assert (after is Verdict.ABSENT) is (near is None)
