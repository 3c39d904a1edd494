# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from hypothesis import given, HealthCheck, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.core.chain import links, NONE, predecessors, successors
from vpr_ros.core.types import Camera
from vpr_ros.core.viewpoints import viewpoints


def after_of(place_map, cameras=()):
    return successors(place_map, viewpoints(place_map, cameras))


def test_places_follow_one_another_as_they_were_driven(corridor):
    np.testing.assert_array_equal(after_of(corridor), [*range(1, 60), NONE])


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(60)))
def test_the_order_of_rows_does_not_matter(corridor, order):
    order = np.array(order)
    mixed = replace(corridor, descriptors=corridor.descriptors[order],
                    poses=corridor.poses[order], stamps_ns=corridor.stamps_ns[order])
    after = after_of(mixed)
    assert after[order.tolist().index(59)] == NONE
    linked = after != NONE
    np.testing.assert_array_equal(order[after[linked]], order[linked] + 1)


def test_sessions_are_not_linked(corridor):
    two = replace(corridor, session_of=np.repeat([0, 1], 30).astype(np.int32),
                  sessions=('one', 'two'))
    after = after_of(two)
    assert after[29] == NONE
    assert (after != NONE).sum() == 58


def test_cameras_are_not_linked(corridor):
    two = replace(corridor, cameras=(Camera('camera'), Camera('other')),
                  camera_of=(np.arange(60) % 2).astype(np.int32))
    first, second = links(two)
    assert (two.camera_of[first] == two.camera_of[second]).all()
    np.testing.assert_array_equal(second - first, 2)


def test_a_gap_in_the_recording_is_no_road(corridor):
    poses = corridor.poses.copy()
    poses[30:, 0] += 500.0
    after = after_of(replace(corridor, poses=poses))
    assert after[29] == NONE
    assert after[30] == 31


def test_a_rear_camera_passes_the_places_in_reverse(corridor):
    mount = corridor.cameras[0].base_from_camera
    rear = Camera('rear', se3.compose(se3.from_xy_yaw(-0.3, 0.0, np.pi), mount))
    after = after_of(corridor, [Camera('camera'), rear])
    np.testing.assert_array_equal(after[:60], [*range(1, 60), NONE])
    np.testing.assert_array_equal(after[60:], [NONE, *range(60, 119)])


def test_a_robot_that_drove_backwards_while_mapping_drives_on_so(corridor):
    backwards = replace(corridor, poses=corridor.poses[::-1].copy())
    np.testing.assert_array_equal(after_of(backwards), [*range(1, 60), NONE])


def test_turns_on_the_spot_lie_on_the_way(corridor):
    poses = corridor.poses.copy()
    poses[20:23] = [se3.from_xy_yaw(20.0, 0.0, turn) for turn in (0.0, 3.0, 6.0)]
    poses[23:, 0] -= 2.0
    np.testing.assert_array_equal(after_of(replace(corridor, poses=poses)),
                                  [*range(1, 60), NONE])


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('count', [1, 2, 60])
def test_places_all_at_one_position_are_a_way_like_any(corridor, count):
    rows = slice(0, count)
    spot = replace(corridor, descriptors=corridor.descriptors[rows],
                   poses=np.tile(corridor.poses[:1], (count, 1)),
                   stamps_ns=corridor.stamps_ns[rows], camera_of=corridor.camera_of[rows],
                   session_of=corridor.session_of[rows], thumbnails=())
    np.testing.assert_array_equal(after_of(spot), [*range(1, count), NONE])


def test_what_comes_before_is_the_inverse():
    after = np.array([3, NONE, 0, 1, NONE])
    np.testing.assert_array_equal(predecessors(after), [2, 3, NONE, 0, NONE])
