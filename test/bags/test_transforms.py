# SPDX-License-Identifier: Apache-2.0
import time

from hypothesis import given, HealthCheck, settings, strategies as st
import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from vpr_ros.bags.recording import Recording
from vpr_ros.bags.trajectory import read_trajectory
from vpr_ros.bags.writer import BagWriter
from vpr_ros.core.pose import from_xy_yaw, IDENTITY
from vpr_ros.core.trajectory_lookup import poses_at
from vpr_ros.errors import BagError

STORAGES = ('mcap', 'sqlite3', 'rosbag1')
S = 1_000_000_000
T0 = 1_700_000_000 * S


def random_poses(random, count):
    quaternions = random.normal(size=(count, 4))
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    return np.hstack([random.normal(size=(count, 3)), quaternions])


def matrices(poses):
    out = np.tile(np.eye(4), (len(poses), 1, 1))
    out[:, :3, :3] = Rotation.from_quat(poses[:, 3:]).as_matrix()
    out[:, :3, 3] = poses[:, :3]
    return out


def interpolated(stamps_ns, poses, asked_ns):
    """What tf2 does between two samples, by scipy and matrices."""
    known, asked = (np.asarray(ns - T0, float) * 1e-9 for ns in (stamps_ns, asked_ns))
    out = np.tile(np.eye(4), (len(asked), 1, 1))
    out[:, :3, :3] = Slerp(known, Rotation.from_quat(poses[:, 3:]))(asked).as_matrix()
    for axis in range(3):
        out[:, axis, 3] = np.interp(asked, known, poses[:, axis])
    return out


@pytest.fixture
def tf(new_path):
    """Return a function that writes (topic, seconds, links) and reads a trajectory of them."""
    def through_a_bag(messages, storage='mcap', target='map', source='base_link', **kwargs):
        path = new_path(storage, f'run{len(list(new_path().parent.iterdir()))}')
        with BagWriter(path, storage) as bag:
            for index, (topic, stamp_s, links) in enumerate(messages):
                bag.tf(T0 + round(stamp_s * S), links, topic, record_ns=T0 + index)
        with Recording(path) as recording:
            return read_trajectory(recording, 'tf', target, source, **kwargs)
    return through_a_bag


def moving(parent, child, *stamps_s, speed=1.0):
    return [('/tf', s, [(parent, child, from_xy_yaw(s * speed, 0, 0))]) for s in stamps_s]


def static(parent, child, pose=IDENTITY):
    return [('/tf_static', 0, [(parent, child, pose)])]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), storage=st.sampled_from(STORAGES))
def test_a_chain_agrees_with_scipy(tf, seed, storage):
    """map -> odom (slow), odom -> footprint (fast), footprint -> base_link (static)."""
    random = np.random.default_rng(seed)
    slow_ns = T0 + np.cumsum(random.integers(S // 20, S // 2, 12))
    fast_ns = T0 + np.cumsum(random.integers(S // 100, S // 10, 60))
    slow, fast, fixed = random_poses(random, 12), random_poses(random, 60), random_poses(random, 1)
    messages = [('/tf_static', 0, [('footprint', 'base_link', fixed[0])])]
    messages += [('/tf', (ns - T0) / S, [('map', 'odom', pose)])
                 for ns, pose in zip(slow_ns, slow, strict=True)]
    messages += [('/tf', (ns - T0) / S, [('odom', 'footprint', pose)])
                 for ns, pose in zip(fast_ns, fast, strict=True)]
    trajectory = tf(messages, storage)

    start, end = max(slow_ns[0], fast_ns[0]), min(slow_ns[-1], fast_ns[-1])
    assert trajectory.frame_id == 'map'
    both = np.unique(np.concatenate([slow_ns, fast_ns]))
    np.testing.assert_array_equal(trajectory.stamps_ns, both[(both >= start) & (both <= end)])
    at_ns = trajectory.stamps_ns
    expected = (interpolated(slow_ns, slow, at_ns) @ interpolated(fast_ns, fast, at_ns)
                @ matrices(fixed))
    np.testing.assert_allclose(matrices(trajectory.poses), expected, atol=1e-6)


def test_a_tree_is_climbed_and_descended(tf):
    """The map may hang below odom, as some SLAM systems publish it."""
    odom_from_map = random_poses(np.random.default_rng(1), 1)
    messages = [('/tf', s, [('odom', 'map', odom_from_map[0])]) for s in (0, 1, 2)]
    messages += moving('odom', 'base_link', 0, 1, 2)
    expected = np.linalg.inv(matrices(odom_from_map)) @ matrices(
        np.array([from_xy_yaw(s, 0, 0) for s in (0, 1, 2)]))
    np.testing.assert_allclose(matrices(tf(messages).poses), expected, atol=1e-9)


def test_ros1_slashes_do_not_matter(tf):
    trajectory = tf(moving('/map', '/base_link', 0, 0.5, 1), 'rosbag1')
    np.testing.assert_allclose(trajectory.poses[:, 0], [0, 0.5, 1])


def test_nothing_is_extrapolated(tf):
    trajectory = tf(moving('map', 'odom', 0, 1, 2) + moving('odom', 'base_link', 0.5, 1.4, 2.3))
    np.testing.assert_allclose((trajectory.stamps_ns - T0) / S, [0.5, 1, 1.4, 2])
    _, inside = poses_at(trajectory, np.array([T0 + S // 4, T0 + S, T0 + 2 * S + 1]))
    assert inside.tolist() == [False, True, False]


def test_a_gap_names_its_link(tf):
    messages = (moving('map', 'odom', *np.arange(0, 10, 0.5))
                + moving('odom', 'base_link', 0, 1, 2, 5.25, 6, 7))
    with pytest.raises(BagError, match=r'transform odom -> base_link has a gap of 3.25 s after '
                                       r'1700000002.000 s; .*--max-gap-s 3.3'):
        tf(messages)
    assert len(tf(messages, max_gap_s=3.3).poses) == len(set(np.arange(0, 7.5, 0.5)) | {5.25})


def test_a_gap_outside_of_use_does_not_matter(tf):
    trajectory = tf(moving('map', 'odom', 0, 50, 50.5, 51)
                    + moving('odom', 'base_link', 50, 50.5, 51))
    assert len(trajectory.poses) == 3


def test_unknown_frames_list_those_there_are(tf):
    messages = moving('map', 'odom', 0, 1) + static('odom', 'base_link')
    told = r"no frame 'base' in /tf or /tf_static; frames there: base_link, map, odom"
    with pytest.raises(BagError, match=told):
        tf(messages, source='base')
    with pytest.raises(BagError, match="no frame 'world'"):
        tf(messages, target='world')


def test_frames_that_are_not_joined_are_refused(tf):
    with pytest.raises(BagError, match='map and base_link are not joined .*there: earth -> map, '
                                       'odom -> base_link'):
        tf(moving('odom', 'base_link', 0, 1) + moving('earth', 'map', 0, 1))


def test_links_that_do_not_overlap_are_refused(tf):
    with pytest.raises(BagError, match='odom -> base_link, map -> odom do not overlap in time'):
        tf(moving('map', 'odom', 0, 1) + moving('odom', 'base_link', 5, 6))


def test_static_transforms_alone_are_no_trajectory(tf):
    with pytest.raises(BagError, match='joined by static transforms only'):
        tf(static('map', 'base_link') + moving('base_link', 'wheel', 0, 1))


def test_a_loop_is_refused(tf):
    with pytest.raises(BagError, match='in a loop, base_link -> a -> b -> base_link; '):
        tf(moving('base_link', 'a', 0, 1) + moving('a', 'b', 0, 1) + moving('b', 'base_link', 0, 1)
           + static('map', 'else'))


def test_two_parents_are_refused(tf):
    with pytest.raises(BagError, match="'base_link' has several parents, footprint, odom"):
        tf(moving('map', 'odom', 0, 1) + moving('odom', 'base_link', 0, 1)
           + static('footprint', 'base_link'))


def test_bad_transforms_are_refused_by_link_and_only_where_used(tf):
    broken = np.array([np.nan, 0, 0, 0, 0, 0, 1])
    good = moving('map', 'base_link', 0, 1)
    assert len(tf([*good, ('/tf', 0, [('base_link', 'wheel', broken)])]).poses) == 2
    with pytest.raises(BagError, match='1 of 3 poses of the transform map -> base_link hold NaN'):
        tf([*good, ('/tf', 2, [('map', 'base_link', broken)])])
    with pytest.raises(BagError, match='transform map -> base_link jump back by 1.00 s'):
        tf(moving('map', 'base_link', 0, 1, 2, 1))


def test_several_bags_have_a_break_and_no_gap(new_path):
    paths = [new_path(name='a'), new_path(name='b')]
    for path, start_s in zip(paths, (0, 100), strict=True):
        with BagWriter(path) as bag:
            bag.tf_static(T0, [('base', 'base_link', from_xy_yaw(0, 1, 0))])
            for step in range(10):
                ns = T0 + start_s * S + step * S // 4
                bag.tf(ns, [('map', 'odom', IDENTITY)])
                bag.tf(ns + S // 8, [('odom', 'base', from_xy_yaw(step, 0, 0))])
    with Recording(paths) as recording:
        trajectory = read_trajectory(recording, 'tf')
    assert len(trajectory.breaks) == 1
    around = trajectory.stamps_ns[trajectory.breaks[0] - 1:][:2] - T0
    assert around[0] < 3 * S
    assert around[1] > 99 * S
    _, inside = poses_at(trajectory, np.array([T0 + S, T0 + 50 * S, T0 + 101 * S]))
    assert inside.tolist() == [True, False, True]


def test_another_namespace_is_a_source_too(new_path):
    with BagWriter(new_path()) as bag:
        bag.tf(T0, [('base', 'base_link', IDENTITY)], '/robot/tf_static')
        for step in range(3):
            bag.tf(T0 + step * S // 2, [('map', 'base', from_xy_yaw(step, 0, 0))], '/robot/tf')
    with Recording(new_path()) as recording:
        assert len(read_trajectory(recording, '/robot/tf').poses) == 3


def test_a_hundred_thousand_transforms_take_seconds(new_path):
    links = [('odom', 'base_link', IDENTITY)] + [(f'a{i}', f'b{i}', IDENTITY) for i in range(19)]
    with BagWriter(new_path()) as bag:
        for step in range(5000):
            bag.tf(T0 + step * S // 100, links)
    started = time.process_time()
    with Recording(new_path()) as recording:
        trajectory = read_trajectory(recording, 'tf', 'odom')
    assert len(trajectory.poses) == 5000
    assert time.process_time() - started < 20
