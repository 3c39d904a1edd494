# SPDX-License-Identifier: Apache-2.0
"""The CameraInfo beside an image topic, by real publishers of every kind."""

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from vpr_ros.ros.lens_input import LensInput

K = [100.0, 0.0, 80.0, 0.0, 110.0, 60.0, 0.0, 0.0, 1.0]
P = [90.0, 0.0, 81.0, 0.0, 0.0, 95.0, 61.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def info(**changes):
    return CameraInfo(width=160, height=120, distortion_model='plumb_bob', **{
        'd': [0.1, 0.0, 0.0, 0.0, 0.0], 'k': K, 'p': P, **changes})


@pytest.fixture
def robot(stage):
    robot = stage.Robot(1 + next(stage.domains) % 100)
    yield robot
    robot.close()


@pytest.fixture
def listen(robot):
    """Listen beside an image topic; the lenses that were told of, and the input."""
    node = Node('relocalizer', context=robot.context, use_global_arguments=False)
    robot._executor.add_node(node)

    def begin(topic='/front/image_raw'):
        told = []
        return told, LensInput(node, 'front', {'raw': topic}, lambda *lens: told.append(lens))

    yield begin
    node.destroy_node()


def publisher(robot, reliability, durability, topic='/front/camera_info'):
    return robot.node.create_publisher(CameraInfo, topic, QoSProfile(
        depth=1, reliability=ReliabilityPolicy[reliability],
        durability=DurabilityPolicy[durability]))


@pytest.mark.parametrize('reliability', ['BEST_EFFORT', 'RELIABLE'])
def test_one_that_comes_with_each_image_is_taken_once(robot, listen, reliability):
    told, _ = listen()
    camera = publisher(robot, reliability, 'VOLATILE')

    def heard():
        camera.publish(info())
        return told

    robot.until(heard, 'the lens')
    robot.until(lambda: camera.get_subscription_count() == 0, 'the end of listening')
    camera.publish(info())
    robot.spin_once()
    (name, lens), = told
    assert (name, lens.width, lens.fx, lens.fy) == ('front', 160, 100.0, 110.0)
    assert lens.distortion[0] == pytest.approx(0.1)


def test_one_that_was_latched_before_is_heard_too(robot, listen):
    camera = publisher(robot, 'RELIABLE', 'TRANSIENT_LOCAL')
    camera.publish(info())
    told, _ = listen()
    robot.until(lambda: told, 'the lens')
    assert len(told) == 1


def test_what_is_not_calibrated_or_broken_is_passed_over(robot, listen):
    told, _ = listen()
    camera = publisher(robot, 'RELIABLE', 'VOLATILE')
    robot.until(camera.get_subscription_count, 'a subscriber')
    for bad in (info(k=[0.0] * 9), info(k=[float('nan')] * 9), info(d=[0.1, 0.2])):
        camera.publish(bad)
        for _ in range(5):
            robot.spin_once()
        assert told == []

    def heard():
        camera.publish(info())
        return told

    robot.until(heard, 'the lens')


def test_rectified_pictures_have_the_lens_of_p(robot, listen):
    told, source = listen('/front/image_rect/compressed')
    assert source.topic == '/front/camera_info'
    camera = publisher(robot, 'RELIABLE', 'VOLATILE')

    def heard():
        camera.publish(info())
        return told

    lens = robot.until(heard, 'the lens')[0][1]
    assert (lens.fx, lens.fy, lens.distortion) == (90.0, 95.0, ())


def test_closed_it_hears_nothing(robot, listen):
    told, source = listen()
    camera = publisher(robot, 'RELIABLE', 'VOLATILE')
    robot.until(camera.get_subscription_count, 'a subscriber')
    source.close()
    source.close()
    robot.until(lambda: camera.get_subscription_count() == 0, 'the end of listening')
    assert told == []


def test_the_node_listens_only_where_views_are_verified(start, stage, describer, tmp_path):
    stage.place_map(describer, features=True).save(tmp_path / 'corners.map')
    _, robot = start({'map': tmp_path / 'corners.map'}, ['-r', 'image:=/front/image_raw'])
    robot.ready('/front/image_raw')
    assert robot.node.count_subscribers('/front/camera_info') == 0
    assert robot.set(verify='always') == []
    robot.until(lambda: robot.node.count_subscribers('/front/camera_info'), 'a subscriber')
    report = robot.diagnosis('camera camera', lambda status: 'lens' in stage.values(status))
    assert stage.values(report)['lens'] == 'no CameraInfo yet'
    camera = publisher(robot, 'RELIABLE', 'VOLATILE')

    def known():
        camera.publish(info())
        robot.spin_once()
        return [status for array in robot.heard['diagnostics'] for status in array.status
                if stage.values(status).get('lens') == 'known']

    robot.until(known, 'the lens')
    assert robot.set(verify='off') == []
    robot.until(lambda: robot.node.count_subscribers('/front/camera_info') == 0, 'silence')


def test_with_verify_always_poses_are_confirmed_by_corners(start, stage, describer, tmp_path):
    stage.place_map(describer, features=True).save(tmp_path / 'corners.map')
    _, robot = start({'map': tmp_path / 'corners.map', 'verify': 'always'})
    robot.ready()
    last = stage.values(robot.drive(range(5, 15))[-1])
    assert last['reason'] == 'accepted'
    assert float(last['agreement']) > 3.0   # exp(3) - 1 = 19 corners
    # More corners than any picture has.
    assert robot.set(verify_inliers=10_000) == []
    assert stage.values(robot.drive([15])[0])['reason'] == 'unverified'
    assert not [pose for pose in robot.heard['pose']
                if stage.stamp_ns_of(pose) == robot.now_ns]
    assert robot.set(verify='off') == []
    assert stage.values(robot.drive([16])[0])['reason'] == 'accepted'
