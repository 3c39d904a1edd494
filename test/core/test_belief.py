# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.core.belief import Belief, BeliefConfig
from vpr_ros.errors import MapError


def line(places: int, yaw_rad: float = 0.0) -> se3.Array:
    return np.stack([se3.from_xy_yaw(float(i), 0.0, yaw_rad) for i in range(places)])


def at(places: int, state: int, evidence: float = 3.0) -> np.ndarray:
    log_likelihood = np.full(places, -2.0)
    log_likelihood[state] = evidence
    return log_likelihood


AHEAD = se3.from_xy_yaw(1.0, 0.0, 0.0)


@settings(max_examples=40)
@given(st.integers(1, 50), st.lists(st.tuples(
    st.floats(-3.0, 3.0), st.floats(-3.0, 3.0), st.floats(-3.0, 3.0), st.integers(0, 49),
    st.floats(-4.0, 4.0), st.booleans()), max_size=12))
def test_probabilities_always_sum_to_one(places, steps):
    belief = Belief(BeliefConfig(), line(places))
    for x, y, yaw, state, evidence, odometry in steps:
        belief.look(at(places, state % places, evidence))
        belief.move(se3.from_xy_yaw(x, y, yaw) if odometry else None, 0.5)
        assert belief.probabilities.sum() + belief.unknown == pytest.approx(1.0)
        assert (belief.probabilities >= 0.0).all()
        assert belief.unknown > 0.0


@given(st.floats(-2.0, 3.0), st.floats(0.05, 1.0))
def test_more_evidence_never_makes_a_place_less_likely(evidence, more):
    less, sure = (Belief(BeliefConfig(), line(20)) for _ in range(2))
    less.look(at(20, 7, evidence))
    sure.look(at(20, 7, evidence + more))
    assert sure.probabilities[7] > less.probabilities[7]


@given(st.permutations(range(12)))
def test_the_order_of_places_does_not_matter(order):
    poses, order = line(12), np.array(order)
    a, b = Belief(BeliefConfig(), poses), Belief(BeliefConfig(), poses[order])
    for state in (3, 4, 5):
        a.look(at(12, state))
        b.look(at(12, state)[order])
        a.move(AHEAD, 1.0)
        b.move(AHEAD, 1.0)
    np.testing.assert_allclose(b.probabilities, a.probabilities[order], atol=1e-9)
    assert a.unknown == pytest.approx(b.unknown)


def test_following_the_road_becomes_certain():
    belief = Belief(BeliefConfig(), line(40))
    for state in range(5, 13):
        belief.look(at(40, state))
        belief.move(AHEAD, 1.0)
    assert belief.probabilities[13] == belief.probabilities.max()
    assert belief.probabilities[12:15].sum() > 0.8


def test_two_looks_from_one_spot_are_no_more_than_one():
    once, often = (Belief(BeliefConfig(), line(20)) for _ in range(2))
    once.look(at(20, 4))
    for _ in range(50):
        often.look(at(20, 4))
    np.testing.assert_allclose(often.probabilities, once.probabilities)


def test_without_odometry_belief_spreads_to_what_is_near():
    belief = Belief(BeliefConfig(max_speed_mps=1.0), line(40))
    for _ in range(6):
        belief.look(at(40, 20))
        belief.move(None, 1.0)
    assert 15 < np.argmax(belief.probabilities) < 25
    assert belief.probabilities[:10].max() < 0.01


def test_driving_off_the_map_is_unknown():
    belief = Belief(BeliefConfig(), line(10))
    for state in range(3, 10):
        belief.look(at(10, state))
        belief.move(AHEAD, 1.0)
    for _ in range(4):
        belief.move(AHEAD, 1.0)
        belief.look(np.full(10, -1.0))
    assert belief.unknown > 0.9


def test_the_other_direction_is_another_place():
    poses = np.concatenate([line(20), line(20, np.pi)])
    belief = Belief(BeliefConfig(), poses)
    for state in range(5, 10):
        belief.look(at(40, state))
        belief.move(AHEAD, 1.0)
    belief.look(np.zeros(40))
    assert belief.probabilities[20:].sum() < 0.01


def test_a_kidnapped_robot_is_found_again():
    belief = Belief(BeliefConfig(), line(60))
    for state in range(5, 15):
        belief.look(at(60, state))
        belief.move(AHEAD, 1.0)
    for state in range(40, 50):
        belief.look(at(60, state))
        belief.move(AHEAD, 1.0)
    assert abs(int(np.argmax(belief.probabilities)) - 50) <= 1
    assert belief.probabilities[48:53].sum() > 0.8


def test_a_map_of_one_place_works():
    belief = Belief(BeliefConfig(), line(1))
    belief.look(np.array([2.0]))
    assert belief.probabilities[0] > belief.unknown
    belief.move(AHEAD, 1.0)
    assert belief.unknown > belief.probabilities[0]


@pytest.mark.parametrize('wrong', [{'leave_probability': 0.0}, {'enter_probability': 1.0},
                                   {'max_speed_mps': -1.0}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(MapError, match=next(iter(wrong))):
        BeliefConfig(**wrong)
