# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from vpr_ros.core import pose as se3

numbers = st.floats(-100.0, 100.0, allow_nan=False)


@st.composite
def poses(draw):
    quaternion = draw(arrays(float, 4, elements=st.floats(-1.0, 1.0)).filter(
        lambda q: np.linalg.norm(q) > 0.1))
    position = draw(arrays(float, 3, elements=numbers))
    return np.concatenate([position, quaternion / np.linalg.norm(quaternion)])


def matrix(pose):
    m = np.eye(4)
    m[:3, :3] = Rotation.from_quat(pose[3:]).as_matrix()
    m[:3, 3] = pose[:3]
    return m


@given(poses(), poses())
def test_compose_is_the_product_of_matrices(a, b):
    np.testing.assert_allclose(matrix(se3.compose(a, b)), matrix(a) @ matrix(b), atol=1e-9)


@given(poses())
def test_inverse_undoes(a):
    np.testing.assert_allclose(matrix(se3.compose(a, se3.inverse(a))), np.eye(4), atol=1e-9)


@given(poses(), poses(), st.floats(0.0, 1.0))
def test_interpolation_is_lerp_and_slerp(a, b, fraction):
    got = se3.interpolate(a[None], b[None], np.array([fraction]))[0]
    np.testing.assert_allclose(got[:3], (1 - fraction) * a[:3] + fraction * b[:3], atol=1e-9)
    if se3.angle_rad(a, b) < 3.1:  # opposite orientations have no one way between them
        slerp = Slerp([0.0, 1.0], Rotation.from_quat(np.stack([a[3:], b[3:]])))
        turn = Rotation.from_quat(got[3:]).inv() * slerp(fraction)
        assert turn.magnitude() < 1e-5


@given(poses(), poses())
def test_angle_is_that_of_the_relative_rotation(a, b):
    turn = Rotation.from_quat(a[3:]).inv() * Rotation.from_quat(b[3:])
    assert se3.angle_rad(a, b) == pytest.approx(turn.magnitude(), abs=1e-6)


def test_many_poses_broadcast_with_one():
    many = np.stack([se3.from_xy_yaw(i, 0.0, 0.3) for i in range(4)])
    one = se3.from_xy_yaw(1.0, 0.0, 0.0)
    for row, got in zip(many, se3.compose(many, one), strict=True):
        np.testing.assert_allclose(got, se3.compose(row, one))


def test_yaw_comes_back():
    for yaw in (-3.0, -0.5, 0.0, 1.2, 3.1):
        assert se3.yaw_rad(se3.from_xy_yaw(1.0, 2.0, yaw)) == pytest.approx(yaw)


@pytest.mark.parametrize(('pose', 'words'), [
    ([0.0] * 6, '7 numbers'),
    ([0, 0, 0, 0, 0, 0, float('nan')], 'NaN'),
    ([0, 0, 0, 0, 0, 0, 0.9], 'unit length'),
    ([0, 0, 0, 0, 0, 0, 0], 'unit length'),
])
def test_bad_poses_are_refused(pose, words):
    with pytest.raises(ValueError, match=words):
        se3.checked(pose)
