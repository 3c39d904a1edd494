# SPDX-License-Identifier: Apache-2.0
from itertools import pairwise

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.core.belief import Belief, BeliefConfig
from vpr_ros.core.chain import NONE
from vpr_ros.errors import MapError

CONFIG = BeliefConfig()
AHEAD, BACK = se3.from_xy_yaw(1.0, 0.0, 0.0), se3.from_xy_yaw(-1.0, 0.0, 0.0)
ABSURD = [se3.from_xy_yaw(1000.0, 0.0, 0.0), se3.from_xy_yaw(-1e9, 3.0, 1.0),
          se3.from_xy_yaw(1e200, 0.0, 0.0)]


def line(places: int, yaw_rad: float = 0.0) -> se3.Array:
    return np.stack([se3.from_xy_yaw(float(i), 0.0, yaw_rad) for i in range(places)])


def chain(places: int) -> np.ndarray:
    return np.append(np.arange(1, places), NONE)


def road(places: int, config: BeliefConfig = CONFIG) -> Belief:
    return Belief(config, line(places), chain(places))


def look(belief: Belief, state: int, evidence: float = 3.0, other: float = -1.0) -> None:
    """Take a look that speaks for one state and against the others."""
    everywhere = np.full(len(belief.poses), other)
    everywhere[state] = evidence
    belief.look(everywhere, np.maximum(everywhere, 0.0) / 4.0)


def drive(belief: Belief, states, motion=AHEAD, elapsed_s: float = 1.0) -> None:
    """Look at each of `states`, moving on in between."""
    for index, state in enumerate(states):
        if index:
            belief.move(motion, elapsed_s)
        look(belief, state)


def near(belief: Belief, state: int, reach: int = 1) -> float:
    """Return the probability of a state and those beside it."""
    return float(belief.probabilities[max(state - reach, 0):state + reach + 1].sum())


SHAPES = {
    'one place': line(1), 'a line': line(30), 'one position': np.repeat(line(1), 12, axis=0),
    'there and back': np.concatenate([line(15), line(15, np.pi)[::-1]]),
    'a ring': np.stack([se3.from_xy_yaw(5 * np.cos(a), 5 * np.sin(a), a + np.pi / 2)
                        for a in np.arange(0.0, 2 * np.pi, 0.2)]),
    'scattered': np.stack([se3.from_xy_yaw(*xyz) for xyz in
                           np.random.default_rng(0).uniform(-30, 30, (25, 3))]),
    'turning on the spot': np.stack([se3.from_xy_yaw(0.0, 0.0, a) for a in np.arange(0, 6, 0.3)]),
}
MOTIONS = st.one_of(
    st.none(),
    st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3.1, 3.1)).map(
        lambda xyz: se3.from_xy_yaw(*xyz)),
    st.sampled_from(ABSURD))
STEPS = st.lists(st.tuples(
    MOTIONS, st.floats(0.0, 20.0), st.floats(0.0, 1.0),
    st.lists(st.tuples(st.integers(0, 99), st.floats(-10.0, 10.0), st.floats(-10.0, 10.0)),
             max_size=3)), max_size=10)


@settings(max_examples=120)
@given(st.sampled_from(sorted(SHAPES)), st.booleans(), STEPS)
@pytest.mark.filterwarnings('ignore:overflow', 'ignore:invalid value')
def test_probabilities_always_sum_to_one(shape, linked, steps):
    """Whatever is seen and however the robot is said to move, measured or not, in any map."""
    poses = SHAPES[shape]
    count = len(poses)
    belief = Belief(CONFIG, poses, chain(count) if linked else np.full(count, NONE))
    for motion, elapsed_s, novelty, looks in steps:
        for state, evidence, other in looks:
            look(belief, state % count, evidence, other)
            assert_is_distribution(belief)
        belief.move(motion, elapsed_s, novelty)
        assert_is_distribution(belief)


def assert_is_distribution(belief):
    assert belief.probabilities.shape == (len(belief.poses),)
    assert np.isfinite(belief.probabilities).all()
    assert (belief.probabilities >= 0.0).all()
    assert belief.unknown > 0.0
    assert belief.probabilities.sum() + belief.unknown == pytest.approx(1.0)
    assert np.isfinite(belief.gain).all()
    assert np.isfinite(belief.support).all()


@settings(max_examples=60)
@given(st.lists(st.tuples(MOTIONS, st.integers(0, 19)), max_size=5), st.integers(0, 19),
       st.floats(-4.0, 3.0), st.floats(0.05, 3.0))
@pytest.mark.filterwarnings('ignore:overflow', 'ignore:invalid value')
def test_more_evidence_never_makes_a_place_less_likely(before, state, evidence, more):
    less, sure = road(20), road(20)
    for belief, value in ((less, evidence), (sure, evidence + more)):
        for motion, seen in before:
            look(belief, seen)
            belief.move(motion, 1.0)
        look(belief, state, value)
    # A hair less where it was certain anyway.
    assert sure.probabilities[state] >= less.probabilities[state] - 1e-12
    assert sure.unknown <= less.unknown + 1e-12


@given(st.floats(1.0, 3.0), st.floats(0.0, 3.0))
def test_what_was_seen_before_counts_on_the_way(first, more):
    """More evidence for where the robot came from never speaks against where it has come to."""
    found = []
    for evidence in (first, first + more):
        belief = road(20)
        look(belief, 7, evidence)
        belief.move(AHEAD, 1.0)
        look(belief, 8)
        found.append(belief.probabilities[8])
    assert found[1] >= found[0] - 1e-12


@settings(max_examples=40)
@given(st.permutations(range(12)), st.booleans())
def test_the_order_of_places_does_not_matter(order, measured):
    """States are numbered otherwise; what is believed of each stays."""
    order = np.array(order)
    number = np.argsort(order)      # of each old state, its new one
    after = np.full(12, NONE)
    after[number[:-1]] = number[1:]
    a, b = road(12), Belief(CONFIG, line(12)[order], after)
    for state in (3, 4, 5, 6):
        look(a, state)
        look(b, number[state])
        np.testing.assert_allclose(b.probabilities, a.probabilities[order], atol=1e-9)
        np.testing.assert_allclose(b.support, a.support[order], atol=1e-9)
        for belief in (a, b):
            belief.move(AHEAD if measured else None, 1.0)
    np.testing.assert_allclose(b.probabilities, a.probabilities[order], atol=1e-9)
    assert a.unknown == pytest.approx(b.unknown)


@pytest.mark.parametrize('motion', [AHEAD, None], ids=['measured', 'not measured'])
def test_following_the_road_becomes_certain(motion):
    belief = road(40)
    sure = []
    for state in range(5, 13):
        look(belief, state)
        sure.append(near(belief, state))
        belief.move(motion, 1.0)
    assert sure == sorted(sure)
    look(belief, 13)
    assert np.argmax(belief.probabilities) == 13
    assert near(belief, 13) > 0.9


def test_before_anything_was_seen_half_is_unknown_and_half_anywhere():
    belief = road(10)
    assert belief.unknown == pytest.approx(0.5)
    np.testing.assert_allclose(belief.probabilities, 0.05)
    drive(belief, range(2, 8))
    belief.reset()
    assert belief.unknown == pytest.approx(0.5)
    np.testing.assert_allclose(belief.probabilities, 0.05)
    assert (belief.support == 0.0).all()


def test_two_looks_from_one_spot_are_no_more_than_one():
    once, often = road(20), road(20)
    look(once, 4)
    for _ in range(50):
        look(often, 4)
    np.testing.assert_allclose(often.probabilities, once.probabilities)
    np.testing.assert_allclose(often.support, once.support)


def test_two_looks_that_disagree_leave_both_in_doubt():
    belief, sure = road(20), road(20)
    look(belief, 4)
    look(belief, 15)
    look(sure, 4)
    assert belief.probabilities[4] == pytest.approx(belief.probabilities[15])
    assert belief.probabilities[4] < 0.5 * sure.probabilities[4]


def test_a_picture_that_is_not_new_is_no_new_evidence():
    """What is believed is carried on, no surer and no less sure."""
    belief = road(30)
    drive(belief, range(5, 10))
    believed, unknown = belief.gain.max(), belief.unknown
    belief.move(AHEAD, 1.0, novelty=0.0)
    look(belief, 10)
    assert belief.gain.max() == pytest.approx(believed)
    assert belief.unknown == pytest.approx(unknown, rel=0.5)
    assert np.argmax(belief.probabilities) == 10


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_the_newer_a_picture_the_more_it_says(a, b):
    gains = []
    for novelty in sorted((a, b)):
        belief = road(10)
        belief.move(AHEAD, 1.0, novelty)
        look(belief, 4)
        gains.append(belief.gain[4])
    assert gains[0] <= gains[1] + 1e-12


def test_what_a_sequence_proves_is_bounded():
    """A robot that was sure for an hour is carried away as easily as one that was for a minute."""
    minute, hour = road(400), road(400)
    drive(minute, range(100, 160))
    drive(hour, range(10, 360))
    assert hour.gain.max() == pytest.approx(minute.gain.max(), rel=0.02)
    assert hour.gain.max() <= 3.0 * CONFIG.memory_steps + 1e-6


@pytest.mark.parametrize('motion', [AHEAD, None], ids=['measured', 'not measured'])
def test_driving_off_the_map_is_unknown(motion):
    belief = road(10)
    drive(belief, range(3, 10), motion)
    assert near(belief, 9) > 0.8
    for _ in range(12):
        belief.move(motion, 1.0)
        belief.look(np.full(10, -1.0), np.zeros(10))
    assert belief.unknown > 0.9


def test_odometry_past_the_end_is_enough_to_leave():
    """Measured beyond the last place, the robot is not believed to wait at it."""
    belief = road(10)
    drive(belief, range(3, 10))
    believed = belief.gain.max()
    for _ in range(3):
        belief.move(AHEAD, 1.0)
    assert belief.gain.max() < 0.2 * believed


def test_driving_backwards_with_odometry_follows():
    belief = road(40)
    drive(belief, range(25, 12, -1), BACK)
    assert np.argmax(belief.probabilities) == 13
    assert near(belief, 13) > 0.9


def test_the_other_direction_is_another_place():
    count = 20
    poses = np.concatenate([line(count), line(count, np.pi)])
    belief = Belief(CONFIG, poses, np.concatenate([chain(count),
                                                   np.arange(-1, count - 1) + count]))
    drive(belief, range(5, 12))
    assert belief.probabilities[:count].sum() > 0.9
    assert belief.probabilities[count:].sum() < 0.01


def test_a_turn_on_the_spot_leads_to_the_other_direction():
    count = 20
    poses = np.concatenate([line(count), line(count, np.pi)])
    belief = Belief(CONFIG, poses, np.full(2 * count, NONE))
    drive(belief, range(5, 10))
    belief.move(se3.from_xy_yaw(0.0, 0.0, np.pi), 1.0)
    assert np.argmax(belief.probabilities) == 9 + count


@pytest.mark.parametrize('motion', [AHEAD, None], ids=['measured', 'not measured'])
def test_a_kidnapped_robot_is_found_again(motion):
    belief = road(80)
    drive(belief, range(5, 20), motion)
    belief.move(motion, 1.0)
    drive(belief, range(50, 60), motion)
    assert near(belief, 59) > 0.8


@pytest.mark.parametrize('motion', [AHEAD, None], ids=['measured', 'not measured'])
def test_after_long_off_the_map_it_is_found_as_soon_as_ever(motion):
    """By then all places speak against themselves; no two of these look alike."""
    belief = road(60)
    for _ in range(100):
        belief.look(np.full(60, -1.0), np.zeros(60))
        belief.move(motion, 1.0)
    drive(belief, range(20, 26), motion)
    assert near(belief, 25) > 0.8


def test_a_robot_driven_round_a_ring_is_followed_past_its_beginning():
    """The end of the recording is no end of the road where the places meet."""
    ring = SHAPES['a ring']
    count = len(ring)
    belief = Belief(CONFIG, ring, chain(count))
    states = [state % count for state in range(count - 6, count + 6)]
    for before, state in pairwise(states):
        look(belief, before)
        belief.move(se3.compose(se3.inverse(ring[before]), ring[state]), 1.0)
    assert np.argmax(belief.probabilities) == states[-1]
    assert belief.probabilities[states[-1]] > 0.5


def test_a_long_way_without_pictures_is_bridged_by_odometry():
    belief = road(80)
    drive(belief, range(5, 15))
    belief.move(se3.from_xy_yaw(30.0, 0.0, 0.0), 60.0)
    assert near(belief, 44, reach=5) > 0.9
    look(belief, 45)
    assert np.argmax(belief.probabilities) == 45


def test_slipping_wheels_are_allowed_for():
    """Odometry that says a tenth too much at each step is followed all the same."""
    belief = road(60)
    drive(belief, range(5, 45), se3.from_xy_yaw(1.1, 0.0, 0.0))
    assert near(belief, 44) > 0.9


@pytest.mark.parametrize('jump', ABSURD)
@pytest.mark.filterwarnings('ignore:overflow', 'ignore:invalid value')
def test_an_absurd_jump_of_odometry_leaves_nobody_certain(jump):
    belief = road(60)
    drive(belief, range(10, 30))
    assert near(belief, 29) > 0.9
    belief.move(jump, 1.0)
    assert belief.probabilities.max() < 0.1
    assert belief.unknown > 0.3
    drive(belief, range(40, 50))   # and it is not lost for good
    assert near(belief, 49) > 0.9


def test_no_faster_than_the_robot_can_be():
    """Where odometry is silent the belief stays, if no time has passed."""
    belief = road(40)
    drive(belief, range(5, 12), None)
    belief.move(None, 0.0)
    assert np.argmax(belief.probabilities) == 11
    slow = road(40, BeliefConfig(max_speed_mps=0.1))
    drive(slow, [20] * 6, None)
    assert np.argmax(slow.probabilities) == 20


def test_without_odometry_twice_the_pace_is_followed():
    belief = road(80)
    drive(belief, range(10, 50, 2), None, elapsed_s=2.0)
    assert near(belief, 48, reach=2) > 0.9


def test_odometry_that_falls_silent_and_comes_back_costs_nothing():
    belief = road(60)
    look(belief, 5)
    for state in range(6, 30):
        belief.move(AHEAD if state % 8 < 5 else None, 1.0)
        look(belief, state)
    assert near(belief, 29) > 0.9


def test_support_is_what_was_seen_on_the_way():
    belief, other = road(30), road(30)
    drive(belief, range(5, 15))
    for state in range(5, 15):     # the same looks, one after the other elsewhere
        other.move(AHEAD, 1.0)
        look(other, (state * 7) % 30)
    assert np.argmax(belief.support) == 14
    assert belief.support[14] > 2.0 * other.support.max()


def test_a_map_of_one_place_works():
    belief = Belief(CONFIG, line(1), np.array([NONE]))
    assert belief.spacing_m == 1.0
    look(belief, 0, 2.0)
    assert belief.probabilities[0] > belief.unknown
    for _ in range(3):
        belief.move(se3.from_xy_yaw(5.0, 0.0, 0.0), 1.0)
    assert belief.gain[0] <= 0.5


@pytest.mark.parametrize('places', [1, 30, 200])
def test_evidence_for_all_alike_favors_none(places):
    belief = road(places)
    for _ in range(8):
        belief.look(np.ones(places), np.zeros(places))
        belief.move(AHEAD, 1.0)
    belief.look(np.ones(places), np.zeros(places))
    assert np.ptp(belief.probabilities[places // 3:places // 2 + 1]) < 1e-3


@pytest.mark.parametrize(('poses', 'spacing_m'), [
    (line(30), 1.0), (line(30) * [3, 1, 1, 1, 1, 1, 1], 3.0), (np.repeat(line(1), 9, axis=0), 1.0),
    (np.concatenate([line(20), line(20)]), 1.0),
    (np.concatenate([line(20), line(20, np.pi) + [0.3, 0, 0, 0, 0, 0, 0]]), 1.0),
], ids=['a line', 'three meters', 'one position', 'two cameras at once', 'a rear camera'])
def test_the_spacing_is_that_along_the_way(poses, spacing_m):
    belief = Belief(CONFIG, poses, np.full(len(poses), NONE))
    assert belief.spacing_m == pytest.approx(spacing_m)


def test_equal_ways_give_equal_beliefs():
    a, b = road(50), road(50)
    for belief in (a, b):
        drive(belief, range(5, 15), AHEAD)
        belief.move(None, 1.0)
        drive(belief, range(20, 30), None)
    assert a.probabilities.tobytes() == b.probabilities.tobytes()
    assert a.unknown == b.unknown


@pytest.mark.parametrize('wrong', [
    {'memory_steps': 1.0}, {'odometry_error': 0.0}, {'heading_error_rad': -1.0},
    {'max_speed_mps': float('nan')}, {'memory_steps': float('nan')}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(MapError, match=next(iter(wrong))):
        BeliefConfig(**wrong)
