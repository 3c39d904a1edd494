# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.core.belief import Belief, BeliefConfig
from vpr_ros.core.chain import NONE
from vpr_ros.core.clusters import Cluster
from vpr_ros.core.steps import Steps
from vpr_ros.core.types import Frame

ALIKE = 0.6   # a place and the next
IMAGE = np.zeros((1, 1, 3), np.uint8)


def seen(angle_rad):
    """A view that has changed by this angle; its cosine to the one at zero is cos(angle)."""
    return np.array([np.cos(angle_rad), np.sin(angle_rad)], np.float32)


def at(x_m, yaw_rad=0.0):
    return se3.from_xy_yaw(x_m, 0.0, yaw_rad)


class Recorder(Belief):
    """A belief over places a meter apart that notes how it was moved."""

    def __init__(self):
        poses = np.stack([at(float(i)) for i in range(10)])
        super().__init__(BeliefConfig(), poses, np.append(np.arange(1, 10), NONE))
        self.moves = []

    def move(self, before_from_now, elapsed_s, novelty=1.0):
        self.moves.append((before_from_now, elapsed_s, novelty))


@pytest.fixture
def belief():
    return Recorder()


@pytest.fixture
def steps(belief):
    return Steps(belief, ALIKE, each_frame=False)


def take(steps, second, angle_rad=0.0, odom=None, camera='camera'):
    return steps.take(Frame(round(second * 1e9), camera, IMAGE), seen(angle_rad), odom)


def test_the_first_frame_is_a_step_that_moves_nothing(steps, belief):
    assert take(steps, 0.0)
    assert belief.moves == []
    assert steps.taken == 1


def test_a_step_is_a_drive_of_the_spacing(steps, belief):
    take(steps, 0.0, 0.0, at(0.0))
    assert [take(steps, i, i, at(0.4 * i)) for i in range(1, 6)] == [
        False, False, True, False, False]
    (motion, elapsed_s, novelty), = belief.moves
    np.testing.assert_allclose(motion, at(1.2))
    assert (elapsed_s, novelty) == (3.0, 1.0)


@pytest.mark.parametrize('x_m', [1.1, -1.1])
def test_backwards_is_a_step_as_well(steps, belief, x_m):
    take(steps, 0.0, 0.0, at(0.0))
    assert take(steps, 1.0, 1.0, at(x_m))
    np.testing.assert_allclose(belief.moves[0][0], at(x_m))


def test_a_turn_is_a_step(steps, belief):
    take(steps, 0.0, 0.0, at(0.0))
    assert not take(steps, 1.0, 0.2, at(0.0, 0.1))
    assert take(steps, 2.0, 0.4, at(0.0, 0.4))
    np.testing.assert_allclose(belief.moves[0][0], at(0.0, 0.4))


def test_standing_still_is_no_step_however_the_picture_changes(steps, belief):
    for i in range(20):
        take(steps, i, i, at(0.0))
    assert belief.moves == []


def test_a_drive_with_the_same_picture_is_nothing_new(steps, belief):
    take(steps, 0.0, 0.0, at(0.0))
    take(steps, 1.0, 0.0, at(1.0))
    take(steps, 2.0, 0.1, at(2.0))
    take(steps, 3.0, 1.5, at(3.0))
    novelty = [move[2] for move in belief.moves]
    assert novelty[0] == 0.0
    assert 0.0 < novelty[1] < 0.1
    assert novelty[2] == 1.0


def test_without_odometry_a_new_view_is_a_step(steps, belief):
    """Changes add up, to a share of what tells a place from the next."""
    took = [take(steps, i, 0.3 * i) for i in range(12)]
    assert took[0]
    assert 2 <= sum(took[1:]) < 8
    assert all(motion is None for motion, *_ in belief.moves)


def test_without_odometry_the_same_view_is_none(steps, belief):
    for i in range(50):
        take(steps, i, 0.0)
    assert belief.moves == []


def test_without_odometry_no_robot_drives_that_fast(steps, belief):
    for i in range(10):
        take(steps, 0.01 * i, float(i))
    assert belief.moves == []


def test_each_frame_may_be_a_step(belief):
    steps = Steps(belief, ALIKE, each_frame=True)
    assert all(take(steps, 0.01 * i, 0.0) for i in range(5))
    assert len(belief.moves) == 4


def test_odometry_that_begins_late_is_measured_from_there(steps, belief):
    take(steps, 0.0, 0.0)
    assert not take(steps, 1.0, 0.1, at(5.0))
    assert take(steps, 2.0, 0.2, at(6.1))
    np.testing.assert_allclose(belief.moves[0][0], at(1.1))


def test_odometry_that_falls_silent_gives_no_motion(steps, belief):
    take(steps, 0.0, 0.0, at(0.0))
    assert take(steps, 1.0, 1.5, None)
    assert belief.moves[0][0] is None
    assert not take(steps, 1.1, 1.6, at(9.0))   # no motion is made up over the gap
    assert take(steps, 2.1, 1.7, at(10.1))
    np.testing.assert_allclose(belief.moves[1][0], at(1.1))


def test_a_long_time_unseen_is_no_endless_drive(steps, belief):
    take(steps, 0.0)
    take(steps, 3600.0, 1.5)
    assert 5.0 < belief.moves[0][1] <= 10.0


def test_what_one_camera_sees_is_not_compared_with_another(steps, belief):
    for i in range(40):
        take(steps, 2 * i, 0.0, camera='front')
        take(steps, 2 * i + 1, 3.0, camera='rear')
    assert belief.moves == []


def test_a_map_whose_places_look_all_the_same_needs_some_change(belief):
    steps = Steps(belief, 1.0, each_frame=False)
    assert [take(steps, i, 1e-4 * i) for i in range(10)] == [True] + [False] * 9


def cluster(x_m, probability=0.9):
    return Cluster(np.array([0]), at(x_m), np.eye(6), probability)


def test_a_hypothesis_that_goes_on_holds(steps):
    steps.reach_m = 2.0
    take(steps, 0.0, 0.0, at(0.0))
    held = []
    for i in range(5):
        steps.found = (cluster(20.0 + i),)
        held.append(steps.held(at(20.0 + i)))
        take(steps, i + 1.0, float(i + 1), at(i + 1.0))
    assert held == [0, 0, 1, 2, 3]


def test_a_hypothesis_that_jumps_begins_anew(steps):
    steps.reach_m = 2.0
    take(steps, 0.0, 0.0, at(0.0))
    for i in range(5):
        steps.found = (cluster(20.0 + i),)
        take(steps, i + 1.0, float(i + 1), at(i + 1.0))
    assert steps.held(at(25.0)) > 0
    assert steps.held(at(80.0)) == 0
    steps.found = (cluster(80.0),)
    take(steps, 6.0, 6.0, at(6.0))
    assert steps.held(at(81.0)) == 0


def test_where_it_stands_odometry_says(steps):
    """The hypothesis must go with the robot, not only stay somewhere."""
    steps.reach_m = 2.0
    take(steps, 0.0, 0.0, at(0.0))
    for i in range(3):
        steps.found = (cluster(20.0),)      # it stays; the robot drives 5 m each time
        take(steps, i + 1.0, float(i + 1), at(5.0 * (i + 1)))
    assert steps.held(at(20.0)) == 0


def test_reset_forgets(steps, belief):
    take(steps, 0.0, 0.0, at(0.0))
    steps.found = (cluster(1.0),)
    take(steps, 1.0, 1.0, at(1.0))
    steps.reset()
    assert steps.found == ()
    assert steps.held(at(2.0)) == 0
    assert take(steps, 2.0, 2.0, at(50.0))
    assert len(belief.moves) == 1
