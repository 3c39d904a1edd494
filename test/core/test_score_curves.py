# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, strategies as st
import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.core.frame_scores import score_frames
from vpr_ros.core.judged import JudgedFrame, Tolerance
from vpr_ros.core.score_curves import Curves, curves_of, decision_curve, MOST_POINTS, thinned
from vpr_ros.core.types import Hypothesis, Match, Outcome, Reason
from vpr_ros.errors import VprError

PLACES = np.stack([se3.from_xy_yaw(float(x), 0.0, 0.0) for x in range(100)])


def run(count, seed=0):
    rng = np.random.default_rng(seed)
    frames = []
    for second in range(count):
        x = rng.uniform(0, 99)
        sure = rng.random()
        pose = se3.from_xy_yaw(x + rng.normal(0, 0.5) + 40 * (rng.random() > sure), 0.0, 0.0)
        frames.append(JudgedFrame(Outcome(
            second * 10**9, 'camera', (Match(int(rng.integers(100)), rng.random()),),
            (Hypothesis(0, 'map', pose, np.eye(6), sure),),
            Reason.ACCEPTED if sure > 0.5 else Reason.WEAK, 0.1), se3.from_xy_yaw(x, 0, 0), 1.0))
    return frames


def curves(count):
    return curves_of(score_frames(run(count), PLACES, Tolerance()))


def test_a_long_run_is_drawn_with_few_points():
    scores = score_frames(run(5000), PLACES, Tolerance())
    whole, drawn = decision_curve(scores), curves_of(scores).decision
    assert 100 < len(drawn.precision) <= MOST_POINTS < len(whole.precision)
    assert drawn.threshold[0] == pytest.approx(whole.threshold[0], abs=1e-6)
    assert drawn.coverage[-1] == pytest.approx(whole.coverage[-1], abs=1e-6)
    assert min(drawn.precision) == pytest.approx(whole.precision.min(), abs=1e-6)
    assert max(drawn.precision) == pytest.approx(whole.precision.max(), abs=1e-6)
    assert list(drawn.coverage) == sorted(drawn.coverage)
    for precision in (1.0, 0.99, 0.95):
        best = max((c for c, p in zip(drawn.coverage, drawn.precision, strict=True)
                    if p >= precision - 5e-7), default=0.0)
        assert best == pytest.approx(whole.coverage_at_precision(precision), abs=1e-6)


def test_errors_end_with_the_worst_of_the_accepted():
    scores = score_frames(run(3000), PLACES, Tolerance())
    accepted = scores.position_error_m[scores.accepted]
    curve = curves_of(scores).position_error_m
    assert len(curve.error) <= MOST_POINTS
    assert curve.error[0] == pytest.approx(accepted.min(), abs=1e-6)
    assert (curve.error[-1], curve.share[-1]) == pytest.approx((accepted.max(), 1.0), abs=1e-6)
    for error, share in zip(curve.error[::50], curve.share[::50], strict=True):
        assert (accepted <= error + 1e-6).mean() == pytest.approx(share, abs=1e-3)


def test_a_short_run_is_drawn_whole():
    scores = score_frames(run(30), PLACES, Tolerance())
    drawn = curves_of(scores)
    assert drawn.decision.precision == pytest.approx(decision_curve(scores).precision, abs=1e-6)
    assert len(drawn.position_error_m.error) == scores.accepted.sum()
    assert drawn.operating == pytest.approx((scores.accepted.mean(),
                                             scores.right[scores.accepted].mean()))
    assert sum(drawn.reliability.count) == 30


def test_nothing_makes_empty_curves():
    drawn = curves(0)
    assert drawn.decision.precision == ()
    assert drawn.position_error_m.error == ()
    assert drawn.operating is None


@pytest.mark.parametrize('count', [0, 1, 700])
def test_curves_come_back_from_their_file(count):
    drawn = curves(count)
    assert Curves.from_json(drawn.to_json()) == drawn
    with pytest.raises(VprError, match='no curves of this version'):
        Curves.from_json('{}')


@given(st.lists(st.floats(0, 1), max_size=300), st.sampled_from([8, 20, 50]))
def test_thinning_keeps_ends_and_peaks(values, most):
    numbers = np.array(values)
    rows = thinned(numbers, most)
    assert len(rows) <= max(most, 0)
    assert (np.diff(rows) > 0).all()
    if values:
        assert rows[0] == 0
        assert rows[-1] == len(values) - 1
        assert numbers[rows].max() == numbers.max()
        assert numbers[rows].min() == numbers.min()
        # The last point that is as high as any: there a promise ends.
        assert np.flatnonzero(numbers == numbers.max())[-1] in rows
