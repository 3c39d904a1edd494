# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
import json
import math
import re

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.core.calibration import (
    Calibration,
    LEAST_PROBABILITY,
    precision_bound,
    threshold_for,
)
from vpr_ros.core.confidence import Confidence, Reliability
from vpr_ros.errors import MapError

MEASURED = Calibration(
    Confidence(-3.0, 0.1, 0.2, 3.0, 0.4, 0.5), 0.93, 0.98, 400, 2, 0.7,
    Reliability((0,) * 9 + (400,), (0.0,) * 9 + (0.97,), (0.0,) * 9 + (0.99,)),
    'a second run', True, {'sharpness': 1.0, 'verify': 'off', 'memory_steps': 10.0})


def frames(*groups: tuple[float, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return probability and right of groups `(probability, right, wrong)`."""
    probability = np.concatenate([np.full(right + wrong, p) for p, right, wrong in groups])
    true = np.concatenate([np.arange(right + wrong) < right for _, right, wrong in groups])
    return probability, true


@pytest.mark.parametrize(('count', 'wrong', 'bound'), [
    # With no error the bound solves p^n = 0.05; with n - 1 of n, p^n + n p^(n-1) (1-p) = 0.05.
    (59, 0, 0.05 ** (1 / 59)), (299, 0, 0.05 ** (1 / 299)), (1, 0, 0.05), (1, 1, 0.0),
    (2, 1, 1 - math.sqrt(0.95)),   # 1 - (1-p)^2 = 0.05
    (10, 1, 0.60584),              # tables of Clopper and Pearson, one-sided 95 %
])
def test_the_bound_by_hand(count, wrong, bound):
    assert float(precision_bound(count, wrong)) == pytest.approx(bound, abs=1e-4)


def test_the_bound_holds_as_often_as_it_says():
    """Of runs with a true precision of 0.97 the bound lies above it in a twentieth at most."""
    wrong = np.random.default_rng(0).binomial(200, 0.03, 20_000)
    assert np.mean(precision_bound(np.full(20_000, 200), wrong) > 0.97) <= 0.05


def test_enough_frames_without_an_error_are_a_threshold():
    """299 right ones show 0.99 with 95 %, for 0.99^299 < 0.05 < 0.99^298; 298 do not."""
    assert threshold_for(*frames((0.95, 299, 0)), 0.99) == 0.95
    with pytest.raises(MapError, match=r'needs 1 more confirmed frames without a further error'):
        threshold_for(*frames((0.95, 298, 0)), 0.99)


def test_the_lowest_threshold_that_keeps_the_precision_is_taken():
    sure, fair, poor = (0.99, 300, 0), (0.95, 300, 1), (0.91, 20, 20)
    assert threshold_for(*frames(sure, fair, poor), 0.98) == 0.95
    assert threshold_for(*frames(sure, fair, (0.91, 20, 0)), 0.98) == 0.91


def test_frames_of_one_probability_stand_or_fall_together():
    """However they are sorted: 300 right ones first would pass, all 330 do not."""
    with pytest.raises(MapError, match='30 were wrong'):
        threshold_for(*frames((0.95, 300, 30)), 0.95)


def test_no_threshold_is_below_what_anybody_would_accept():
    assert threshold_for(*frames((0.99, 300, 0), (0.2, 300, 0)), 0.9) == 0.99
    assert threshold_for(*frames((0.99, 300, 0), (0.2, 300, 0)), 0.9, least=0.1) == 0.2
    with pytest.raises(MapError, match=f'of 0 frames at or above a probability of '
                                       f'{LEAST_PROBABILITY:g}, 0 were wrong'):
        threshold_for(*frames((0.2, 300, 0)), 0.9)


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(100, 400), st.floats(0.6, 0.9), st.floats(0.0, 0.08))
def test_a_higher_precision_needs_a_higher_threshold(seed, count, precision, more):
    rng = np.random.default_rng(seed)
    probability = rng.uniform(0.9, 1.0, count).round(3)
    right = rng.uniform(size=count) < 3 * probability - 2
    try:
        higher = threshold_for(probability, right, precision + more)
    except MapError:
        higher = 1.1   # none is high enough
    try:
        lower = threshold_for(probability, right, precision)
    except MapError:
        assert higher == 1.1
        return
    lower = threshold_for(probability, right, precision)
    assert lower <= higher
    kept = probability >= lower
    assert float(precision_bound(kept.sum(), (kept & ~right).sum())) >= precision


@settings(max_examples=60)
@given(st.integers(0, 60), st.integers(0, 12), st.sampled_from([0.5, 0.8, 0.95, 0.98, 0.99]))
def test_as_many_more_frames_as_it_asks_for_do(right, wrong, precision):
    probability, true = frames((0.95, right, wrong), (0.5, 3, 3))
    try:
        threshold_for(probability, true, precision)
    except MapError as error:
        needed = int(re.search(r'it needs (\d+) more confirmed frames', str(error))[1])
        enough = frames((0.95, right + needed, wrong), (0.5, 3, 3))
        assert threshold_for(*enough, precision) == 0.95
        if wrong == 0:   # and with no error it asks for no frame too many
            with pytest.raises(MapError, match='needs 1 more'):
                threshold_for(*frames((0.95, right + needed - 1, 0)), precision)


@pytest.mark.parametrize('precision', [0.0, 0.49, 1.0, 1.5, float('nan')])
def test_a_precision_that_nobody_can_promise_is_refused(precision):
    with pytest.raises(MapError, match='at least 0.5 and below 1'):
        threshold_for(*frames((0.99, 1000, 0)), precision)


def test_nothing_shows_nothing():
    with pytest.raises(MapError, match='cannot show a precision of 0.9: of 0 frames.*29 more'):
        threshold_for(np.zeros(0), np.zeros(0, bool), 0.9)


def test_a_calibration_comes_back_through_json():
    assert Calibration.from_record(json.loads(json.dumps(MEASURED.record()))) == MEASURED
    plain = Calibration()
    assert Calibration.from_record(json.loads(json.dumps(plain.record()))) == plain


def without(key):
    return {k: v for k, v in MEASURED.record().items() if k != key}


@pytest.mark.parametrize('record', [
    None, [], 'text', {}, without('threshold'), without('confidence'), without('settings'),
    without('reliability'), {**MEASURED.record(), 'color': 'red'},
    {**MEASURED.record(), 'confidence': {'bias': 1.0}},
    {**MEASURED.record(), 'confidence': 3},
    {**MEASURED.record(), 'confidence': {**MEASURED.confidence.record(), 'bias': 'much'}},
    {**MEASURED.record(), 'reliability': [1, 2]},
    {**MEASURED.record(), 'threshold': '0.9'},
    {**MEASURED.record(), 'threshold': float('nan')},
    {**MEASURED.record(), 'threshold': 1.5},
    {**MEASURED.record(), 'settings': 5},
], ids=repr)
def test_a_record_that_is_damaged_or_of_another_version_is_refused(record):
    with pytest.raises(MapError, match=r'calibration of the map.*run vpr calibrate again'):
        Calibration.from_record(record)


def test_which_settings_differ_is_said():
    other = {**MEASURED.settings, 'sharpness': 2.0}
    assert MEASURED.unlike(MEASURED.settings) == ''
    assert MEASURED.unlike(other) == 'sharpness is 2.0, not 1.0'
    assert 'color is red, not None' in MEASURED.unlike({**other, 'color': 'red'})
    assert replace(MEASURED, settings={}).unlike({}) == ''


def test_a_calibration_holds_for_the_model_that_it_was_made_with():
    own, child = 'ab' * 32, 'cd' * 32
    assert MEASURED.unlike(MEASURED.settings, own, own) == ''
    assert (MEASURED.unlike(MEASURED.settings, child, own)
            == 'the model is cdcdcdcdcdcd, not abababababab')
    by_child = replace(MEASURED, model=child)
    assert by_child.unlike(MEASURED.settings, child, own) == ''
    assert by_child.unlike({**MEASURED.settings, 'sharpness': 2.0}, own, own) == (
        'the model is abababababab, not cdcdcdcdcdcd, sharpness is 2.0, not 1.0')


def test_the_model_is_recorded_where_it_is_not_that_of_the_map():
    assert 'model' not in MEASURED.record()     # as older versions have it
    by_child = replace(MEASURED, model='cd' * 32)
    assert Calibration.from_record(json.loads(json.dumps(by_child.record()))) == by_child
    assert Calibration.from_record(MEASURED.record()).model == ''
    with pytest.raises(MapError, match='its model is no digest'):
        Calibration.from_record({**MEASURED.record(), 'model': 3})
