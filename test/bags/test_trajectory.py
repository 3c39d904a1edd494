# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from vpr_ros.bags.recording import Recording
from vpr_ros.bags.trajectory import read_mount, read_trajectory
from vpr_ros.bags.writer import BagWriter
from vpr_ros.core.pose import compose, from_xy_yaw, IDENTITY
from vpr_ros.core.trajectory_lookup import poses_at
from vpr_ros.errors import BagError

STORAGES = ('mcap', 'sqlite3', 'rosbag1')
S = 1_000_000_000
T0 = 1_700_000_000 * S


@pytest.fixture
def odometry(new_path):
    """Return a function that writes odometry of (seconds, pose) and reads its trajectory."""
    def through_a_bag(samples, frame_id='odom', child='base_link', **kwargs):
        path = new_path(name=f'run{len(list(new_path().parent.iterdir()))}')
        with BagWriter(path) as bag:
            for index, (stamp_s, pose) in enumerate(samples):
                bag.odometry('/odom', T0 + round(stamp_s * S), pose, frame_id, child,
                             record_ns=T0 + index)
        with Recording(path) as recording:
            return read_trajectory(recording, '/odom', **kwargs)
    return through_a_bag


def along_x(*stamps_s):
    return [(s, from_xy_yaw(s, 0.0, 0.1)) for s in stamps_s]


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize('kind', ['odometry', 'pose_stamped', 'pose_with_covariance'])
def test_every_pose_type_of_every_storage(new_path, storage, kind):
    random = np.random.default_rng(0)
    poses = np.hstack([random.normal(size=(5, 3)), random.normal(size=(5, 4))])
    poses[:, 3:] /= np.linalg.norm(poses[:, 3:], axis=1, keepdims=True)
    with BagWriter(new_path(storage), storage) as bag:
        for index, pose in enumerate(poses):
            getattr(bag, kind)('/pose', T0 + index, pose, 'earth')
    with Recording(new_path(storage)) as recording:
        trajectory = read_trajectory(recording, '/pose')
    assert trajectory.frame_id == 'earth'
    assert trajectory.stamps_ns.tolist() == [T0 + i for i in range(5)]
    np.testing.assert_allclose(trajectory.poses, poses, atol=1e-12)
    assert trajectory.breaks == ()


def test_header_stamps_order_the_poses(odometry):
    trajectory = odometry(along_x(1.0, 1.3, 1.1, 1.2))
    np.testing.assert_allclose(trajectory.poses[:, 0], [1.0, 1.1, 1.2, 1.3])


def test_a_pose_sent_twice_is_taken_once(odometry):
    assert len(odometry(along_x(1, 2, 2, 3)).poses) == 3


def test_two_poses_at_one_stamp_are_refused(odometry):
    told = r'/odom has different poses at one stamp, 1 times \(the first at 1700000002.000 s'
    with pytest.raises(BagError, match=told):
        odometry([*along_x(1, 2), (2, from_xy_yaw(9, 0, 0)), *along_x(3)])


def test_stamps_that_jump_back_are_refused(odometry):
    with pytest.raises(BagError, match=r'stamps of /odom jump back by 1.50 s after 1700000003.000'
                                       r'.*cut it there'):
        odometry(along_x(1, 2, 3, 1.5, 2.5))


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_poses_that_are_not_finite_are_refused_with_their_count(odometry, bad):
    samples = along_x(1, 2, 3, 4)
    samples[1][1][0] = samples[3][1][1] = bad
    with pytest.raises(BagError, match='2 of 4 poses of /odom hold NaN.*first at 1700000002.000'):
        odometry(samples)


@pytest.mark.parametrize('quaternion', [[0, 0, 0, 0], [0, 0, 0, 1.01]])
def test_quaternions_off_unit_length_are_refused(odometry, quaternion):
    samples = along_x(1, 2, 3)
    samples[0][1][3:] = quaternion
    with pytest.raises(BagError, match='1 of 3 poses of /odom .* not of unit length'):
        odometry(samples)


def test_a_frame_that_changes_or_is_empty_is_refused(odometry, new_path):
    with pytest.raises(BagError, match=r'/odom has an empty header\.frame_id'):
        odometry(along_x(1), frame_id='')
    with BagWriter(new_path()) as bag:
        bag.odometry('/odom', T0, IDENTITY, 'odom')
        bag.odometry('/odom', T0 + 1, IDENTITY, 'map')
    with Recording(new_path()) as recording, pytest.raises(
            BagError, match=r'header\.frame_id of /odom is not always the same: map, odom'):
        read_trajectory(recording, '/odom')


def test_a_map_frame_that_was_asked_for_must_be_the_one(odometry):
    assert odometry(along_x(1), map_frame='odom').frame_id == 'odom'
    with pytest.raises(BagError, match="in the frame 'odom', not in 'map'"):
        odometry(along_x(1), map_frame='map')


def test_a_topic_that_gives_no_poses_is_refused(drive):
    with Recording(drive().path) as recording:
        with pytest.raises(BagError, match=r'no topic /gps .*would do: /odom \(nav_msgs'):
            read_trajectory(recording, '/gps')
        with pytest.raises(BagError, match=r'/cam is of type sensor_msgs/msg/Image, but'):
            read_trajectory(recording, '/cam')
        with pytest.raises(BagError, match=r'no transforms on /tf .*pose topics there: /odom'):
            read_trajectory(recording, 'tf')


def test_several_bags_make_one_trajectory_with_breaks(drive):
    bags = [drive(name='b', start_s=30), drive('rosbag1', name='a')]
    with Recording([b.path for b in bags]) as recording:
        trajectory = read_trajectory(recording, '/odom')
    assert trajectory.breaks == (20,)
    assert trajectory.stamps_ns.tolist() == bags[1].stamps_ns + bags[0].stamps_ns
    _, inside = poses_at(trajectory, np.array([T0 + S, T0 + 10 * S, T0 + 31 * S]))
    assert inside.tolist() == [True, False, True]


def test_bags_that_overlap_in_time_are_refused(drive):
    bags = [drive(name='a'), drive(name='b', start_s=1.0)]
    with Recording([b.path for b in bags]) as recording, pytest.raises(
            BagError, match=r'two of the bags overlap in time on /odom, from 1700000001.000 s to '
                            r'1700000001.900 s'):
        read_trajectory(recording, '/odom')


def test_bags_of_different_frames_are_refused(new_path):
    for name, frame in (('a', 'odom'), ('b', 'map')):
        with BagWriter(new_path(name=name)) as bag:
            bag.pose_stamped('/pose', T0, IDENTITY, frame)
    with Recording([new_path(name='a'), new_path(name='b')]) as recording, \
            pytest.raises(BagError, match=r'not always the same: map, odom; use bags of one'):
        read_trajectory(recording, '/pose')


def test_odometry_of_another_frame_is_carried_over_or_refused(new_path):
    lift = from_xy_yaw(0.5, 0.0, 1.0, z_m=0.3)
    pose = from_xy_yaw(2.0, 1.0, 0.5)
    for name, links in (('with', [('base_footprint', 'base_link', lift)]), ('without', [])):
        with BagWriter(new_path(name=name)) as bag:
            bag.odometry('/odom', T0, pose, 'odom', 'base_footprint')
            if links:
                bag.tf_static(T0, links)
    with Recording(new_path(name='with')) as recording:
        trajectory = read_trajectory(recording, '/odom')
        np.testing.assert_allclose(trajectory.poses[0], compose(pose, lift))
        there = read_trajectory(recording, '/odom', base_frame='base_footprint')
        np.testing.assert_allclose(there.poses[0], pose)
    with Recording(new_path(name='without')) as recording, pytest.raises(
            BagError, match="poses of 'base_footprint'.*use --base-frame base_footprint"):
        read_trajectory(recording, '/odom')


@pytest.mark.parametrize('storage', STORAGES)
def test_the_mount_is_the_chain_of_static_transforms(new_path, picture, storage):
    to_mast, to_camera = from_xy_yaw(0.2, 0.0, 0.3, 1.0), from_xy_yaw(0.1, 0.1, -1.0)
    with BagWriter(new_path(storage), storage) as bag:
        bag.tf_static(T0, [('mast', 'camera', to_camera),
                           ('base_footprint', 'base_link', IDENTITY)])
        bag.tf_static(T0, [('base_link', 'mast', to_mast)])
        bag.tf(T0, [('odom', 'base_footprint', IDENTITY)])
        bag.image('/cam', T0, picture(0), 'camera')
        bag.image('/nose', T0, picture(0), 'nose')
        bag.image('/base', T0, picture(0), 'base_link')
    with Recording(new_path(storage)) as recording:
        np.testing.assert_allclose(read_mount(recording, '/cam'), compose(to_mast, to_camera))
        assert read_mount(recording, '/nose') is None
        assert read_mount(recording, '/base') is None
        assert read_mount(recording, '/cam', 'odom') is None  # a moving link is in between
        assert read_mount(recording, '/cam', 'wheel') is None


def test_no_static_transforms_are_no_mount(drive):
    with Recording(drive().path) as recording:
        assert read_mount(recording, '/cam') is None
        with pytest.raises(BagError, match='no topic /nose'):
            read_mount(recording, '/nose')


def test_a_mount_that_contradicts_itself_is_refused(new_path, picture):
    for name, height in (('a', 1.0), ('b', 1.2)):
        with BagWriter(new_path(name=name)) as bag:
            bag.tf_static(T0, [('base_link', 'camera', from_xy_yaw(0, 0, 0, height))])
            bag.image('/cam', T0, picture(0), 'camera')
    with Recording(new_path(name='a')) as recording:
        assert read_mount(recording, '/cam')[2] == 1.0
    with Recording([new_path(name='a'), new_path(name='b')]) as recording, pytest.raises(
            BagError, match='two different things of base_link -> camera'):
        read_mount(recording, '/cam')
