# SPDX-License-Identifier: Apache-2.0
"""One active node, and what it says while a robot drives past the stage."""

import math

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from sensor_msgs.msg import CompressedImage, Image

from vpr_ros.core.types import stamp_ns_of


@pytest.fixture(scope='module')
def node(start, depot):
    process, robot = start({'map': depot})
    robot.ready()
    return process, robot


@pytest.fixture
def robot(node):
    for messages in node[1].heard.values():
        messages.clear()
    return node[1]


def test_a_drive_ends_with_poses_where_the_robot_is(robot, stage):
    statuses = robot.drive(range(5, 17))
    last = stage.values(statuses[-1])
    assert (last['reason'], statuses[-1].level) == ('accepted', b'\x00')
    assert statuses[-1].message == 'accepted: this is where the robot is'
    assert float(last['probability']) > 0.9
    pose = robot.newest('pose')
    assert pose.header.frame_id == 'map'
    assert pose.pose.pose.position.x == pytest.approx(16.0, abs=0.6)
    assert pose.pose.pose.position.y == pytest.approx(2.0, abs=0.6)
    covariance = np.array(pose.pose.covariance).reshape(6, 6)
    assert (np.linalg.eigvalsh(covariance) > 0).all()


def test_a_pose_goes_out_only_when_accepted(robot, stage):
    statuses = robot.drive(range(17, 25))
    accepted = [status for status in statuses if stage.values(status)['reason'] == 'accepted']
    assert [stage.values(status)['stamp'] for status in accepted] == [
        f'{pose.header.stamp.sec}.{pose.header.stamp.nanosec:09d}' for pose in robot.heard['pose']]
    assert len(robot.heard['hypotheses']) == len(statuses)


def test_every_candidate_is_a_row_of_the_cloud(robot):
    robot.drive([20])
    cloud = robot.newest('place_matches')
    assert [field.name for field in cloud.fields] == [
        'x', 'y', 'z', 'yaw', 'similarity', 'probability', 'place', 'session', 'rank']
    assert (cloud.header.frame_id, cloud.height, cloud.point_step) == ('map', 1, 36)
    rows = np.frombuffer(cloud.data, np.dtype([(name, '<f4') for name in (
        'x', 'y', 'z', 'yaw', 'similarity', 'probability')] + [(name, '<i4') for name in (
            'place', 'session', 'rank')]))
    assert rows['rank'].tolist() == list(range(len(rows)))
    assert (rows['x'] == rows['place']).all()
    assert (np.diff(rows['similarity']) <= 0).all()
    assert rows['probability'].sum() <= 1.001


def test_the_status_tells_the_signs_and_what_the_time_went_for(robot, stage):
    status = robot.drive([21])[0]
    values = stage.values(status)
    assert 0.0 <= float(values['probability']) <= 1.0
    assert float(values['agreement']) == 0.0
    assert all(math.isfinite(float(values[sign])) for sign in (
        'odds', 'margin', 'support', 'fit'))
    spent = sum(float(values[f'{stop}_ms']) for stop in ('decode', 'describe', 'search', 'judge'))
    assert 0.0 < spent <= float(values['latency_ms'])
    assert status.hardware_id == 'camera'
    assert float(values['age_ms']) > 0.0


def test_trigger_replies_with_the_verdict_on_the_newest_image(robot):
    robot.drive(range(22, 28))
    reply = robot.trigger()
    assert reply.success
    assert reply.message.startswith('accepted')
    assert 'x 27.' in reply.message or 'x 26.' in reply.message


def test_a_mono_image_of_another_size_is_localized(robot, stage):
    import cv2

    def small_mono(picture, stamp_ns):
        grey = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (200, 96))
        return stage.raw(grey, stamp_ns, 'mono8')

    statuses = robot.drive(range(27, 30), make=small_mono)
    assert all(float(stage.values(status)['describe_ms']) > 0.0 for status in statuses)


def test_images_that_cannot_be_decoded_are_counted_and_warned_of_once(robot, node, stage):
    before = node[0].log.count('an image was left out')
    broken = stage.raw(stage.view(3), robot.tick())
    broken.encoding = '16UC1'
    seen = int(stage.values(robot.diagnosis('camera camera'))['undecodable'])

    def three_more(status):
        return int(stage.values(status)['undecodable']) >= seen + 3

    robot.heard['diagnostics'].clear()
    while not any(three_more(status) for array in robot.heard['diagnostics']
                  for status in array.status if status.name == 'relocalizer: camera camera'):
        broken.header.stamp.nanosec += 1
        robot.publisher('image').publish(broken)
        robot.spin_once()
    assert node[0].log.count('an image was left out') == before + 1
    assert '16UC1 is a depth image' in node[0].log
    robot.drive([28])  # and the node lives


def test_nan_odometry_is_counted_and_warned_of_once(robot, node, stage):
    for _ in range(5):
        robot.say(math.nan, robot.tick())
    report = robot.diagnosis(
        'localization', lambda status: stage.values(status)['odometry refused'] == '5')
    assert report.level == b'\x00'
    assert node[0].log.count('odometry was ignored') == 1
    robot.drive([29])


def test_an_image_without_a_stamp_is_refused_with_advice(robot, node, stage):
    robot.publisher('image').publish(stage.raw(stage.view(3), 0))
    robot.until(lambda: 'have the driver fill header.stamp' in node[0].log, 'the warning')


def test_time_that_jumps_back_resets_the_belief_and_is_said_once(robot, node, stage):
    robot.drive(range(10, 18))
    said = node[0].log.count('time jumped back')
    robot.now_ns -= 3_100_000_000
    first, *rest = robot.drive(range(11, 24))
    assert stage.values(first)['restarted'] == 'true'
    assert stage.values(first)['reason'] != 'accepted'
    assert all(stage.values(status)['restarted'] == 'false' for status in rest)
    assert stage.values(rest[-1])['reason'] == 'accepted'
    assert node[0].log.count('time jumped back') == said + 1


def test_the_debug_image_is_made_when_somebody_looks(robot):
    subscription = robot.listen('relocalizer/debug_image', Image, 'debug')
    robot.until(lambda: robot.node.count_publishers('relocalizer/debug_image'), '~/debug_image')

    def seen():
        robot.drive([12])
        return robot.heard['debug']

    picture = robot.until(seen, 'a debug image')[0]
    robot.node.destroy_subscription(subscription)
    assert (picture.encoding, picture.height) == ('rgb8', 264)
    assert picture.width == 4 * 320 + 3 * 4
    assert len(picture.data) == picture.step * picture.height
    assert stamp_ns_of(picture) <= robot.now_ns


def test_diagnostics_tell_rates_latency_map_and_model(robot, stage, describer, depot):
    robot.drive(range(5, 15))
    values = stage.values(robot.diagnosis('localization'))
    assert values['state'] == 'active'
    assert float(values['latency p50, ms']) <= float(values['latency p95, ms'])
    about_map = stage.values(robot.diagnosis('map'))
    assert about_map['model digest'] == describer.card.digest
    assert about_map['map'] == str(depot)
    assert about_map['places'] == str(stage.PLACES)
    camera = stage.values(robot.diagnosis('camera camera'))
    assert '/image' in camera['topic']


def test_thresholds_change_while_the_node_runs(robot, stage):
    assert robot.drive(range(15, 20))[-1].level == b'\x00'
    # More than the best of all signs could give.
    assert robot.set(accept_probability=1.0 - 1e-12) == []
    assert stage.values(robot.drive([20])[0])['reason'] == 'weak'
    assert robot.set(accept_probability=0.95) == []
    assert robot.drive([21])[0].level == b'\x00'
    assert robot.set(confirm_steps=1000) == []
    assert stage.values(robot.drive([22])[0])['reason'] == 'unconfirmed'
    assert robot.set(confirm_steps=2, accept_probability=0.0) == []
    assert robot.drive([23])[0].level == b'\x00'


@pytest.mark.parametrize(('name', 'value', 'reason'), [
    ('accept_probability', 7.0, 'must be at least 0 and below 1'),
    ('threads', 3, 'threads cannot be set while the node is configured'),
    ('map', 'elsewhere', 'call ~/load_map'),
    ('cameras', ['front'], 'cameras cannot be set'),
    ('sharpness', 9.0, 'need the map to be loaded again'),
    ('memory_steps', 20.0, 'need the map to be loaded again'),
    ('step_each_frame', True, 'need the map to be loaded again'),
    ('verify', 'always', 'the map holds no local features'),
    ('verify', 'sometimes', 'choose one of off, ambiguous, always'),
    ('max_rate_hz', -2.0, 'must not be negative'),
])
def test_what_cannot_change_now_is_refused_with_the_reason(robot, name, value, reason):
    before = robot.get(name)
    refusals = robot.set(**{name: value})
    assert len(refusals) == 1
    assert reason in refusals[0]
    assert robot.get(name) == before


def test_the_rate_limit_goes_by_stamps_and_before_decoding(robot, stage):
    robot.drive([5])
    assert robot.set(max_rate_hz=1.0) == []
    robot.drive([6])
    broken = stage.raw(stage.view(7), robot.tick(0.2))
    broken.encoding = 'nonsense'
    before = stage.values(robot.diagnosis('camera camera'))
    robot.publisher('image').publish(broken)
    after = stage.values(robot.diagnosis('camera camera', lambda status: int(
        stage.values(status)['received']) > int(before['received'])))
    assert int(after['left out by max_rate_hz']) == int(before['left out by max_rate_hz']) + 1
    assert after['undecodable'] == before['undecodable']
    robot.tick(0.4)
    robot.drive([8])
    assert robot.set(max_rate_hz=0.0) == []


def test_load_map_swaps_the_map_and_forgets(robot, stage, describer, depot, tmp_path):
    other = tmp_path / 'other.map'
    stage.place_map(describer, frame_id='other').save(other)
    assert robot.load_map(other.as_uri()) == 0
    assert robot.get('map') == other.as_uri()
    first = robot.drive([5])[0]
    assert stage.values(first)['reason'] != 'accepted'
    assert robot.newest('hypotheses').header.frame_id == 'other'
    assert robot.load_map(depot) == 0
    robot.drive([6])
    assert robot.newest('hypotheses').header.frame_id == 'map'


def test_a_map_that_fails_to_load_leaves_the_old_one(robot, node, stage, describer, depot,
                                                    tmp_path):
    assert robot.load_map(tmp_path / 'none.map') == 1
    damaged = tmp_path / 'damaged.map'
    stage.place_map(describer).save(damaged)
    with (damaged / 'descriptors.npy').open('r+b') as file:
        file.seek(-5, 2)
        file.write(b'\x7f')
    assert robot.load_map(damaged) == 2
    alien = tmp_path / 'alien.map'
    stage.place_map(stage.another(describer)).save(alien)
    assert robot.load_map(alien) == 3
    assert robot.load_map('http://example.org/depot.map') == 1
    log = node[0].log
    assert 'there is no map at' in log
    assert 'the map is damaged' in log
    assert 'was built by model' in log
    assert robot.get('map') == str(depot)
    robot.drive([7])
    assert robot.newest('hypotheses').header.frame_id == 'map'


def test_the_newest_image_is_used_and_older_ones_are_dropped(robot, stage):
    """A burst faster than the node: the last image is judged, in whatever is left out."""
    before = stage.values(robot.diagnosis('camera camera'))
    for _ in range(60):
        message = stage.raw(stage.view(8), robot.tick(0.001))
        robot.publisher('image').publish(message)
    robot.show_until_answered(message)
    after = stage.values(robot.diagnosis('camera camera'))
    more = {name: int(after[name]) - int(before[name])
            for name in ('received', 'judged', 'dropped (a newer image came first)', 'twice')}
    received, judged, dropped, twice = more.values()
    assert received == judged + dropped + twice


def test_compressed_images_are_taken_when_raw_ones_fall_silent(robot, stage):
    robot.publisher('image/compressed', CompressedImage)
    robot.until(robot.publisher('image/compressed').get_subscription_count,
                'a subscriber of image/compressed')
    assert robot.drive([9], make=stage.jpeg, topic='image/compressed')[0].hardware_id == 'camera'
