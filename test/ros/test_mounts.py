# SPDX-License-Identifier: Apache-2.0
"""Mounts asked of tf2: a fake answers, but cameras and nodes are real."""

import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage

from vpr_ros.core import pose as se3
from vpr_ros.core.types import Camera
from vpr_ros.errors import VprError
from vpr_ros.ros.mounts import mounts_from_tf, tf2_lookup

MOUNT = np.array([0.3, 0.0, 0.25, -0.5, 0.5, -0.5, 0.5])
TOPICS = {'front': '/front/image_raw', 'rear': '/rear/image_raw/compressed'}
LIMIT_S = 10.0


class FakeTf:
    """Knows the transforms that it was given, after being asked so many times."""

    def __init__(self, known, patience=0):
        self._known = known
        self._patience = patience
        self.asked = []

    def __call__(self, node):
        self.node_name = node.get_name()

        def lookup(base_frame, frame):
            self.asked.append((base_frame, frame))
            late = len(self.asked) <= self._patience
            return None if late else self._known.get((base_frame, frame))

        return lookup


@pytest.fixture
def robot(stage):
    robot = stage.Robot(1 + next(stage.domains) % 100)
    yield robot
    robot.close()


@pytest.fixture
def node(robot):
    node = Node('relocalizer', context=robot.context, use_global_arguments=False)
    yield node
    node.destroy_node()


@pytest.fixture
def show(robot, stage):
    """Publish what cameras say, again and again, while another thread waits for it."""
    ending = threading.Event()
    threads = []

    def begin(topic, frame_id, message):
        publisher = robot.publisher(topic, type(message))
        message.header.frame_id = frame_id

        def publish():
            while not ending.wait(0.02):
                publisher.publish(message)

        threads.append(threading.Thread(target=publish))
        threads[-1].start()

    yield begin
    ending.set()
    for thread in threads:
        thread.join()


def test_a_mount_is_that_of_the_frame_that_the_image_names(node, show, stage):
    show('/front/image_raw', 'front_optical', stage.raw(stage.view(0), 1))
    tf = FakeTf({('base_link', 'front_optical'): MOUNT}, patience=3)
    (camera,) = mounts_from_tf(node, [Camera('front')], TOPICS, 'base_link', LIMIT_S, tf)
    assert camera.name == 'front'
    assert np.array_equal(camera.base_from_camera, MOUNT)
    assert set(tf.asked) == {('base_link', 'front_optical')}


@pytest.mark.parametrize(('topic', 'message'), [
    ('/rear/image_raw/compressed', CompressedImage(format='jpeg')),
    ('/rear/camera_info', CameraInfo()),
])
def test_the_compressed_image_and_the_camera_info_name_it_too(node, show, topic, message):
    show(topic, 'rear_optical', message)
    tf = FakeTf({('base', 'rear_optical'): MOUNT})
    (camera,) = mounts_from_tf(node, [Camera('rear')], TOPICS, 'base', LIMIT_S, tf)
    assert np.array_equal(camera.base_from_camera, MOUNT)


def test_a_mount_that_was_given_is_kept_and_nobody_is_asked(node):
    given = Camera('front', se3.IDENTITY)
    tf = FakeTf({})
    assert mounts_from_tf(node, [given], TOPICS, 'base_link', LIMIT_S, tf) == (given,)
    assert tf.asked == []


def test_of_two_cameras_only_the_one_without_a_mount_is_asked_for(node, show, stage):
    show('/rear/image_raw', 'rear_optical', stage.raw(stage.view(0), 1))
    given = Camera('front', se3.IDENTITY)
    tf = FakeTf({('base_link', 'rear_optical'): MOUNT})
    first, second = mounts_from_tf(node, [given, Camera('rear')], TOPICS, 'base_link', LIMIT_S,
                                   tf)
    assert first is not None
    assert np.array_equal(first.base_from_camera, se3.IDENTITY)
    assert np.array_equal(second.base_from_camera, MOUNT)


def test_without_an_image_its_frame_is_not_known_and_that_is_said(node):
    with pytest.raises(VprError, match=r'no image and no CameraInfo of camera front came on '
                                       r'/front/image_raw within 0\.3 s.*give base_from_camera'):
        mounts_from_tf(node, [Camera('front')], TOPICS, 'base_link', 0.3, FakeTf({}))


def test_without_a_transform_no_mount_is_made_up(node, show, stage):
    show('/front/image_raw', 'front_optical', stage.raw(stage.view(0), 1))
    with pytest.raises(VprError, match='tf2 knows no transform from base_link to front_optical'):
        mounts_from_tf(node, [Camera('front')], TOPICS, 'base_link', 1.5, FakeTf({}))


def test_a_frame_without_a_name_is_none(node, show, stage):
    show('/front/image_raw', '', stage.raw(stage.view(0), 1))
    with pytest.raises(VprError, match='no image and no CameraInfo'):
        mounts_from_tf(node, [Camera('front')], TOPICS, 'base_link', 0.5, FakeTf({}))


def test_tf2_is_asked_for_the_base_from_the_camera(node, monkeypatch):
    """The library is a fake of what is used of tf2_ros_py."""
    from geometry_msgs.msg import TransformStamped

    class UnknownError(Exception):
        pass

    class Buffer:
        def lookup_transform(self, target_frame, source_frame, time):
            if (target_frame, source_frame) != ('base_link', 'front_optical'):
                raise UnknownError
            assert time.nanoseconds == 0  # the latest
            found = TransformStamped()
            shift, turn = found.transform.translation, found.transform.rotation
            shift.x, shift.y, shift.z, turn.x, turn.y, turn.z, turn.w = map(float, MOUNT)
            return found

    listeners = []
    monkeypatch.setitem(sys.modules, 'tf2_ros', SimpleNamespace(
        Buffer=Buffer, TransformException=UnknownError,
        TransformListener=lambda buffer, node, spin_thread: listeners.append(node)))
    lookup = tf2_lookup(node)
    assert listeners == [node]
    assert np.array_equal(lookup('base_link', 'front_optical'), MOUNT)
    assert lookup('base_link', 'rear_optical') is None


def test_without_tf2_the_node_says_what_to_do(start, depot):
    try:
        import tf2_ros  # noqa: F401
    except ImportError:
        process, _ = start({'map': depot, 'mounts_from_tf': 'true'})
        assert process.wait() == 2
        assert 'install ros-<distro>-tf2-ros-py, or give base_from_camera' in process.log
        assert 'Traceback' not in process.log
    else:
        pytest.skip('tf2_ros is here')


def test_the_mount_of_tf2_is_the_one_that_was_published(robot, node, show, stage):
    """Needs tf2_ros, which comes with ROS 2 by apt and in no wheel."""
    tf2_ros = pytest.importorskip('tf2_ros', reason='tf2_ros is not installed')
    from geometry_msgs.msg import TransformStamped
    message = TransformStamped()
    message.header.frame_id, message.child_frame_id = 'base_link', 'front_optical'
    shift, turn = message.transform.translation, message.transform.rotation
    shift.x, shift.y, shift.z, turn.x, turn.y, turn.z, turn.w = map(float, MOUNT)
    tf2_ros.StaticTransformBroadcaster(robot.node).sendTransform(message)
    show('/front/image_raw', 'front_optical', stage.raw(stage.view(0), 1))
    (camera,) = mounts_from_tf(node, [Camera('front')], TOPICS, 'base_link', LIMIT_S)
    assert np.allclose(camera.base_from_camera, MOUNT)
