# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, settings, strategies as st
import pytest

from vpr_ros.ros.initialpose_watch import InitialposeWatch, Patience, State

PATIENCE = Patience(settle_s=5.0, tries=3, backoff_s=2.0)


@pytest.fixture
def watch():
    """One that has sent at 0 s."""
    watch = InitialposeWatch(PATIENCE)
    assert watch.is_due(0.0)
    watch.sent(0.0)
    assert not watch.is_due(100.0)
    return watch


def test_what_stays_near_until_the_end_has_settled(watch):
    watch.answered(True, 1.0)
    watch.look(4.9, True)
    assert watch.state is State.WATCHED
    assert watch.wait_s(4.0) == pytest.approx(1.0)
    watch.look(5.0, True)
    assert watch.state is State.SETTLED


def test_the_echo_of_what_was_sent_is_no_agreement(watch):
    watch.answered(True, 1.0)
    watch.answered(False, 4.0)  # what its own sensors say
    watch.look(5.0, True)
    assert watch.state is State.WAITING


def test_what_comes_late_within_the_time_counts(watch):
    watch.answered(False, 1.0)
    watch.answered(True, 4.9)
    watch.look(9.0, True)
    assert watch.state is State.SETTLED


def test_each_wait_is_twice_the_one_before_until_it_gives_up(watch):
    waits, now_s = [], 0.0
    while watch.state is not State.GIVEN_UP:
        now_s += PATIENCE.settle_s
        watch.answered(False, now_s)
        watch.look(now_s, True)
        if watch.state is State.WAITING:
            waits.append(watch.wait_s(now_s))
            assert not watch.is_due(now_s + waits[-1] - 0.01)
            now_s += waits[-1]
            assert watch.is_due(now_s)
            watch.sent(now_s)
    assert waits == [2.0, 4.0]
    assert watch.sends == 3
    assert not watch.is_due(now_s + 1e9)


def test_nobody_there_is_no_reason_to_send_again(watch):
    watch.look(5.0, False)
    assert watch.state is State.UNANSWERED
    watch.look(1e6, False)
    assert not watch.is_due(1e6)


def test_who_is_there_and_silent_may_have_dropped_it(watch):
    watch.look(5.0, True)
    assert watch.state is State.WAITING


def test_who_comes_up_later_gets_another(watch):
    watch.look(5.0, False)
    watch.look(60.0, True)
    assert watch.state is State.WAITING
    assert watch.wait_s(60.0) == 2.0


@pytest.mark.parametrize(('near', 'state'), [(True, State.SETTLED), (False, State.WAITING)])
def test_an_answer_after_nobody_was_there_is_heard(watch, near, state):
    watch.look(5.0, False)
    watch.answered(near, 60.0)
    assert watch.state is state


@pytest.mark.parametrize('tries', [1, 3])
def test_who_settles_while_it_waits_or_has_given_up_has_settled(tries):
    watch = InitialposeWatch(Patience(5.0, tries, 2.0))
    watch.sent(0.0)
    watch.answered(False, 1.0)
    watch.look(5.0, True)
    assert watch.state is (State.GIVEN_UP if tries == 1 else State.WAITING)
    watch.answered(False, 5.5)
    assert watch.state is not State.SETTLED
    watch.answered(True, 6.0)
    assert watch.state is State.SETTLED
    watch.answered(False, 7.0)  # from here on it is the business of ~/disagreement
    assert watch.state is State.SETTLED


def test_answers_before_anything_was_sent_say_nothing():
    watch = InitialposeWatch(PATIENCE)
    watch.answered(True, 1.0)
    watch.look(2.0, True)
    assert watch.state is State.DUE


def test_rearmed_it_begins_anew(watch):
    watch.answered(False, 1.0)
    watch.look(5.0, True)
    watch.rearm()
    assert watch.is_due(5.0)
    assert watch.sends == 0


MOVES = st.lists(st.tuples(
    st.sampled_from(['offer', 'near', 'far', 'there', 'absent']),
    st.floats(0.0, 50.0)), max_size=200)


@settings(max_examples=300, deadline=None)
@given(MOVES, st.integers(1, 6), st.floats(0.0, 20.0), st.floats(0.0, 20.0))
def test_never_more_sends_than_allowed_and_no_wait_shorter_than_the_last(
        moves, tries, settle_s, backoff_s):
    watch = InitialposeWatch(Patience(settle_s, tries, backoff_s))
    now_s, sends_s = 0.0, []
    for move, later_s in moves:
        now_s += later_s
        if move == 'offer' and watch.is_due(now_s):
            watch.sent(now_s)
            sends_s.append(now_s)
        elif move in ('near', 'far'):
            watch.answered(move == 'near', now_s)
        elif move in ('there', 'absent'):
            before = watch.state
            watch.look(now_s, move == 'there')
            if watch.state is State.WAITING and before is not State.WAITING:
                waited = watch.wait_s(now_s)
                assert waited == pytest.approx(backoff_s * 2 ** (watch.sends - 1))
        assert watch.sends <= tries
        assert watch.wait_s(now_s) >= 0.0
    assert len(sends_s) <= tries
    # Two sends are never closer than the least wait that lies between them.
    for number in range(1, len(sends_s)):
        assert sends_s[number] - sends_s[number - 1] >= backoff_s * 2**(number - 1) - 1e-6
