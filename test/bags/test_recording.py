# SPDX-License-Identifier: Apache-2.0
import re
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from vpr_ros.bags import wire
from vpr_ros.bags.recording import Recording
from vpr_ros.bags.source import Topic
from vpr_ros.bags.writer import BagWriter
from vpr_ros.core.pose import IDENTITY
from vpr_ros.errors import BagError

STORAGES = ('mcap', 'sqlite3', 'rosbag1')
S = 1_000_000_000
T0 = 1_700_000_000 * S


@pytest.mark.parametrize('storage', STORAGES)
def test_topics_say_type_and_count(drive, storage):
    with Recording(drive(storage).path) as recording:
        assert recording.topics == {'/cam': Topic('/cam', wire.IMAGE, 20),
                                    '/odom': Topic('/odom', wire.ODOMETRY, 20)}
        assert [t.name for t in recording.image_topics()] == ['/cam']
        assert [t.name for t in recording.pose_topics()] == ['/odom']


@pytest.mark.parametrize('storage', STORAGES)
def test_messages_come_back_as_written(drive, picture, storage):
    bag = drive(storage)
    with Recording([bag.path]) as recording:
        messages = list(recording.messages(['/cam']))
    assert [m.stamp_ns for m in messages] == bag.stamps_ns
    assert [m.record_ns for m in messages] == bag.stamps_ns
    for index, message in enumerate(messages):
        decoded = message.decoded()
        np.testing.assert_array_equal(decoded.data, picture(index).reshape(-1))
        assert (decoded.width, decoded.height, decoded.encoding) == (32, 24, 'rgb8')


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_one_file_of_a_bag_is_a_bag(drive, storage):
    bag = drive(storage)
    with Recording(bag.file) as recording:
        assert len(list(recording.messages(['/cam', '/odom']))) == 40


def test_the_header_stamp_is_the_truth(new_path, picture):
    with BagWriter(new_path()) as bag:
        bag.image('/cam', T0, picture(0), record_ns=T0 + 5 * S)
    with Recording(new_path()) as recording:
        (message,) = recording.messages(['/cam'])
    assert (message.stamp_ns, message.record_ns) == (T0, T0 + 5 * S)


@pytest.mark.parametrize('storage', STORAGES)
def test_start_and_stop_bound_the_recording(drive, storage):
    bag = drive(storage)
    with Recording(bag.path) as recording:
        got = [m.stamp_ns for m in recording.messages(['/odom'], bag.stamps_ns[3],
                                                      bag.stamps_ns[7])]
    assert got == bag.stamps_ns[3:7]


def test_several_bags_of_any_kind_are_one_recording_in_time_order(drive):
    bags = [drive('mcap', 'c', start_s=4.0), drive('rosbag1', 'a'),
            drive('sqlite3', 'b', start_s=1.05)]
    with Recording([b.path for b in bags]) as recording:
        messages = list(recording.messages(['/odom']))
        assert recording.topics['/odom'].count == 60
    assert [m.stamp_ns for m in messages] == sorted(s for b in bags for s in b.stamps_ns)
    assert [m.bag for m in messages[:1] + messages[-1:]] == [1, 0]
    assert {m.bag for m in messages} == {0, 1, 2}


def test_a_topic_may_be_in_one_bag_only(drive):
    one, other = drive(name='a', topic='/front'), drive(name='b', topic='/rear', start_s=1)
    with Recording([one.path, other.path]) as recording:
        assert len(list(recording.messages(['/front']))) == 20


def test_a_split_bag_is_read_whole(new_path, drive):
    first, second = drive(name='a', count=4), drive(name='b', count=3, start_s=10)
    second.file.rename(first.path / 'a_1.mcap')
    metadata = first.path / 'metadata.yaml'
    text = metadata.read_text()
    text = text.replace('- a.mcap\n', '- a.mcap\n  - a_1.mcap\n')
    text = re.sub(r'message_count: (\d+)', lambda m: f'message_count: {int(m[1]) * 7 // 4}', text)
    metadata.write_text(text)
    with Recording(first.path) as recording:
        assert len(list(recording.messages(['/cam', '/odom']))) == 14


@pytest.mark.parametrize('mode', [CompressionMode.FILE, CompressionMode.MESSAGE,
                                  CompressionMode.STORAGE])
@pytest.mark.parametrize('salvage', [False, True])
def test_a_compressed_bag_is_read(new_path, mode, salvage):
    store = wire.typestore(False)
    pose = store.types[wire.POSE_STAMPED]
    writer = Writer(new_path(), version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with BagWriter(new_path(name='donor')) as bag:
        bag.pose_stamped('/pose', T0, IDENTITY)
    with Recording(new_path(name='donor')) as recording:
        (message,) = recording.messages(['/pose'])
    with writer:
        connection = writer.add_connection('/pose', pose.__msgtype__, typestore=store)
        writer.write(connection, T0, message.data)
    with Recording(new_path(), salvage=salvage) as recording:
        (again,) = recording.messages(['/pose'])
        assert bytes(again.data) == bytes(message.data)


def refused(told, paths, **kwargs):
    with pytest.raises(BagError, match=told), Recording(paths, **kwargs):
        pass


def test_an_absent_bag_is_refused(tmp_path, drive):
    refused(r'nowhere does not exist; check the path', tmp_path / 'nowhere')
    refused(r'nowhere does not exist', [drive().path, tmp_path / 'nowhere'])
    refused('no bag was given', [])


def test_what_is_no_bag_is_refused(tmp_path):
    refused(r'is a folder without \.mcap or \.db3', tmp_path)
    (tmp_path / 'notes.txt').write_text('hello')
    refused(r'notes.txt is no bag; give a rosbag2 folder', tmp_path / 'notes.txt')


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize('salvage', [False, True])
def test_an_empty_bag_is_refused(new_path, storage, salvage):
    with BagWriter(new_path(storage), storage):
        pass
    refused('holds no messages; record again', new_path(storage), salvage=salvage)


def test_a_missing_topic_lists_those_that_would_do(drive):
    with Recording(drive().path) as recording:
        with pytest.raises(BagError, match=r'no topic /nose in .*run; topics there that would do: '
                                           r'/cam \(sensor_msgs/msg/Image, 20\)$'):
            recording.require('/nose', wire.IMAGE_TYPES)
        with pytest.raises(BagError, match='no topic /nose in .*; topics there: /cam, /odom'):
            list(recording.messages(['/cam', '/nose']))


def test_a_topic_of_another_type_says_what_is_accepted(drive):
    told = (r'/cam is of type sensor_msgs/msg/Image, but nav_msgs/msg/Odometry or .* is needed; '
            r'.*/odom')
    with Recording(drive().path) as recording, pytest.raises(BagError, match=told):
        recording.require('/cam', wire.POSE_TYPES)


def test_a_topic_of_two_types_is_of_neither(new_path, picture):
    with BagWriter(new_path(name='a')) as bag:
        bag.image('/cam', T0, picture(0))
    with BagWriter(new_path(name='b')) as bag:
        bag.compressed_image('/cam', T0, picture(0))
    with Recording([new_path(name='a'), new_path(name='b')]) as recording, \
            pytest.raises(BagError, match=r'Image \| .*CompressedImage'):
        recording.require('/cam', wire.IMAGE_TYPES)


def test_a_topic_without_messages_is_refused(drive):
    bag = drive('sqlite3')
    connection = sqlite3.connect(bag.file)
    connection.execute('DELETE FROM messages WHERE topic_id = 1')
    connection.commit()
    connection.close()
    with Recording(bag.file) as recording, pytest.raises(BagError, match='/cam has no messages'):
        recording.require('/cam', wire.IMAGE_TYPES)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_fewer_messages_than_promised_are_refused(drive, storage):
    bag = drive(storage)
    metadata = bag.path / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace('message_count: 20', 'message_count: 21'))
    refused(r'holds 20 messages of /cam, but its metadata.yaml promises 21: .*--salvage', bag.path)


def test_messages_that_reading_loses_are_refused(drive):
    """A QoS that differs between the metadata and the file makes rosbags yield nothing at all."""
    bag = drive()
    metadata = bag.path / 'metadata.yaml'
    text = metadata.read_text()
    qos = ('[{history: 1, depth: 9, reliability: 1, durability: 2, liveliness: 1, '
           'deadline: {sec: 0, nsec: 0}, lifespan: {sec: 0, nsec: 0}, '
           'liveliness_lease_duration: {sec: 0, nsec: 0}, '
           'avoid_ros_namespace_conventions: false}]')
    changed = text.replace("offered_qos_profiles: ''", f"offered_qos_profiles: '{qos}'")
    assert changed != text
    metadata.write_text(changed)
    with Recording(bag.path) as recording, \
            pytest.raises(BagError, match=r'gave 0 of the 20 messages of /odom: .*--salvage'):
        list(recording.messages(['/odom']))


def test_a_damaged_message_is_refused_by_its_type(new_path, picture):
    with BagWriter(new_path()) as bag:
        bag.image('/cam', T0, picture(0))
    with Recording(new_path()) as recording:
        (message,) = recording.messages(['/cam'])
        whole = bytes(message.data)
        for size in range(0, 60, 7):
            with pytest.raises(BagError, match='sensor_msgs/msg/Image is damaged'):
                wire.deserialize(whole[:size], wire.IMAGE, ros1=False)
        for size in range(12):
            with pytest.raises(BagError, match='too short for a header'):
                wire.header_stamp_ns(whole[:size], ros1=False)


def test_a_big_endian_message_has_its_stamp(new_path, picture):
    with BagWriter(new_path()) as bag:
        bag.image('/cam', T0 + 7, picture(0))
    with Recording(new_path()) as recording:
        (message,) = recording.messages(['/cam'])
        swapped = wire.typestore(False).serialize_cdr(message.decoded(), wire.IMAGE,
                                                      little_endian=False)
    assert wire.header_stamp_ns(bytes(swapped), ros1=False) == T0 + 7


def test_importing_the_room_does_not_import_torch_or_ros():
    code = ('import sys; import vpr_ros.bags.recording, vpr_ros.bags.trajectory, '
            'vpr_ros.bags.writer; '
            "assert not {'torch', 'rclpy', 'faiss', 'onnxruntime'} & set(sys.modules)")
    subprocess.run([sys.executable, '-c', code], check=True)
