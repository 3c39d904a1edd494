# SPDX-License-Identifier: Apache-2.0
"""The node beside another localizer: what it is told, what it answers, and who disagrees."""

import math

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from vpr_ros.core.types import stamp_ns_of

QUICK = {'publish_initialpose': 'true', 'initialpose_settle_s': '0.3',
         'initialpose_backoff_s': '0.3', 'initialpose_tries': '3', 'disagree_frames': '3'}


class FakeAmcl:
    """A localizer in a node of its own, `error_m` off, that takes initial poses or does not."""

    def __init__(self, robot, stage, ignores=0, stays_off=False, error_m=15.0,
                 topic='amcl_pose'):
        self.error_m = error_m
        self.heard = []
        self._ignores, self._stays_off = ignores, stays_off
        self._robot, self._stage = robot, stage
        self.node = Node('amcl', context=robot.context, use_global_arguments=False)
        robot._executor.add_node(self.node)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._publisher = self.node.create_publisher(
            PoseWithCovarianceStamped, topic, latched)  # as Nav2's is
        self.node.create_subscription(
            PoseWithCovarianceStamped, 'initialpose', self._on_initialpose, 1)

    def _on_initialpose(self, message):
        self.heard.append(message)
        if len(self.heard) > self._ignores and not self._stays_off:
            self.error_m = 0.4

    def connect(self):
        self._robot.until(lambda: self._publisher.get_subscription_count(), 'amcl_pose is heard')
        self._robot.until(lambda: self._robot.node.count_publishers('initialpose'), 'initialpose')

    def say(self, metres, **changes):
        self._publisher.publish(pose(self._stage, metres + self.error_m, self._robot.now_ns,
                                     **changes))


def pose(stage, metres, stamp_ns, frame_id='map', kind=PoseWithCovarianceStamped, norm=1.0):
    message = stage.stamp(kind(), stamp_ns)
    message.header.frame_id = frame_id
    message.pose.pose.position.x = float(metres)
    message.pose.pose.position.y = 2.0
    message.pose.pose.orientation.w = norm
    return message


def drive(robot, amcl, metres):
    """Drive, with the other localizer saying where it is; return the last status."""
    for metre in metres:
        status = robot.drive([metre])[-1]
        amcl.say(metre)
    return status


def report(robot, part, text=''):
    """Stand and look until the diagnostics of a part say `text`."""
    robot.heard['diagnostics'].clear()

    def found():
        return next((status for array in robot.heard['diagnostics'] for status in array.status
                     if status.name == f'relocalizer: {part}' and text in status.message), None)

    return robot.until(found, f'{text!r} on {part}')


def insist(robot, amcl, metre, sends):
    """Stand at `metre` and look around until as many initial poses were sent."""
    def enough():
        drive(robot, amcl, [metre])
        return len(amcl.heard) >= sends

    robot.until(enough, f'{sends} initial poses')


@pytest.fixture
def scene(start, depot, stage):
    """Start the node and, around it, what a test needs."""
    def begin(parameters=(), arguments=(), **amcl):
        process, robot = start({'map': depot, **QUICK, **dict(parameters)}, arguments)
        fake = FakeAmcl(robot, stage, **amcl)
        robot.listen('relocalizer/disagreement', DiagnosticStatus, 'disagreement')
        robot.ready()
        fake.connect()
        robot.until(lambda: robot.node.count_publishers('relocalizer/disagreement'), 'it')
        return process, robot, fake

    return begin


def test_a_localizer_that_settles_is_told_once(scene, stage):
    _, robot, amcl = scene()
    drive(robot, amcl, range(5, 25))
    settled = report(robot, 'initialpose', 'amcl_pose has settled near what was sent')
    assert settled.level == b'\x00'
    values = stage.values(settled)
    assert values['sent'] == '1 of 3'
    assert float(values['distance, m']) < 3.0
    drive(robot, amcl, range(25, 30))
    assert len(amcl.heard) == 1


def test_a_first_pose_that_is_ignored_is_followed_by_the_one_of_then(scene, stage):
    process, robot, amcl = scene({'initialpose_backoff_s': '3.0'}, ignores=1)
    drive(robot, amcl, range(5, 20))
    robot.until(lambda: amcl.heard, 'the first')
    waiting = report(robot, 'initialpose', 'did not settle')
    assert waiting.level == b'\x01'
    assert f'try 1 of 3 (x {amcl.heard[0].pose.pose.position.x:.2f} m' in waiting.message
    assert 'amcl_pose is at x 3' in waiting.message
    assert len(amcl.heard) == 1
    drive(robot, amcl, range(20, 30))
    insist(robot, amcl, 30, 2)
    first, second = amcl.heard
    assert stamp_ns_of(second) > stamp_ns_of(first)
    assert second.pose.pose.position.x == pytest.approx(30.0, abs=0.6)
    drive(robot, amcl, [30])
    report(robot, 'initialpose', 'settled near')
    assert len(amcl.heard) == 2
    assert 'initialpose: try 1 of 3' in process.log
    assert 'initialpose: amcl_pose has settled' in process.log


def test_who_never_settles_is_given_up_until_a_trigger(scene, stage):
    _, robot, amcl = scene(stays_off=True)
    drive(robot, amcl, range(5, 30))
    insist(robot, amcl, 30, 3)
    drive(robot, amcl, [30])
    over = report(robot, 'initialpose', 'call ~/trigger to send another')
    assert (over.level, stage.values(over)['state']) == (b'\x01', 'given up')
    assert 'try 3 of 3' in over.message
    drive(robot, amcl, range(31, 36))
    assert len(amcl.heard) == 3
    assert robot.trigger().success
    robot.until(lambda: len(amcl.heard) == 4, 'the one of the trigger')


def test_a_trigger_sends_again_what_had_settled(scene):
    _, robot, amcl = scene()
    drive(robot, amcl, range(5, 25))
    report(robot, 'initialpose', 'settled near')
    assert robot.trigger().success
    robot.until(lambda: len(amcl.heard) == 2, 'the second')
    drive(robot, amcl, [25])
    report(robot, 'initialpose', 'settled near')


def test_where_nobody_answers_it_is_said_and_nothing_repeated(start, depot, stage):
    _, robot = start({'map': depot, **QUICK})
    robot.listen('initialpose', PoseWithCovarianceStamped, 'initialpose')
    robot.ready()
    robot.until(lambda: robot.node.count_publishers('initialpose'), 'initialpose')
    assert report(robot, 'initialpose').message == 'the first accepted pose goes out'
    robot.drive(range(5, 25))
    alone = report(robot, 'initialpose', 'nobody answers on amcl_pose')
    assert alone.level == b'\x01'
    robot.drive(range(25, 35))
    report(robot, 'initialpose', 'nobody answers on amcl_pose')
    assert len(robot.heard['initialpose']) == 1


def test_what_was_sent_is_moved_on_by_odometry(scene, stage):
    """The camera falls silent, and the other follows the robot for a dozen meters."""
    _, robot, amcl = scene()
    metre = 5
    while not amcl.heard:
        drive(robot, amcl, [metre])
        metre = min(metre + 1, 25)
    for further in range(metre, metre + 12):
        robot.say(further, robot.tick())
        amcl.say(further)
        robot.spin_once()
    settled = report(robot, 'initialpose', 'settled near')
    assert float(stage.values(settled)['distance, m']) < 1.5


def test_one_that_is_there_and_silent_may_have_dropped_it(scene, stage):
    """As AMCL is before it has a map, under whatever name it says where it is."""
    _, robot, silent = scene(arguments=['-r', 'amcl_pose:=/pose'], topic='/pose')

    def again():
        robot.drive([20 if silent.heard else robot.metre])
        robot.metre = min(robot.metre + 1, 30)
        return len(silent.heard) >= 2

    robot.metre = 5
    robot.until(again, 'the second')
    waiting = report(robot, 'initialpose', 'amcl_pose says nothing')
    assert waiting.level == b'\x01'


def test_a_jump_of_time_and_a_swap_of_the_map_begin_anew(scene, depot):
    _, robot, amcl = scene()
    drive(robot, amcl, range(5, 20))
    robot.until(lambda: len(amcl.heard) == 1, 'the first')
    robot.now_ns -= 20_000_000_000
    drive(robot, amcl, range(5, 20))
    robot.until(lambda: len(amcl.heard) == 2, 'the second')
    assert robot.load_map(depot) == 0
    drive(robot, amcl, range(20, 35))
    robot.until(lambda: len(amcl.heard) == 3, 'the third')


def test_where_nobody_listens_it_waits_and_says_so(start, depot):
    _, robot = start({'map': depot, **QUICK})
    robot.ready()
    robot.drive(range(5, 20))
    assert report(robot, 'initialpose').message == 'nobody listens on initialpose'
    robot.listen('initialpose', PoseWithCovarianceStamped, 'initialpose')

    def sent():
        robot.drive([20])
        return robot.heard['initialpose']

    robot.until(sent, 'the initial pose')


def verdicts(robot, stage):
    return [(status.level, stage.values(status)) for status in robot.heard['disagreement']]


def test_one_outlier_is_no_disagreement_and_three_in_a_row_are(scene, stage):
    _, robot, amcl = scene({'publish_initialpose': 'false'}, error_m=0.0)
    assert drive(robot, amcl, range(5, 20)).level == b'\x00'
    robot.heard['disagreement'].clear()
    for metre, error_m in ((20, 0.0), (21, 12.0), (22, 0.0), (23, 0.0)):
        amcl.error_m = error_m
        drive(robot, amcl, [metre])
    robot.until(lambda: len(robot.heard['disagreement']) >= 4, 'four comparisons')
    assert {level for level, _ in verdicts(robot, stage)} == {b'\x00'}
    amcl.error_m = 12.0

    def lost():
        drive(robot, amcl, [24])
        return robot.heard['disagreement'][-1].level == b'\x01'

    robot.until(lost, 'the sign that somebody is lost')
    status = robot.heard['disagreement'][-1]
    values = stage.values(status)
    assert (status.name, status.hardware_id) == ('relocalizer: amcl_pose', 'amcl_pose')
    assert values['verdict'] == 'disagrees'
    assert float(values['distance_m']) == pytest.approx(12.0, abs=1.0)
    assert float(values['angle_rad']) == pytest.approx(0.0, abs=0.2)
    assert '12.' in status.message or '11.' in status.message
    known = report(robot, 'amcl_pose', 'disagrees')
    assert known.level == b'\x01'
    amcl.error_m = 0.0

    def found():
        drive(robot, amcl, [25])
        return robot.heard['disagreement'][-1].level == b'\x00'

    robot.until(found, 'agreement')


def test_poses_are_compared_at_the_moment_of_the_image(scene, stage):
    """The other is a whole step behind in time, and odometry makes up for it."""
    _, robot, amcl = scene({'publish_initialpose': 'false'}, error_m=0.0)
    for metre in range(5, 20):
        amcl.say(metre - 1)  # of the last image's moment
        robot.drive([metre])
    status = robot.until(lambda: next(
        (one for one in reversed(robot.heard['disagreement'])
         if stage.values(one)['verdict'] == 'agrees'), None), 'a comparison')
    assert float(stage.values(status)['distance_m']) < 0.6


def test_what_cannot_be_compared_is_refused_and_said_once(scene, stage):
    process, robot, amcl = scene({'publish_initialpose': 'false'}, error_m=0.0)
    for metre in range(5, 18):
        robot.drive([metre])
        amcl.say(metre, frame_id='odom')
        amcl.say(metre, norm=0.5)
        amcl.say(math.nan)
    robot.until(lambda: robot.heard['disagreement'], 'a comparison')
    status = robot.heard['disagreement'][-1]
    assert (status.level, stage.values(status)['verdict']) == (b'\x03', 'absent')
    assert stage.values(status)['distance_m'] == 'nan'
    found = report(robot, 'amcl_pose', 'was ignored')
    values = stage.values(found)
    assert found.level == b'\x01'
    assert int(values['in another frame']) > 3
    assert int(values['refused (NaN)']) > 3
    assert process.log.count('amcl_pose was ignored') == 1  # the rest within ten seconds


def test_odometry_in_the_frame_of_the_map_is_compared_too(start, depot, stage):
    _, robot = start({'map': depot, 'disagree_frames': '1'})
    robot.listen('relocalizer/disagreement', DiagnosticStatus, 'disagreement')
    other = robot.node.create_publisher(Odometry, 'external_odom', 10)
    robot.ready()
    robot.until(other.get_subscription_count, 'external_odom is heard')
    robot.until(lambda: robot.node.count_publishers('relocalizer/disagreement'), 'it')
    for metre in range(5, 20):
        robot.say(metre, robot.tick())
        other.publish(pose(stage, metre + 30, robot.now_ns, kind=Odometry))
        robot.show(stage.raw(stage.view(metre), robot.now_ns))

    def lost():
        other.publish(pose(stage, 50, robot.now_ns, kind=Odometry))
        robot.drive([20])
        return [one for one in robot.heard['disagreement'] if one.level == b'\x01']

    assert robot.until(lost, 'the sign')[0].hardware_id == 'external_odom'


def test_without_anybody_else_the_topic_says_stale(start, depot, stage):
    _, robot = start({'map': depot})
    robot.listen('relocalizer/disagreement', DiagnosticStatus, 'disagreement')
    robot.ready()
    robot.until(lambda: robot.node.count_publishers('relocalizer/disagreement'), 'it')

    def said():
        robot.drive([robot.metre])
        robot.metre = min(robot.metre + 1, 30)
        return robot.heard['disagreement']

    robot.metre = 5
    assert robot.until(said, 'a comparison')[0].level == b'\x03'
    names = {status.name for array in robot.heard['diagnostics'] for status in array.status}
    assert 'relocalizer: amcl_pose' not in names
