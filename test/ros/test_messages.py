# SPDX-License-Identifier: Apache-2.0
import math

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from vpr_ros.core import pose as se3
from vpr_ros.core.published import SENTENCES, stamp_text
from vpr_ros.core.types import Hypothesis, Match, Outcome, Reason, stamp_ns_of, Timing
from vpr_ros.ros import messages

STAMP_NS = 1_700_000_000_000_000_007


def hypothesis(covariance=None, pose=None):
    covariance = np.eye(6) * 0.04 if covariance is None else covariance
    pose = se3.from_xy_yaw(1.0, 2.0, math.pi / 2) if pose is None else pose
    return Hypothesis(STAMP_NS, 'map', pose, covariance, 0.97)


def outcome(reason=Reason.ACCEPTED):
    return Outcome(STAMP_NS, 'front', (Match(3, 0.9), Match(1, 0.5)), (hypothesis(),), reason,
                   0.01, timing=Timing(3.0, 0.2, 0.1))


def test_the_stamp_is_the_images_to_the_nanosecond():
    assert stamp_ns_of(messages.pose_with_covariance(hypothesis())) == STAMP_NS
    assert stamp_ns_of(messages.hypotheses(outcome(), 'map')) == STAMP_NS
    assert stamp_text(STAMP_NS) == '1700000000.000000007'


def test_a_pose_keeps_its_covariance_row_by_row():
    covariance = np.eye(6) * 0.5
    covariance[0, 5] = covariance[5, 0] = -0.1
    message = messages.pose_with_covariance(hypothesis(covariance))
    assert np.array_equal(np.array(message.pose.covariance).reshape(6, 6), covariance)
    assert (message.pose.pose.position.x, message.pose.pose.position.y) == (1.0, 2.0)
    assert message.pose.pose.orientation.z == pytest.approx(math.sin(math.pi / 4))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_initialpose_is_never_what_amcl_drops(seed):
    """Whatever the covariance: no negative element, no zero on the diagonal, a unit quaternion."""
    random = np.random.default_rng(seed)
    root = random.normal(size=(6, 6)) * random.choice([0.0, 1e-6, 1.0, 100.0])
    turn = random.normal(size=4)
    pose = np.concatenate([random.normal(size=3), turn / np.linalg.norm(turn) * 1.0005])
    message = messages.initialpose(hypothesis(root @ root.T, pose))
    covariance = np.array(message.pose.covariance).reshape(6, 6)
    assert (covariance >= 0.0).all()
    assert (np.diag(covariance) > 0.0).all()
    assert np.count_nonzero(covariance) == 6
    q = message.pose.pose.orientation
    assert abs(q.x**2 + q.y**2 + q.z**2 + q.w**2 - 1.0) < 1e-9


@pytest.mark.parametrize('reason', list(Reason))
def test_the_status_has_a_sentence_for_every_reason(reason):
    status = messages.status(outcome(reason), 'relocalizer: front', {'latency_ms': 4.0})
    assert status.message.startswith(reason.value)
    assert status.level == (b'\x00' if reason is Reason.ACCEPTED else b'\x01')
    values = {value.key: value.value for value in status.values}
    assert values['reason'] == reason.value
    assert values['latency_ms'] == '4.00'
    assert values['describe_ms'] == '3.00'
    assert values['stamp'] == '1700000000.000000007'


def test_the_status_of_a_frame_without_hypotheses_says_zero():
    empty = Outcome(STAMP_NS, 'front', (), (), Reason.STALE, 0.5)
    values = {value.key: value.value for value in messages.status(empty, 'r', {}).values}
    assert values['probability'] == '0.000000'


def test_the_verdict_names_the_place_only_when_accepted():
    assert 'x 1.00 m, y 2.00 m, heading 90 deg in map' in messages.verdict(outcome())
    assert messages.verdict(outcome(Reason.WEAK)) == SENTENCES[Reason.WEAK]


def test_the_cloud_of_no_candidates_is_empty(stage, describer):
    empty = Outcome(STAMP_NS, 'camera', (), (), Reason.STALE, 0.5)
    cloud = messages.place_matches(empty, stage.place_map(describer), [])
    assert (cloud.width, len(cloud.data), cloud.row_step) == (0, 0, 0)


def test_the_cloud_is_laid_out_as_its_fields_say(stage, describer):
    place_map = stage.place_map(describer)
    cloud = messages.place_matches(outcome(), place_map, [0.7, 0.2])
    layout = np.dtype({'names': [field.name for field in cloud.fields],
                       'formats': ['<f4' if field.datatype == 7 else '<i4'
                                   for field in cloud.fields],
                       'offsets': [field.offset for field in cloud.fields],
                       'itemsize': cloud.point_step})
    rows = np.frombuffer(cloud.data, layout)
    assert rows['place'].tolist() == [3, 1]
    assert rows['rank'].tolist() == [0, 1]
    assert rows['session'].tolist() == [0, 0]
    assert np.allclose(rows['x'], [3.0, 1.0])
    assert np.allclose(rows['similarity'], [0.9, 0.5])
    assert np.allclose(rows['probability'], [0.7, 0.2])
    assert np.allclose(rows['yaw'], 0.0)


def test_an_image_keeps_its_pixels():
    picture = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    message = messages.image(picture, STAMP_NS, 'map')
    assert (message.height, message.width, message.step, message.encoding) == (4, 5, 15, 'rgb8')
    assert np.array_equal(np.frombuffer(message.data, np.uint8).reshape(4, 5, 3), picture)
