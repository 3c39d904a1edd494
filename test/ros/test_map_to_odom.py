# SPDX-License-Identifier: Apache-2.0
import math

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from vpr_ros.core import pose as se3
from vpr_ros.core.types import Hypothesis, stamp_ns_of
from vpr_ros.ros.map_to_odom import MapToOdom

NOW_NS = 1_700_000_000_000_000_000


@pytest.fixture
def sent():
    return []


@pytest.fixture
def transform(sent):
    return MapToOdom(sent.append)


def fix(pose, frame_id='map'):
    return Hypothesis(NOW_NS, frame_id, pose, np.eye(6), 0.99)


def row(message):
    shift, turn = message.transform.translation, message.transform.rotation
    return np.array([shift.x, shift.y, shift.z, turn.x, turn.y, turn.z, turn.w])


def test_nothing_is_sent_before_the_first_accepted_pose(transform, sent):
    assert not transform.send(NOW_NS, 0.0, 0.2, 10.0)
    assert sent == []


def test_the_transform_takes_odometry_to_the_map_dated_ahead(transform, sent):
    base = se3.from_xy_yaw(10.0, 5.0, math.pi / 2)
    odom = se3.from_xy_yaw(2.0, 0.0, 0.0)
    assert transform.update(fix(base), odom, 'odom', 100.0) is None
    assert transform.send(NOW_NS, 100.5, 0.2, 10.0)
    message = sent[0]
    assert (message.header.frame_id, message.child_frame_id) == ('map', 'odom')
    assert stamp_ns_of(message) == NOW_NS + 200_000_000
    assert np.allclose(row(message), se3.from_xy_yaw(10.0, 3.0, math.pi / 2))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_with_odometry_it_gives_back_the_accepted_pose(seed):
    """In three dimensions: map_from_odom * odom_from_base is map_from_base."""
    random, sent = np.random.default_rng(seed), []

    def any_pose():
        turn = random.normal(size=4)
        return np.concatenate([random.normal(size=3) * 50.0, turn / np.linalg.norm(turn)])

    base, odom = any_pose(), any_pose()
    transform = MapToOdom(sent.append)
    assert transform.update(fix(base), odom, 'odom', 0.0) is None
    transform.send(NOW_NS, 0.0, 0.0, 0.0)
    found = se3.compose(row(sent[0]), odom)
    assert se3.distance_m(found, base) < 1e-6
    assert se3.angle_rad(found, base) < 1e-6
    assert abs(np.linalg.norm(row(sent[0])[3:]) - 1.0) < 1e-9


def test_it_is_held_for_a_while_and_then_dropped(transform, sent):
    transform.update(fix(se3.IDENTITY), se3.IDENTITY, 'odom', 100.0)
    assert transform.send(NOW_NS, 109.9, 0.2, 10.0)
    assert not transform.send(NOW_NS, 110.1, 0.2, 10.0)
    assert not transform.send(NOW_NS, 101.0, 0.2, 10.0)  # it was dropped
    assert len(sent) == 1


def test_it_may_be_held_for_ever(transform, sent):
    transform.update(fix(se3.IDENTITY), se3.IDENTITY, 'odom', 0.0)
    assert transform.send(NOW_NS, 1e9, 0.2, 0.0)


def test_cleared_it_is_silent(transform, sent):
    transform.update(fix(se3.IDENTITY), se3.IDENTITY, 'odom', 0.0)
    transform.clear()
    assert not transform.send(NOW_NS, 0.0, 0.2, 10.0)


def test_before_simulated_time_begins_nothing_is_sent(transform):
    transform.update(fix(se3.IDENTITY), se3.IDENTITY, 'odom', 0.0)
    assert not transform.send(0, 0.0, 0.2, 10.0)


@pytest.mark.parametrize(('odom', 'frame', 'said'), [
    (None, 'odom', 'needs odometry of the moment of the image'),
    (se3.IDENTITY, '', "odom is in ''"),
    (se3.IDENTITY, 'map', "odom is in 'map', and the map in 'map'"),
])
def test_what_is_lacking_is_said_and_what_is_held_stays(transform, sent, odom, frame, said):
    transform.update(fix(se3.IDENTITY), se3.IDENTITY, 'odom', 0.0)
    assert said in transform.update(fix(se3.IDENTITY), odom, frame, 5.0)
    assert transform.send(NOW_NS, 5.0, 0.2, 10.0)


def test_it_is_sent_from_the_first_accepted_pose_until_the_node_rests(stage, sent, monkeypatch):
    """The hand-off in a real node, with a fake in the place of /tf."""
    from rclpy.lifecycle import LifecycleNode

    from vpr_ros.ros import handoff as module
    from vpr_ros.ros.node_config import NodeConfig
    from vpr_ros.ros.odometry_input import OdometryInput

    monkeypatch.setattr(module, 'tf_broadcast', lambda node: (sent.append, None))
    robot = stage.Robot(1 + next(stage.domains) % 100)
    node = LifecycleNode('relocalizer', context=robot.context, use_global_arguments=False)
    robot._executor.add_node(node)
    try:
        odometry = OdometryInput()
        message = stage.odometry(3.0, NOW_NS)
        message.header.frame_id = 'odom'
        odometry.add(message)
        handoff = module.Handoff(node, odometry, NodeConfig(publish_tf=True, tf_rate_hz=100.0),
                                 lambda: 'map')
        handoff.open()
        for _ in range(5):
            robot.spin_once()
        assert sent == []
        handoff.accepted(fix(se3.from_xy_yaw(10.0, 2.0, 0.0)))
        robot.until(lambda: len(sent) >= 3, 'transforms')
        assert np.allclose(row(sent[-1]), se3.from_xy_yaw(7.0, 2.0, 0.0))
        stamps = [stamp_ns_of(one) for one in sent]
        assert stamps == sorted(set(stamps))
        now_ns = node.get_clock().now().nanoseconds
        assert abs(stamps[-1] - now_ns - 200_000_000) < 1_000_000_000
        handoff.reset()  # as after a jump of time or a swap of the map
        count = len(sent)
        for _ in range(5):
            robot.spin_once()
        assert len(sent) == count
        handoff.close()
        handoff.destroy()
    finally:
        robot.close()
        node.destroy_node()


def test_the_node_publishes_it_where_tf_is(start, depot, stage):
    """Needs tf2_msgs, which comes with ROS 2 by apt and in no wheel."""
    tf = pytest.importorskip('tf2_msgs.msg', reason='tf2_msgs is not installed')
    _, robot = start({'map': depot, 'publish_tf': 'true'})
    robot.listen('/tf', tf.TFMessage, 'tf')
    robot.ready()
    for metre in range(5, 20):
        message = stage.odometry(metre, robot.tick())
        message.header.frame_id = 'odom'
        robot._odometry.publish(message)
        robot.show(stage.raw(stage.view(metre), robot.now_ns))
    robot.until(lambda: robot.heard['tf'], 'map -> odom')
    assert np.allclose(row(robot.heard['tf'][-1].transforms[0])[:2], [0.0, 2.0], atol=0.6)


def test_without_tf_the_node_says_what_to_install(start, depot):
    try:
        import tf2_msgs  # noqa: F401
    except ImportError:
        process, _ = start({'map': depot, 'publish_tf': 'true'})
        assert process.wait() == 2
        assert 'install ros-<distro>-tf2-msgs, or set publish_tf to false' in process.log
        assert 'Traceback' not in process.log
    else:
        pytest.skip('tf2_msgs is here')
