# SPDX-License-Identifier: Apache-2.0
import time

import numpy as np
import pytest
from ruamel.yaml import YAML

from vpr_ros.bags.recording import Recording
from vpr_ros.bags.writer import BagWriter
from vpr_ros.core.pose import from_xy_yaw, IDENTITY
from vpr_ros.errors import BagError

STORAGES = ('mcap', 'sqlite3', 'rosbag1')
S = 1_000_000_000
T0 = 1_700_000_000 * S


@pytest.mark.parametrize('storage', STORAGES)
def test_an_existing_path_is_not_overwritten(drive, storage):
    bag = drive(storage)
    before = bag.file.read_bytes()
    with pytest.raises(BagError, match='exists already and is not overwritten; remove it'):
        BagWriter(bag.path, storage)
    assert bag.file.read_bytes() == before


def test_an_unknown_storage_is_refused(new_path):
    with pytest.raises(BagError, match="no storage 'tape'; choose mcap, sqlite3 or rosbag1"):
        BagWriter(new_path(), 'tape')


@pytest.mark.parametrize('storage', STORAGES)
def test_a_topic_has_one_type(new_path, picture, storage):
    with BagWriter(new_path(storage), storage) as bag:
        bag.image('/cam', T0, picture(0))
        with pytest.raises(BagError, match='/cam is of type sensor_msgs/msg/Image .* cannot take '
                                           'a sensor_msgs/msg/CompressedImage'):
            bag.compressed_image('/cam', T0, picture(0))


@pytest.mark.parametrize('storage', STORAGES)
def test_a_writer_that_fails_leaves_no_bag_that_looks_whole(new_path, picture, storage):
    def fail():
        with BagWriter(new_path(storage), storage) as bag:
            bag.image('/cam', T0, picture(0))
            raise KeyError('half way')

    with pytest.raises(KeyError, match='half way'):
        fail()
    with pytest.raises(BagError), Recording(new_path(storage)):
        pass


def test_folders_above_are_made(tmp_path):
    with BagWriter(tmp_path / 'a' / 'b' / 'run.bag', 'rosbag1') as bag:
        bag.pose_stamped('/pose', T0, IDENTITY)
    assert (tmp_path / 'a' / 'b' / 'run.bag').exists()


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_metadata_is_what_humble_can_read(new_path, storage):
    """Version 9 writes QoS as a list, where Humble wants text; /tf_static must be latched."""
    with BagWriter(new_path(storage), storage) as bag:
        bag.tf_static(T0, [('base_link', 'camera', IDENTITY)])
        bag.tf(T0 + S, [('odom', 'base_link', IDENTITY)])
    metadata = YAML(typ='safe').load((new_path(storage) / 'metadata.yaml').read_text())
    information = metadata['rosbag2_bagfile_information']
    assert information['version'] == 8
    assert information['storage_identifier'] == storage
    assert information['message_count'] == 2
    assert information['duration'] == {'nanoseconds': S}
    latched, plain = (t['topic_metadata'] for t in information['topics_with_message_count'])
    assert plain['offered_qos_profiles'] == ''
    (qos,) = YAML(typ='safe').load(latched['offered_qos_profiles'])
    assert (qos['durability'], qos['reliability'], qos['depth']) == (1, 1, 1)  # transient local


@pytest.mark.filterwarnings('ignore::DeprecationWarning')  # of a library below rclpy
def test_ros_itself_reads_the_messages(new_path, picture):
    pytest.importorskip('rclpy')
    messages = pytest.importorskip('sensor_msgs.msg')
    nav = pytest.importorskip('nav_msgs.msg')
    from rclpy.serialization import deserialize_message

    with BagWriter(new_path()) as bag:
        bag.image('/cam', T0 + 5, picture(3), 'front', 'bgr8', padding_bytes=3)
        bag.compressed_image('/jpeg', T0 + 5, picture(3), 'front')
        bag.odometry('/odom', T0 + 5, from_xy_yaw(1, 2, 0.5), 'odom', 'base')
    with Recording(new_path()) as recording:
        image, compressed, odometry = (
            deserialize_message(bytes(next(recording.messages([topic])).data), kind)
            for topic, kind in (('/cam', messages.Image), ('/jpeg', messages.CompressedImage),
                                ('/odom', nav.Odometry)))
    assert (image.header.stamp.sec, image.header.stamp.nanosec) == (1_700_000_000, 5)
    assert (image.encoding, image.step, image.header.frame_id) == ('bgr8', 99, 'front')
    assert compressed.format == 'jpeg'
    assert odometry.child_frame_id == 'base'
    assert odometry.pose.pose.position.y == 2.0


@pytest.mark.parametrize('storage', STORAGES)
def test_many_frames_are_written_in_seconds(new_path, storage):
    rgb = np.zeros((240, 320, 3), np.uint8)
    started = time.process_time()
    with BagWriter(new_path(storage), storage) as bag:
        for index in range(200):
            bag.image('/cam', T0 + index, rgb)
            bag.odometry('/odom', T0 + index, IDENTITY)
    assert time.process_time() - started < 3
