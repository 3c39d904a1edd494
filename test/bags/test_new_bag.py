# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from vpr_ros.bags import wire
from vpr_ros.bags.recording import Recording
from vpr_ros.bags.writer import BagWriter, new_bag
from vpr_ros.core import pose as se3
from vpr_ros.errors import BagError

PICTURE = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)


def write(bag, stamp_ns=10**9):
    bag.image('/image', stamp_ns, PICTURE)
    bag.tf_static(stamp_ns, [('base_link', 'eye', se3.IDENTITY)])


def test_a_new_bag_is_read_like_any_other(tmp_path):
    with new_bag(tmp_path / 'deep' / 'run') as bag:
        write(bag)
    with Recording(tmp_path / 'deep' / 'run') as recording:
        assert {topic.count for topic in recording.topics.values()} == {1}
    assert sorted(file.name for file in (tmp_path / 'deep' / 'run').iterdir()) == [
        'metadata.yaml', 'run.mcap']


@pytest.mark.parametrize('end', [KeyboardInterrupt, BagError])
def test_an_interrupted_bag_leaves_nothing(tmp_path, end):
    def interrupted():
        with new_bag(tmp_path / 'run') as bag:
            write(bag)
            raise end

    with pytest.raises(end):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_an_existing_bag_is_refused_or_kept_until_the_new_one_is_whole(tmp_path):
    with new_bag(tmp_path / 'run') as bag:
        write(bag)
    with pytest.raises(BagError, match='run exists already.*--force'), new_bag(tmp_path / 'run'):
        pass
    with pytest.raises(KeyboardInterrupt), new_bag(tmp_path / 'run', force=True) as bag:
        raise KeyboardInterrupt
    with Recording(tmp_path / 'run') as recording:
        assert recording.topics['/image'].count == 1
    with new_bag(tmp_path / 'run', force=True) as bag:
        write(bag)
        bag.image('/image', 2 * 10**9, PICTURE)
    with Recording(tmp_path / 'run') as recording:
        assert recording.topics['/image'].count == 2


def test_raw_messages_are_kept_byte_for_byte(tmp_path):
    with BagWriter(tmp_path / 'one') as bag:
        write(bag)
    with Recording(tmp_path / 'one') as one, BagWriter(tmp_path / 'two') as two:
        for message in one.messages(['/image', '/tf_static']):
            two.raw(message.topic, message.type, message.record_ns + 5, message.data)
        with pytest.raises(BagError, match='/image is of type sensor_msgs/msg/Image in this bag'):
            two.raw('/image', wire.ODOMETRY, 0, b'')
    with Recording(tmp_path / 'one') as one, Recording(tmp_path / 'two') as two:
        for a, b in zip(one.messages(['/image', '/tf_static']),
                        two.messages(['/image', '/tf_static']), strict=True):
            assert (a.topic, a.data, a.record_ns + 5) == (b.topic, b.data, b.record_ns)
    assert 'durability: 1' in (tmp_path / 'two' / 'metadata.yaml').read_text()  # /tf_static


def test_messages_of_ros_1_are_said_as_in_ros_2(tmp_path):
    with BagWriter(tmp_path / 'old.bag', 'rosbag1') as old, BagWriter(tmp_path / 'new') as new:
        for bag in (old, new):
            write(bag)
            bag.odometry('/odom', 5, se3.from_xy_yaw(1.0, 2.0, 0.5))
    with Recording(tmp_path / 'old.bag') as old, Recording(tmp_path / 'new') as new:
        topics = ['/image', '/odom', '/tf_static']
        for a, b in zip(old.messages(topics), new.messages(topics), strict=True):
            assert (a.topic, a.ros1, b.ros1) == (b.topic, True, False)
            assert a.cdr == b.cdr
    with pytest.raises(BagError, match=r'sensor_msgs/msg/Image is damaged'):
        wire.as_ros2(b'short', wire.IMAGE)
