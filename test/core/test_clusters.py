# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.core.clusters import ClusterConfig, clusters

CONFIG = ClusterConfig(viewpoint_m=0.05, viewpoint_rad=0.02)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(-20, 20), st.floats(-20, 20), st.floats(-3.1, 3.1),
                          st.floats(0.0, 1.0)), min_size=1, max_size=40))
def test_covariance_is_always_positive_definite(rows):
    poses = np.stack([se3.from_xy_yaw(x, y, yaw) for x, y, yaw, _ in rows])
    probabilities = np.array([p for *_, p in rows]) / (len(rows) + 1)
    for cluster in clusters(CONFIG, poses, probabilities, 1.0):
        np.testing.assert_allclose(cluster.covariance, cluster.covariance.T, atol=1e-12)
        assert np.linalg.eigvalsh(cluster.covariance).min() > 0.0
        assert np.linalg.norm(cluster.pose[3:]) == pytest.approx(1.0)


def test_neighbors_are_one_hypothesis_between_them():
    poses = np.stack([se3.from_xy_yaw(x, 0.0, 0.0) for x in (0.0, 1.0, 30.0)])
    first, second = clusters(CONFIG, poses, np.array([0.3, 0.3, 0.2]), 1.0)
    np.testing.assert_allclose(first.pose[:3], [0.5, 0.0, 0.0])
    assert first.probability == pytest.approx(0.6)
    np.testing.assert_allclose(second.pose[:3], [30.0, 0.0, 0.0])


def test_opposite_headings_are_two():
    poses = np.stack([se3.from_xy_yaw(0.0, 0.0, yaw) for yaw in (0.0, np.pi)])
    assert len(clusters(CONFIG, poses, np.array([0.5, 0.4]), 1.0)) == 2


def test_the_best_comes_first_even_when_its_peak_is_lower():
    poses = np.stack([se3.from_xy_yaw(x, 0.0, 0.0) for x in (0.0, 20.0, 20.5, 21.0)])
    belief = np.array([0.3, 0.2, 0.2, 0.2])
    best, other = clusters(CONFIG, poses, belief, 1.0)
    assert best.probability == pytest.approx(0.6)
    assert other.probability == pytest.approx(0.3)


def test_spread_along_x_is_variance_in_x():
    poses = np.stack([se3.from_xy_yaw(x, 0.0, 1.0) for x in (-1.0, 1.0)])
    cluster, = clusters(CONFIG, poses, np.array([0.5, 0.5]), 1e-3)
    assert cluster.covariance[0, 0] == pytest.approx(1.0, abs=0.01)
    assert cluster.covariance[1, 1] < 0.01


def test_what_is_improbable_is_not_reported():
    poses = np.stack([se3.from_xy_yaw(x, 0.0, 0.0) for x in (0.0, 30.0)])
    assert len(clusters(CONFIG, poses, np.array([0.9, 0.005]), 1.0)) == 1
    assert clusters(CONFIG, poses, np.zeros(2), 1.0) == ()


def test_spread_in_heading_is_variance_about_z():
    poses = np.stack([se3.from_xy_yaw(0.0, 0.0, yaw) for yaw in (0.9, 1.1)])
    cluster, = clusters(CONFIG, poses, np.array([0.5, 0.5]), 1e-3)
    assert se3.yaw_rad(cluster.pose) == pytest.approx(1.0)
    assert cluster.covariance[5, 5] == pytest.approx(0.01, abs=1e-3)
    assert cluster.covariance[3, 3] < 1e-3
