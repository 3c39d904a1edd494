# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.core.types import Camera
from vpr_ros.core.viewpoints import viewpoints
from vpr_ros.errors import MapError


def mount_of(corridor):
    return corridor.cameras[0].base_from_camera


def test_the_same_camera_stands_where_the_places_are(corridor):
    for camera in (Camera('camera'), Camera('camera', mount_of(corridor))):
        states = viewpoints(corridor, [camera])
        np.testing.assert_array_equal(states.poses, corridor.poses)
        np.testing.assert_array_equal(states.state_of['camera'], np.arange(60))


def test_a_moved_camera_moves_the_base(corridor):
    moved = mount_of(corridor).copy()
    moved[0] += 0.3
    states = viewpoints(corridor, [Camera('camera', moved)])
    seen = states.poses[states.state_of['camera']]
    np.testing.assert_allclose(seen[:, 0], corridor.poses[:, 0] - 0.3)


def test_a_rear_camera_sees_the_places_driving_the_other_way(corridor):
    rear = se3.compose(se3.from_xy_yaw(0.0, 0.0, np.pi), mount_of(corridor))
    states = viewpoints(corridor, [Camera('camera'), Camera('rear', rear)])
    assert len(states.poses) == 120
    seen = states.poses[states.state_of['rear']]
    np.testing.assert_allclose(np.abs(se3.yaw_rad(seen)), np.pi)
    for camera, name in ((mount_of(corridor), 'camera'), (rear, 'rear')):
        np.testing.assert_allclose(
            se3.compose(states.poses[states.state_of[name]], camera)[:, :3],
            se3.compose(corridor.poses, mount_of(corridor))[:, :3], atol=1e-9)


def test_a_mount_is_never_guessed(corridor):
    with pytest.raises(MapError, match='the mount of rear is not known'):
        viewpoints(corridor, [Camera('rear')])
    unmounted = replace(corridor, cameras=(Camera('camera'),))
    with pytest.raises(MapError, match=r'the mount of camera \(of the map\) is not known'):
        viewpoints(unmounted, [Camera('rear', mount_of(corridor))])


def test_a_camera_of_the_maps_name_needs_no_mount_of_its_own(corridor):
    unmounted = replace(corridor, cameras=(Camera('camera'),))
    for camera in (Camera('camera'), Camera('camera', mount_of(corridor))):
        np.testing.assert_array_equal(viewpoints(unmounted, [camera]).poses, corridor.poses)
