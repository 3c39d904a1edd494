# SPDX-License-Identifier: Apache-2.0
"""Real nodes in trouble: carried away, between twins, blind, misled. No wrong pose, ever."""

import math

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from vpr_ros.core import pose as se3
from vpr_ros.core.types import stamp_ns_of

OK = b'\x00'
NEAR_M = 1.5
PATIENT = {'odom_wait_s': 2.0}   # on a busy machine odometry may be late, but it is sent first


@pytest.fixture(scope='module')
def nodes(start, depot, stage):
    """One node for most of these; each test begins with a jump of time, which resets it."""
    process, robot = start({'map': depot, **PATIENT})
    robot.ready()
    return process, robot


@pytest.fixture
def robot(nodes):
    robot = nodes[1]
    robot.until(lambda: robot.spin_once() is None, 'what is on its way')
    robot.now_ns -= 400_000_000_000
    for messages in robot.heard.values():
        messages.clear()
    return robot


class Journal:
    """Where the robot truly was at each image, and which poses that were published are of it."""

    def __init__(self, robot, stage):
        self.robot, self.stage, self.truth = robot, stage, {}

    def drive(self, metres, odometry=lambda metre: metre, picture=None, topic='image', pose=None):
        """Drive, and return the reasons; odometry None says nothing."""
        reasons = []
        for metre in metres:
            now_ns = self.robot.tick()
            if odometry is not None:
                self.robot.say(odometry(metre), now_ns)
            seen = self.stage.view(metre) if picture is None else picture
            self.truth[now_ns] = (metre, 2.0, 0.0) if pose is None else pose(metre)
            status = self.robot.show(self.stage.raw(seen, now_ns), topic)
            reasons.append(self.stage.values(status)['reason'])
            if reasons[-1] == 'accepted':
                self.robot.newest('pose')
        return reasons

    def check(self):
        """Assert that each pose is where the robot was when it took the picture."""
        for message in self.robot.heard['pose']:
            x, y, yaw = self.truth[stamp_ns_of(message)]
            place, turn = message.pose.pose.position, message.pose.pose.orientation
            assert math.hypot(place.x - x, place.y - y) < NEAR_M, (place, x, y)
            off = 2.0 * math.atan2(turn.z, turn.w) - yaw
            assert abs(math.remainder(off, math.tau)) < 0.3
            covariance = np.array(message.pose.covariance).reshape(6, 6)
            assert (np.linalg.eigvalsh(covariance) > 0.0).all()


@pytest.fixture
def journal(robot, stage):
    kept = Journal(robot, stage)
    yield kept
    kept.check()


def test_carried_away_it_falls_silent_and_comes_back_right(journal):
    """The odometry sees nothing of it: somebody has lifted the robot."""
    assert journal.drive(range(5, 17))[-1] == 'accepted'
    reasons = journal.drive(range(28, 40), odometry=lambda metre: metre - 12.0)
    assert reasons[0] != 'accepted'
    assert reasons[-1] == 'accepted'


def test_carried_away_and_back_without_odometry(journal):
    assert journal.drive(range(5, 25), odometry=None)[-1] == 'accepted'
    assert journal.drive(range(3, 23), odometry=None)[-1] == 'accepted'


def test_blind_for_a_minute_with_odometry_it_goes_on(journal, robot):
    assert journal.drive(range(5, 15))[-1] == 'accepted'
    for metre in range(15, 28):
        for part in range(10):   # 65 s; the images are gone, the odometry is not
            robot.say(metre + part / 10.0, robot.tick())
            robot.spin_once()
    assert 'accepted' in journal.drive(range(28, 34))


def test_blind_without_odometry_it_begins_anew(journal, robot):
    assert journal.drive(range(5, 25), odometry=None)[-1] == 'accepted'
    robot.tick(60.0)
    assert journal.drive(range(8, 30), odometry=None)[-1] == 'accepted'


def test_off_the_map_there_is_no_pose(journal, stage):
    wall = stage.corridor(seed=7)
    for metre in range(5, 40):
        start = 40 * metre
        journal.drive([metre], picture=np.ascontiguousarray(wall[:, start:start + 160]))
    assert not journal.robot.heard['pose']


@pytest.mark.parametrize('odometry', [lambda metre: metre, None])
def test_a_camera_that_hangs_gives_no_pose(journal, stage, odometry):
    """One and the same picture, wherever the robot drives."""
    assert 'accepted' not in journal.drive(range(5, 45), odometry, stage.view(12))


@pytest.mark.parametrize('shade', [0, 128, 255])
def test_a_lens_cap_gives_no_pose(journal, shade):
    assert 'accepted' not in journal.drive(
        range(5, 30), picture=np.full((120, 160, 3), shade, np.uint8))


def test_a_camera_that_hangs_ends_the_poses(journal, stage):
    assert journal.drive(range(5, 15))[-1] == 'accepted'
    journal.robot.heard['pose'].clear()
    for metre in range(15, 35):
        journal.drive([metre], picture=stage.view(14))
    assert journal.drive(range(35, 40))[-1] == 'accepted'


def test_standing_still_adds_nothing(journal):
    assert 'accepted' not in journal.drive([12] * 30)
    assert 'accepted' not in journal.drive([12] * 30, odometry=None)


def test_reversing_it_is_followed_by_one_camera(journal):
    assert journal.drive(range(5, 17))[-1] == 'accepted'
    assert journal.drive(range(16, 5, -1))[-1] == 'accepted'


def test_time_that_jumps_back_takes_what_was_believed_along(journal, robot):
    assert journal.drive(range(5, 17))[-1] == 'accepted'
    robot.now_ns -= 30_000_000_000
    journal.truth.clear()
    robot.heard['pose'].clear()
    reasons = journal.drive(range(25, 38))
    assert reasons[0] != 'accepted'
    assert reasons[-1] == 'accepted'


def broken_odometry(kind, metre, stamp_ns, stage):
    message = stage.odometry(metre, stamp_ns)
    if kind == 'nan':
        message.pose.pose.position.y = math.nan
    elif kind == 'no quaternion':
        message.pose.pose.orientation.w = 0.0
    elif kind == 'nan covariance':
        message.pose.covariance = np.full(36, math.nan)
    elif kind == 'absurd':
        message.pose.pose.position.x = 1e6
    elif kind == 'beyond numbers':
        message.pose.pose.position.x = 1e308
    return message


@pytest.mark.parametrize('kind', ['nan', 'no quaternion', 'nan covariance', 'absurd',
                                  'beyond numbers'])
def test_one_broken_odometry_misleads_nobody(journal, robot, stage, nodes, kind):
    assert journal.drive(range(5, 17))[-1] == 'accepted'
    robot._odometry.publish(broken_odometry(kind, 17, robot.tick(), stage))
    status = robot.show(stage.raw(stage.view(17), robot.now_ns))
    journal.truth[robot.now_ns] = (17.0, 2.0, 0.0)
    assert status.level in (OK, b'\x01')
    assert journal.drive(range(18, 32))[-1] == 'accepted'
    report = robot.diagnosis('localization')
    assert stage.values(report)['failures'] == '0', nodes[0].log


def test_odometry_that_has_gone_mad_gives_no_wrong_pose(journal):
    random = np.random.default_rng(1)
    journal.drive(range(5, 35), odometry=lambda metre: float(random.uniform(-1e3, 1e3)))


@pytest.fixture(scope='module')
def twins(start, describer, stage, tmp_path_factory):
    folder = tmp_path_factory.mktemp('maps') / 'twins.map'
    stage.place_map(describer, twin=range(10, 30)).save(folder)
    _, robot = start({'map': folder, **PATIENT})
    robot.ready()
    return robot


@pytest.mark.parametrize('odometry', [lambda metre: metre, None])
def test_between_twin_corridors_it_says_so_until_one_ends(twins, stage, odometry):
    twins.now_ns -= 400_000_000_000
    journal = Journal(twins, stage)
    reasons = journal.drive(range(11, 28), odometry)
    assert reasons[-1] == 'ambiguous'
    assert 'accepted' not in reasons
    assert len(twins.newest('hypotheses').poses) >= 2
    reply = twins.trigger()
    assert (reply.success, reply.message) == (
        False, 'ambiguous: several places are nearly as probable')
    assert not twins.heard['pose']
    assert 'accepted' in journal.drive(range(28, 40), odometry)
    journal.check()
    twins.heard['pose'].clear()


def test_trigger_while_unsure_is_no_success_and_sends_nothing(journal, robot):
    journal.drive([12])
    reply = robot.trigger()
    assert not reply.success
    assert reply.message.split(':')[0] in ('unknown', 'unconfirmed', 'weak')
    assert not robot.heard['pose']


def test_driving_back_the_rear_camera_knows_the_way(start, depot, stage):
    """The map was made by a camera that looks ahead; turned round, the rear one sees its views."""
    _, robot = start({'map': depot, 'cameras': '[camera, rear]', **PATIENT,
                      'base_from_camera.camera': '[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]',
                      'base_from_camera.rear': '[-1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]'})
    robot.publisher('rear/image')
    robot.connect('rear/image')
    robot.ready('camera/image')
    journal = Journal(robot, stage)
    elsewhere = stage.corridor(seed=5)

    def look(x, yaw):
        """Both cameras, a metre before and behind; the one towards 0 sees no place."""
        reasons = []
        for topic, ahead in (('camera/image', 1.0), ('rear/image', -1.0)):
            towards = yaw if ahead > 0.0 else yaw + math.pi
            at = x + ahead * math.cos(yaw)
            start_px = round(40 * at)
            picture = (stage.view(at) if math.cos(towards) > 0.9 else np.ascontiguousarray(
                elsewhere[:, start_px:start_px + 160]))
            message = stage.odometry(x, robot.tick())
            quaternion = message.pose.pose.orientation
            quaternion.z, quaternion.w = se3.from_xy_yaw(0.0, 0.0, yaw)[5:].tolist()
            robot._odometry.publish(message)
            journal.truth[robot.now_ns] = (x, 2.0, yaw)
            status = robot.show(stage.raw(picture, robot.now_ns), topic)
            reasons.append(stage.values(status)['reason'])
        return reasons

    for x in range(5, 20):
        last = look(float(x), 0.0)
    assert 'accepted' in last
    for eighth in range(1, 9):
        look(19.0, eighth * math.pi / 8)
    robot.heard['pose'].clear()
    for x in range(18, 4, -1):
        last = look(float(x), math.pi)
    assert 'accepted' in last
    robot.until(lambda: robot.heard['pose'], 'poses')
    journal.check()
