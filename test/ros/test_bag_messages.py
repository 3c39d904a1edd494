# SPDX-License-Identifier: Apache-2.0
"""A bag that is written without ROS holds the very messages that the node publishes."""

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.serialization import deserialize_message

from vpr_ros.bags.outcome_messages import HYPOTHESES, MATCHES, outcome_messages, POSE, STATUS
from vpr_ros.core import pose as se3
from vpr_ros.core.confidence import Signs
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.types import Hypothesis, Match, Outcome, Reason, Timing
from vpr_ros.ros import messages

STAMP_NS = 1_700_000_000_000_000_007
TIMES = {'decode_ms': 1.0, 'latency_ms': 4.0, 'age_ms': 5.0}


@pytest.fixture(scope='module')
def place_map(depot):
    return PlaceMap.load(depot)


@settings(max_examples=30)
@given(st.sampled_from(list(Reason)), st.integers(0, 3), st.integers(0, 5), st.integers(0, 2**31))
def test_messages_are_equal_whoever_makes_them(place_map, reason, guesses, matched, seed):
    random = np.random.default_rng(seed)
    if reason is Reason.ACCEPTED:
        guesses = max(guesses, 1)
    hypotheses = tuple(Hypothesis(
        STAMP_NS, 'map', se3.from_xy_yaw(*random.normal(size=3)), np.diag(random.random(6) + 0.1),
        float(random.random())) for _ in range(guesses))
    outcome = Outcome(STAMP_NS, 'front', tuple(
        Match(int(place), float(random.random())) for place in random.integers(0, 40, matched)),
        hypotheses, reason, float(random.random()), bool(seed % 2),
        Signs(*random.normal(size=5)) if guesses else None, Timing(*random.random(3)))
    probabilities = random.random(matched).tolist()
    made = {said.topic: said for said in outcome_messages(outcome, place_map, probabilities,
                                                          TIMES)}
    published = {
        HYPOTHESES: messages.hypotheses(outcome, 'map'),
        MATCHES: messages.place_matches(outcome, place_map, probabilities),
        STATUS: messages.status(outcome, 'relocalizer: front', TIMES)}
    if reason is Reason.ACCEPTED:
        published[POSE] = messages.pose_with_covariance(hypotheses[0])
    assert set(made) == set(published)
    for topic, message in published.items():
        assert deserialize_message(made[topic].data, type(message)) == message
