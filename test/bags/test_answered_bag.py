# SPDX-License-Identifier: Apache-2.0
"""What was said goes into a bag, and comes out as what it was."""

from dataclasses import fields, replace
import math

from hypothesis import given, HealthCheck, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.bags.answered_bag import SaidFrame, write_answered_bag
from vpr_ros.bags.answers import read_answers
from vpr_ros.bags.markers import Color, color_of, frame_markers, MARKERS, SCENE
from vpr_ros.bags.outcome_messages import HYPOTHESES, MATCHES, outcome_messages, POSE, STATUS
from vpr_ros.bags.recording import Recording
from vpr_ros.bags.wire import deserialize
from vpr_ros.bags.writer import BagWriter
from vpr_ros.core import pose as se3
from vpr_ros.core.confidence import Signs
from vpr_ros.core.types import Hypothesis, Match, Outcome, Reason, Timing
from vpr_ros.errors import BagError

START_NS = 1_700_000_000_000_000_000
TIMES = {'decode_ms': 1.25, 'latency_ms': 9.5, 'age_ms': 9.5}
SPREAD = np.diag([0.5, 0.25, 0.1, 0.01, 0.01, 0.02])


def outcome(stamp_ns=START_NS, reason=Reason.ACCEPTED, x=3.0, guesses=2):
    hypotheses = tuple(Hypothesis(stamp_ns, 'map', se3.from_xy_yaw(x + i, 1.0, 0.5), SPREAD,
                                  0.9 / (i + 1)) for i in range(guesses))
    return Outcome(stamp_ns, 'camera', (Match(7, 0.75), Match(2, 0.5)), hypotheses, reason, 0.0625,
                   signs=Signs(1.5, 2.5, 0.125, 0.5, 0.0) if guesses else None,
                   timing=Timing(3.25, 0.5, 0.75))


def write_messages(path, outcomes, place_map):
    with BagWriter(path) as bag:
        for record_ns, one in enumerate(outcomes):
            for said in outcome_messages(one, place_map, [0.6] * len(one.matches), TIMES):
                bag.raw(said.topic, said.type, record_ns, said.data)


def same(a, b):
    assert (a.stamp_ns, a.camera, a.reason, a.restarted, a.timing) == (
        b.stamp_ns, b.camera, b.reason, b.restarted, b.timing)
    assert a.unknown_probability == pytest.approx(b.unknown_probability, abs=1e-6)
    assert [m.place for m in a.matches] == [m.place for m in b.matches]
    for sign in fields(Signs) if b.signs else ():
        assert getattr(a.signs, sign.name) == pytest.approx(getattr(b.signs, sign.name), abs=6e-4)
    assert len(a.hypotheses) == min(len(b.hypotheses), 1)
    for ours, theirs in zip(a.hypotheses, b.hypotheses[:1], strict=True):
        assert ours.frame_id == theirs.frame_id
        assert ours.probability == pytest.approx(theirs.probability, abs=1e-6)
        np.testing.assert_allclose(ours.pose, theirs.pose, atol=1e-12)
        if b.accepted is not None:
            np.testing.assert_array_equal(ours.covariance, theirs.covariance)
        else:   # it is not published, and none is made up
            assert np.isnan(ours.covariance).all()


@pytest.mark.parametrize('reason', list(Reason))
def test_an_answer_is_read_back_as_the_outcome_it_was(corridor, tmp_path, reason):
    said = outcome(reason=reason)
    write_messages(tmp_path / 'bag', [said], corridor)
    with Recording(tmp_path / 'bag') as recording:
        (answer,) = read_answers(recording)
        assert (POSE in recording.topics) == (reason is Reason.ACCEPTED)
    same(answer.outcome, said)
    assert (answer.decode_ms, answer.latency_ms) == (1.25, 9.5)
    assert {message.topic for message in answer.messages} >= {HYPOTHESES, MATCHES, STATUS}


def test_frames_with_nothing_to_say_are_read_back_too(corridor, tmp_path):
    silent = outcome(reason=Reason.UNKNOWN, guesses=0)
    stale = replace(outcome(START_NS + 1, Reason.STALE, guesses=0), matches=(), restarted=True)
    write_messages(tmp_path / 'bag', [silent, stale], corridor)
    with Recording(tmp_path / 'bag') as recording:
        for answer, said in zip(read_answers(recording), (silent, stale), strict=True):
            same(answer.outcome, said)
            assert answer.outcome.signs is None


def test_an_answer_that_is_not_whole_is_left_out(corridor, tmp_path):
    with BagWriter(tmp_path / 'bag') as bag:
        for number, missing in enumerate([POSE, HYPOTHESES, MATCHES, STATUS, None]):
            for said in outcome_messages(outcome(START_NS + number), corridor, [0.5, 0.5], TIMES):
                if said.topic != missing:
                    bag.raw(said.topic, said.type, number, said.data)
    with Recording(tmp_path / 'bag') as recording:
        assert [a.outcome.stamp_ns for a in read_answers(recording)] == [START_NS + 4]


def run_of(tmp_path, frames, storage='mcap'):
    """A bag of images, odometry and poses, an image each second."""
    path = tmp_path / ('run.bag' if storage == 'rosbag1' else 'run')
    with BagWriter(path, storage) as bag:
        bag.tf_static(START_NS, [('base_link', 'eye', se3.IDENTITY)])
        for row in range(frames):
            stamp_ns = START_NS + row * 10**9
            record_ns = stamp_ns + 2_000_000
            bag.odometry('/odom', stamp_ns, se3.from_xy_yaw(row, 0.0, 0.0), record_ns=record_ns)
            bag.pose_stamped('/pose', stamp_ns, se3.from_xy_yaw(row, 0.0, 0.0),
                             record_ns=record_ns)
            bag.image('/image', stamp_ns, np.full((4, 4, 3), row, np.uint8), record_ns=record_ns)
            bag.image('/other', stamp_ns, np.full((4, 4, 3), row, np.uint8), record_ns=record_ns)
    return path


def said_frames(place_map, count):
    frames = {}
    for row in range(count):
        reason = Reason.ACCEPTED if row % 2 else Reason.WEAK
        one = outcome(START_NS + row * 10**9, reason, x=row + 0.5)
        truth = se3.from_xy_yaw(row, 1.0, 0.5) if row > 2 else None
        frames[one.stamp_ns] = SaidFrame(one, 9.5, outcome_messages(
            one, place_map, [0.6, 0.2], TIMES), truth, None if truth is None else row != 5)
    return frames


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3', 'rosbag1'])
def test_inputs_are_as_they_were_and_answers_come_after_their_images(corridor, tmp_path, storage):
    path, frames = run_of(tmp_path, 8, storage), said_frames(corridor, 8)
    with Recording(path) as recording:
        write_answered_bag(tmp_path / 'out', recording, ('/image', '/odom', '/pose'), '/image',
                           frames, corridor.poses, 'map')
        originals = [(m.topic, m.record_ns, m.cdr) for m in recording.messages(
            ['/image', '/odom', '/pose', '/tf_static'])]
    with Recording(tmp_path / 'out') as written:
        assert {name: topic.count for name, topic in written.topics.items()} == {
            '/image': 8, '/odom': 8, '/pose': 8, '/tf_static': 1, SCENE: 1, MARKERS: 8, POSE: 4,
            HYPOTHESES: 8, MATCHES: 8, STATUS: 8}
        copied = [(m.topic, m.record_ns, m.cdr) for m in written.messages(
            ['/image', '/odom', '/pose', '/tf_static'])]
        assert sorted(copied) == sorted(originals)
        record_ns = {m.stamp_ns: m.record_ns for m in written.messages(['/image'])}
        for message in written.messages([MATCHES]):
            assert message.record_ns == record_ns[message.stamp_ns] + 9_500_000
        for answer in read_answers(written):
            same(answer.outcome, frames[answer.outcome.stamp_ns].outcome)
    assert 'durability: 1' in (tmp_path / 'out' / 'metadata.yaml').read_text()  # the scene stays


def test_markers_say_what_became_of_each_frame(corridor, tmp_path):
    path, frames = run_of(tmp_path, 8), said_frames(corridor, 8)
    with Recording(path) as recording:
        write_answered_bag(tmp_path / 'out', recording, ('/image',), '/image', frames,
                           corridor.poses, 'map')
    with Recording(tmp_path / 'out') as written:
        arrays = [decoded for _, decoded in written.decoded([MARKERS])]
        ((_, scene),) = written.decoded([SCENE])
    drawn = [{marker.ns: marker for marker in array.markers} for array in arrays]
    assert [rgb(one['hypothesis'].color) for one in drawn] == [
        Color.SILENT, Color.UNJUDGED, Color.SILENT, Color.RIGHT, Color.SILENT, Color.WRONG,
        Color.SILENT, Color.RIGHT]
    assert [one['error'].action for one in drawn] == [2, 2, 2, 0, 0, 0, 0, 0]
    assert [one['truth'].action for one in drawn] == [2, 2, 2, 0, 0, 0, 0, 0]
    assert drawn[3]['error'].points[0].x == 3.5
    assert drawn[3]['error'].points[1].x == 3.0
    assert drawn[3]['verdict'].text == 'accepted 0.90'
    assert all(marker.header.frame_id == 'map' for one in drawn for marker in one.values())
    places, run = scene.markers
    assert len(places.points) == len(corridor)
    assert [rgb(color) for color in run.colors] == [
        Color.RIGHT, Color.SILENT, Color.WRONG, Color.SILENT, Color.RIGHT]


def rgb(message):
    return min(Color, key=lambda color: np.abs(
        np.array([message.r, message.g, message.b]) - color.value).sum())


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0.01, 5.0), st.floats(0.01, 5.0), st.floats(-3.1, 3.1))
def test_the_ellipse_is_two_standard_deviations_along_its_axes(long_m, short_m, turn_rad):
    long_m, short_m = max(long_m, short_m) + 0.1, min(long_m, short_m)
    turn = np.array([[math.cos(turn_rad), -math.sin(turn_rad)],
                     [math.sin(turn_rad), math.cos(turn_rad)]])
    covariance = SPREAD.copy()
    covariance[:2, :2] = turn @ np.diag([long_m**2, short_m**2]) @ turn.T
    one = outcome(guesses=1)
    one = replace(one, hypotheses=(replace(one.hypotheses[0], covariance=covariance),))
    said = frame_markers(one, 'map', None, None)
    spread = deserialize(said.data, said.type, ros1=False).markers[0]
    assert spread.scale.x == pytest.approx(4.0 * long_m, rel=1e-6)
    assert spread.scale.y == pytest.approx(max(4.0 * short_m, 0.05), rel=1e-6)
    drawn_rad = 2.0 * math.atan2(spread.pose.orientation.z, spread.pose.orientation.w)
    assert abs(math.sin(drawn_rad - turn_rad)) < 1e-4   # either way along the axis


def test_a_pose_without_spread_deletes_the_ellipse():
    one = outcome(reason=Reason.WEAK)
    unsaid = replace(one.hypotheses[0], covariance=np.full((6, 6), np.nan))
    one = replace(one, hypotheses=(unsaid,))
    said = frame_markers(one, 'map', None, None)
    assert [marker.action for marker in deserialize(said.data, said.type, ros1=False).markers] == [
        2, 0, 2, 2, 0]
    assert color_of(one, None) is Color.SILENT


def test_what_is_there_is_refused_and_what_is_missing_is_named(corridor, tmp_path):
    path, frames = run_of(tmp_path, 2), said_frames(corridor, 2)
    with Recording(path) as recording:
        with pytest.raises(BagError, match='run exists already'):
            write_answered_bag(path, recording, ('/image',), '/image', frames, corridor.poses,
                               'map')
        with pytest.raises(BagError, match='no topic /nowhere'):
            write_answered_bag(tmp_path / 'out', recording, ('/nowhere',), '/image', frames,
                               corridor.poses, 'map')
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ['run']
