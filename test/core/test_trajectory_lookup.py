# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, strategies as st
import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from vpr_ros.core.pose import from_xy_yaw
from vpr_ros.core.trajectory_lookup import gap_error, poses_at, refuse_gaps, seconds
from vpr_ros.core.types import Trajectory
from vpr_ros.errors import BagError

S = 1_000_000_000
T0 = 1_700_000_000 * S


def along_x(*stamps_s, breaks=()):
    stamps_ns = np.array([T0 + round(s * S) for s in stamps_s], np.int64)
    poses = np.array([from_xy_yaw(s, 0.0, 0.0) for s in stamps_s]).reshape(-1, 7)
    return Trajectory(stamps_ns, poses, 'map', breaks)


def at(*stamps_s):
    return np.array([T0 + round(s * S) for s in stamps_s], np.int64)


def test_outside_is_marked_and_never_extrapolated():
    poses, inside = poses_at(along_x(1, 2, 3), at(0.999, 1, 1.25, 3, 3.001))
    assert inside.tolist() == [False, True, True, True, False]
    np.testing.assert_allclose(poses[inside, 0], [1, 1.25, 3])
    assert np.isnan(poses[~inside]).all()


def test_one_pose_holds_at_its_own_stamp_only():
    _, inside = poses_at(along_x(1), at(0.9, 1, 1.1))
    assert inside.tolist() == [False, True, False]


def test_no_pose_holds_nowhere():
    poses, inside = poses_at(along_x(), at(1, 2))
    assert not inside.any()
    assert poses.shape == (2, 7)


def test_a_stamp_in_a_gap_names_the_gap():
    told = (r'/odom has a gap of 4.00 s after 1700000002.000 s, in which 2 of 4 stamps fall; '
            r'.*--max-gap-s 4\.1')
    with pytest.raises(BagError, match=told):
        poses_at(along_x(1, 2, 6, 7), at(1.5, 2.5, 5.5, 6.5), max_gap_s=1.0, name='/odom')


def test_a_gap_that_nobody_asks_for_does_not_matter():
    _, inside = poses_at(along_x(1, 2, 6, 7), at(1.5, 2, 6, 6.5), max_gap_s=1.0)
    assert inside.all()


def test_the_remedy_that_is_named_helps():
    trajectory = along_x(1, 2, 6, 7)
    poses, inside = poses_at(trajectory, at(4), max_gap_s=4.1)
    assert inside.all()
    np.testing.assert_allclose(poses[0, 0], 4)


def test_between_two_recordings_is_outside():
    poses, inside = poses_at(along_x(1, 2, 6, 7, breaks=(2,)), at(1.5, 2.5, 6.5), max_gap_s=1.0)
    assert inside.tolist() == [True, False, True]
    assert np.isnan(poses[1]).all()


def test_two_recordings_close_to_one_another_are_joined():
    _, inside = poses_at(along_x(1, 2, 2.5, 3, breaks=(2,)), at(2.2), max_gap_s=1.0)
    assert inside.all()


def test_gaps_are_refused_but_not_between_recordings():
    refuse_gaps(along_x(1, 2, 6, 7, breaks=(2,)), 1.0, 'x')
    with pytest.raises(BagError, match=r'^x has a gap of 3.00 s after 1700000003.000 s; '):
        refuse_gaps(along_x(1, 2, 3, 6), 1.0, 'x')


def test_seconds_keep_what_a_float_loses():
    assert seconds(1_700_000_000_123_999_999) == '1700000000.123 s'
    assert '--max-gap-s 1.3' in str(gap_error('x', 0, 1_200_000_000))


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 20))
def test_agrees_with_scipy(seed, count):
    random = np.random.default_rng(seed)
    stamps_ns = T0 + np.cumsum(random.integers(1, S, count))
    quaternions = Rotation.from_quat(random.normal(size=(count, 4))).as_quat()
    poses = np.hstack([random.normal(size=(count, 3)), quaternions])
    asked = random.integers(stamps_ns[0], stamps_ns[-1] + 1, 30)
    got, inside = poses_at(Trajectory(stamps_ns, poses, 'map'), asked)
    assert inside.all()
    relative = (stamps_ns - T0) * 1e-9
    for axis in range(3):
        np.testing.assert_allclose(
            got[:, axis], np.interp((asked - T0) * 1e-9, relative, poses[:, axis]), atol=1e-6)
    slerp = Slerp(relative, Rotation.from_quat(quaternions))((asked - T0) * 1e-9)
    assert (slerp.inv() * Rotation.from_quat(got[:, 3:])).magnitude().max() < 1e-6
