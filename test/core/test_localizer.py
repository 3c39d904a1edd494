# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.core.belief import BeliefConfig
from vpr_ros.core.localizer import Localizer, LocalizerConfig
from vpr_ros.core.types import Camera, Reason
from vpr_ros.errors import MapError

CONFIG = LocalizerConfig()


def drive(localizer, view, places, start_s=0.0, odometry=True):
    """Drive through `places`, one a second and a meter, and return the outcomes."""
    return [localizer.localize(view(place, start_s + i),
                               *([ahead(float(i))] if odometry else []))
            for i, place in enumerate(places)]


def ahead(x_m):
    """Odometry that has the robot `x_m` ahead of its start."""
    return lambda stamp_ns: se3.from_xy_yaw(x_m, 0.0, 0.0)


@pytest.mark.parametrize('odometry', [True, False])
def test_a_known_road_ends_in_right_poses(corridor, describer, view, odometry):
    outcomes = drive(Localizer(CONFIG, corridor, describer), view, range(10, 40),
                     odometry=odometry)
    assert [o.reason for o in outcomes[-10:]] == [Reason.ACCEPTED] * 10
    for place, outcome in zip(range(10, 40), outcomes, strict=True):
        assert outcome.matches[0].place == place
        if outcome.accepted:
            # Without odometry the belief cannot know how fast the robot drives, and lags a little.
            assert abs(outcome.accepted.pose[0] - place) < (1.0 if odometry else 2.0)
            assert outcome.accepted.frame_id == 'map'
            assert np.linalg.eigvalsh(outcome.accepted.covariance).min() > 0.0


def test_the_first_frames_are_not_believed_yet(corridor, describer, view):
    outcomes = drive(Localizer(CONFIG, corridor, describer), view, range(10, 14))
    assert all(o.reason is not Reason.ACCEPTED for o in outcomes)


def test_standing_still_never_confirms(corridor, describer, view):
    localizer = Localizer(CONFIG, corridor, describer)
    for second in range(60):
        outcome = localizer.localize(view(20, second), ahead(0.0))
        assert outcome.reason is not Reason.ACCEPTED
    silent = Localizer(CONFIG, corridor, describer)
    for second in range(60):
        assert silent.localize(view(20, second)).reason is not Reason.ACCEPTED


def test_off_the_map_is_unknown(corridor, describer, view):
    outcomes = drive(Localizer(CONFIG, corridor, describer), view, range(500, 540))
    assert not any(o.accepted for o in outcomes)
    assert outcomes[-1].reason is Reason.UNKNOWN
    assert outcomes[-1].unknown_probability > 0.9


def test_leaving_the_map_ends_the_poses(corridor, describer, view):
    outcomes = drive(Localizer(CONFIG, corridor, describer), view,
                     [*range(40, 60), *range(500, 520)])
    assert outcomes[18].reason is Reason.ACCEPTED
    assert not any(o.accepted for o in outcomes[23:])


def test_twins_far_apart_are_ambiguous(corridor, describer, view):
    rows = np.concatenate([corridor.descriptors[:30], corridor.descriptors[:30]])
    poses = np.concatenate([corridor.poses[:30], corridor.poses[:30]])
    poses[30:, 1] = 50.0
    twins = replace(corridor, descriptors=rows, poses=poses)
    outcomes = drive(Localizer(CONFIG, twins, describer), view, range(5, 25))
    assert {o.reason for o in outcomes[8:]} == {Reason.AMBIGUOUS}
    first, second = outcomes[-1].hypotheses[:2]
    assert {round(first.pose[1]), round(second.pose[1])} == {0, 50}


def test_a_kidnapped_robot_is_found_again(corridor, describer, view):
    outcomes = drive(Localizer(CONFIG, corridor, describer), view,
                     [*range(5, 20), *range(40, 58)])
    assert outcomes[14].reason is Reason.ACCEPTED
    for place, outcome in zip(range(40, 58), outcomes[15:], strict=True):
        if outcome.accepted:
            assert abs(outcome.accepted.pose[0] - place) < 2.0
    assert outcomes[-1].reason is Reason.ACCEPTED


def test_a_bag_that_starts_over_resets_once(corridor, describer, view):
    localizer = Localizer(CONFIG, corridor, describer)
    drive(localizer, view, range(5, 25), start_s=100.0)
    again = drive(localizer, view, range(5, 25), start_s=0.0)
    assert [o.restarted for o in again] == [True] + [False] * 19
    assert again[0].reason is not Reason.ACCEPTED
    assert again[-1].reason is Reason.ACCEPTED


def test_a_frame_that_comes_late_is_stale(corridor, describer, view):
    localizer = Localizer(CONFIG, corridor, describer)
    localizer.localize(view(5, 10.0))
    outcome = localizer.localize(view(5, 9.5))
    assert outcome.reason is Reason.STALE
    assert not outcome.hypotheses
    assert not outcome.restarted


def test_equal_frames_give_equal_outcomes(corridor, describer, view):
    a, b = (Localizer(CONFIG, corridor, describer) for _ in range(2))
    for first, second in zip(drive(a, view, range(5, 30)), drive(b, view, range(5, 30)),
                             strict=True):
        assert (first.reason, first.matches) == (second.reason, second.matches)
        assert first.unknown_probability == second.unknown_probability
        for one, other in zip(first.hypotheses, second.hypotheses, strict=True):
            np.testing.assert_array_equal(one.pose, other.pose)


def test_a_constant_picture_gets_no_pose(corridor, describer, view):
    outcomes = drive(Localizer(CONFIG, corridor, describer), view, [17] * 40)
    assert not any(o.accepted for o in outcomes[5:])


def test_a_map_of_identical_pictures_gives_no_pose(corridor, describer, view):
    same = replace(corridor, descriptors=np.tile(corridor.descriptors[3], (60, 1)))
    outcomes = drive(Localizer(CONFIG, same, describer), view, [3] * 20)
    assert not any(o.accepted for o in outcomes)


def test_a_map_of_one_place_says_something(corridor, describer, view):
    one = replace(corridor, descriptors=corridor.descriptors[:1], poses=corridor.poses[:1],
                  stamps_ns=corridor.stamps_ns[:1], camera_of=corridor.camera_of[:1],
                  session_of=corridor.session_of[:1], thumbnails=())
    for outcome in drive(Localizer(CONFIG, one, describer), view, [0, 0, 40]):
        assert outcome.reason is not Reason.ACCEPTED


def test_a_map_of_another_model_is_refused(corridor, describer):
    describer.card = replace(describer.card, name='other', digest='0' * 64)
    with pytest.raises(MapError, match='built by model toy .* not by other'):
        Localizer(CONFIG, corridor, describer)


def test_an_unknown_camera_is_refused(corridor, describer, view):
    with pytest.raises(MapError, match='camera rear is not among those of the map'):
        Localizer(CONFIG, corridor, describer, [Camera('rear')])
    with pytest.raises(MapError, match='no camera rear here'):
        Localizer(CONFIG, corridor, describer).localize(view(1, 0.0, camera='rear'))


def test_thresholds_change_on_the_fly_and_the_rest_is_refused(corridor, describer, view):
    localizer = Localizer(CONFIG, corridor, describer)
    drive(localizer, view, range(5, 25))
    localizer.reconfigure(replace(CONFIG, confirm_steps=1000))
    assert localizer.localize(view(25, 20.0), ahead(20.0)).reason is (
        Reason.UNCONFIRMED)
    with pytest.raises(MapError, match='loaded again'):
        localizer.reconfigure(replace(CONFIG, belief=BeliefConfig(max_speed_mps=9.0)))


@pytest.mark.parametrize(('wrong', 'words'), [
    ({'top_k': 0}, 'top_k'), ({'accept_probability': 1.0}, 'accept_probability'),
    ({'ambiguous_probability': 0.7}, 'ambiguous_probability')])
def test_settings_that_make_no_sense_are_refused(wrong, words):
    with pytest.raises(MapError, match=words):
        LocalizerConfig(**wrong)


def test_a_front_and_a_rear_camera_share_one_belief(corridor, describer, view):
    """Driving the other way, only the rear camera knows the views; the front one is no bar."""
    mount = corridor.cameras[0].base_from_camera
    rear = Camera('rear', se3.compose(se3.from_xy_yaw(0.0, 0.0, np.pi), mount))
    localizer = Localizer(CONFIG, corridor, describer, [Camera('camera'), rear])
    for i, place in enumerate(range(50, 15, -1)):
        localizer.localize(view(1000 + place, i, 'camera'), ahead(float(i)))
        outcome = localizer.localize(view(place, i + 0.1, 'rear'), ahead(float(i)))
    assert outcome.reason is Reason.ACCEPTED
    assert abs(se3.yaw_rad(outcome.accepted.pose)) == pytest.approx(np.pi, abs=0.1)
    assert outcome.accepted.pose[0] == pytest.approx(16.4, abs=1.0)


def test_two_cameras_that_stand_still_take_no_step(corridor, describer, view):
    mount = corridor.cameras[0].base_from_camera
    rear = Camera('rear', se3.compose(se3.from_xy_yaw(0.0, 0.0, np.pi), mount))
    localizer = Localizer(CONFIG, corridor, describer, [Camera('camera'), rear])
    unknown = [localizer.localize(view(place, i, camera)).unknown_probability
               for i in range(40) for camera, place in (('camera', 20), ('rear', 40))]
    assert np.ptp(unknown[2:]) < 0.2
