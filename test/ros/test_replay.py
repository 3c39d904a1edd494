# SPDX-License-Identifier: Apache-2.0
"""Replay is the robot: a bag gives the same outcomes through the node and in process."""

import os
from pathlib import Path
import threading
import time

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from vpr_ros.bags.recording import Recording
from vpr_ros.bags.writer import BagWriter
from vpr_ros.core import pose as se3
from vpr_ros.core.localizer import Localizer, LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.types import Reason
from vpr_ros.errors import BagError, VprError
from vpr_ros.tools import through_node
from vpr_ros.tools.query_run import QueryRun, QuerySource
from vpr_ros.tools.through_node import NodeSettings, play_through_node

IMAGE, ODOM, POSE = '/camera/image_raw', '/odom', '/ground_truth'
SIGN_STEP = 1e-3   # signs are published with three decimals


def write_drive(stage, path, storage='mcap', spoil=()):
    """Past the wall, half a metre an image, with a metre of drift and a stretch off the map."""
    metres = np.concatenate([np.arange(5.0, 30.0, 0.5), np.arange(55.0, 60.0, 0.5)])
    with BagWriter(path, storage) as writer:
        for step in range(10 * len(metres)):
            stamp_ns = stage.START_NS + step * 50_000_000
            metre = float(np.interp(step / 10.0, range(len(metres)), metres))
            writer.odometry(ODOM, stamp_ns, se3.from_xy_yaw(metre * 1.04, 0.3, 0.01))
            writer.pose_stamped(POSE, stamp_ns, se3.from_xy_yaw(metre, 2.0, 0.0))
            if step % 10 == 3 and step // 10 in spoil:
                writer.image_bytes(IMAGE, stamp_ns + 7_000_000, 9, 9, 'rgb8', 27, b'cut')
            elif step % 10 == 3:
                writer.image(IMAGE, stamp_ns + 7_000_000, stage.view(metre))
    return path


@pytest.fixture(scope='module')
def bag(stage, tmp_path_factory):
    return write_drive(stage, tmp_path_factory.mktemp('bags') / 'drive')


@pytest.fixture
def through(bag, depot, model):
    """Play a bag through the node: `through(odom, rate=...) -> Published`."""
    def play(odom='', path=bag, **settings):
        settings = NodeSettings(**{'model': model, 'engine': 'onnxruntime', 'threads': 1,
                                   **settings})
        with Recording([path]) as recording:
            run = QueryRun.opened(recording, PlaceMap.load(depot), source(odom))
            return play_through_node(run, depot, settings)
    return play


@pytest.fixture
def in_process(bag, depot, describer):
    """Localize as vpr evaluate does, the frames of some stamps only: `-> {stamp_ns: Outcome}`."""
    def localize(odom='', only=None, path=bag):
        with Recording([path]) as recording:
            place_map = PlaceMap.load(depot)
            run = QueryRun.opened(recording, place_map, source(odom))
            localizer = Localizer(LocalizerConfig(), place_map, describer, [run.camera])
            return {frame.stamp_ns: localizer.localize(frame, run.motion.at)
                    for frame, _ in run.frames('') if only is None or frame.stamp_ns in only}
    return localize


def source(odom):
    return QuerySource(image=IMAGE, pose=POSE, odom=odom)


def assert_equal(answers, expected):
    """Every answer says what was expected of its stamp, to what a message can hold."""
    for answer in answers:
        outcome, ours = answer.outcome, expected[answer.outcome.stamp_ns]
        assert (outcome.reason, outcome.camera) == (ours.reason, ours.camera)
        assert outcome.restarted == ours.restarted
        assert outcome.unknown_probability == pytest.approx(ours.unknown_probability, abs=1e-6)
        assert [match.place for match in outcome.matches] == [
            match.place for match in ours.matches]
        np.testing.assert_allclose([match.similarity for match in outcome.matches],
                                   [match.similarity for match in ours.matches], atol=1e-6)
        assert bool(outcome.hypotheses) == bool(ours.hypotheses)
        if not ours.hypotheses:
            continue
        best, our_best = outcome.hypotheses[0], ours.hypotheses[0]
        np.testing.assert_allclose(best.pose, our_best.pose, atol=1e-6)
        assert best.probability == pytest.approx(our_best.probability, abs=1e-6)
        assert outcome.signs.odds == pytest.approx(ours.signs.odds, abs=SIGN_STEP)
        if ours.accepted is not None:
            np.testing.assert_allclose(best.covariance, our_best.covariance, atol=1e-6)


@pytest.mark.parametrize('odom', [ODOM, ''], ids=['with odometry', 'without'])
def test_node_and_process_agree_on_every_frame(through, in_process, odom):
    published, expected = through(odom), in_process(odom)
    assert published.dropped == ()
    assert published.odometry_lost == 0
    assert [answer.outcome.stamp_ns for answer in published.answers] == list(expected)
    assert len(expected) == 60
    assert {Reason.ACCEPTED, Reason.UNKNOWN} <= {outcome.reason for outcome in expected.values()}
    assert_equal(published.answers, expected)
    assert all(answer.latency_ms > answer.decode_ms > 0.0 for answer in published.answers)
    assert list(published.remarks()) == []


def test_what_is_dropped_is_as_if_it_was_never_taken(through, in_process):
    """Dropping changes what is believed later: so would a camera that took fewer pictures."""
    published = through(rate=2000.0)
    answered = {answer.outcome.stamp_ns for answer in published.answers}
    assert published.dropped
    assert len(answered) + len(published.dropped) == 60
    assert not answered & set(published.dropped)
    assert f'{len(published.dropped)} of 60 images were dropped' in next(published.remarks())
    assert_equal(published.answers, in_process(only=answered))


def test_frames_that_a_parameter_leaves_out_are_dropped(through, in_process, tmp_path):
    """With odometry, at a rate at which all of it gets through."""
    params = tmp_path / 'slow.yaml'
    params.write_text('/**:\n  ros__parameters:\n    max_rate_hz: 1.0\n    odom_wait_s: 2.0\n')
    published = through(ODOM, rate=8.0, params=params)
    answered = {answer.outcome.stamp_ns for answer in published.answers}
    assert 15 <= len(answered) <= 31
    assert len(answered) + len(published.dropped) == 60
    assert published.odometry_lost == 0
    assert_equal(published.answers, in_process(ODOM, only=answered))


def test_a_bag_of_ros_1_is_played_too(stage, through, in_process, tmp_path):
    old = write_drive(stage, tmp_path / 'old.bag', 'rosbag1')
    published = through(ODOM, path=old)
    assert published.dropped == ()
    assert_equal(published.answers, in_process(ODOM))


def test_what_is_no_picture_is_not_dropped_but_undecodable(stage, through, in_process, tmp_path):
    path = write_drive(stage, tmp_path / 'spoiled', spoil={7, 8})
    published = through(path=path)
    assert (len(published.answers), published.dropped, published.count.skipped) == (58, (), 2)
    assert_equal(published.answers, in_process(path=path))


def test_diagnostics_are_kept_at_the_time_of_the_bag(stage, through):
    published = through(rate=10.0)
    moments_ns = [record_ns for record_ns, _ in published.diagnostics]
    assert moments_ns
    assert all(0 <= (moment - stage.START_NS) * 1e-9 < 60.0 for moment in moments_ns)
    assert {said.topic for _, said in published.diagnostics} == {'/diagnostics'}


def test_a_node_that_does_not_start_shows_its_log(bag, depot, through, tmp_path):
    with Recording([bag]) as recording:
        run = QueryRun.opened(recording, PlaceMap.load(depot), source(''))
        with pytest.raises(VprError, match=r'node ended with code 2; its log ends:[\s\S]*nowhere'):
            play_through_node(run, tmp_path / 'nowhere.map', NodeSettings())
    params = tmp_path / 'typo.yaml'
    params.write_text('/**:\n  ros__parameters:\n    confirm_stepps: 2\n')
    with pytest.raises(VprError, match='is confirm_steps meant'):
        through(params=params)


def nodes_on(depot):
    """Return the ids of the nodes that run on a map."""
    found = []
    for entry in Path('/proc').glob('[0-9]*'):
        try:
            words = (entry / 'cmdline').read_bytes()
        except OSError:
            continue
        if b'relocalizer_node' in words and str(depot).encode() in words:
            found.append(int(entry.name))
    return found


def test_a_node_that_dies_on_the_way_is_not_waited_for(through, depot):
    def kill():
        end_s = time.monotonic() + 30.0
        while not (found := nodes_on(depot)) and time.monotonic() < end_s:
            time.sleep(0.02)
        time.sleep(4.0)   # it takes 30 s at this rate
        for pid in found:
            os.kill(pid, 9)

    killer = threading.Thread(target=kill)
    killer.start()
    started_s = time.monotonic()
    with pytest.raises(VprError, match='node ended with code -9'):
        through(rate=1.0)
    killer.join()
    assert time.monotonic() - started_s < 25.0
    assert nodes_on(depot) == []


def test_without_ros_it_is_said(through, monkeypatch):
    monkeypatch.setattr(through_node, 'find_spec', lambda name: None)
    with pytest.raises(VprError, match='rclpy cannot be imported.*source your ROS 2'):
        through()


def test_poses_that_are_no_odometry_are_refused(through):
    with pytest.raises(BagError, match='nav_msgs/msg/Odometry is needed'):
        through(POSE)
    with pytest.raises(BagError, match='no topic /wheels'):
        through('/wheels')


def test_a_rate_below_zero_is_refused():
    with pytest.raises(VprError, match=r'--rate is -1; give 0'):
        NodeSettings(rate=-1.0)
    assert str(NodeSettings(rate=1.0)) == 'in the node, in real time'
    assert '5 times as fast' in str(NodeSettings(rate=5.0))
