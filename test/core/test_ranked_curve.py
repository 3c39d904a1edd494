# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, strategies as st
import numpy as np
import pytest

from vpr_ros.core.ranked_curve import ranked_curve

# By hand: five frames have a match; one of them gets no answer, and one answer is off the map.
#   value  right  match   of the answers so far: precision  recall  coverage
#    .9     yes    yes                             1/1        1/5     1/5
#    .8     yes    yes                             2/2        2/5     2/5
#    .7     no     no                              2/3        2/5     2/5
#    .6     yes    yes   } equal:                  3/5        3/5     4/5
#    .6     no     yes   }
VALUE = np.array([0.6, 0.9, 0.7, 0.8, 0.6])
RIGHT = np.array([True, True, False, True, False])
MATCH = np.array([True, True, False, True, True])


def test_a_curve_by_hand():
    curve = ranked_curve(VALUE, RIGHT, MATCH, 5)
    assert curve.threshold.tolist() == [0.9, 0.8, 0.7, 0.6]
    assert curve.precision == pytest.approx([1, 1, 2 / 3, 3 / 5])
    assert curve.recall == pytest.approx([1 / 5, 2 / 5, 2 / 5, 3 / 5])
    assert curve.coverage == pytest.approx([1 / 5, 2 / 5, 2 / 5, 4 / 5])
    assert curve.average_precision == pytest.approx(1 / 5 + 1 / 5 + 1 / 5 * 3 / 5)
    assert curve.area == pytest.approx(1 / 5 + 1 / 5 + 1 / 5 * (2 / 3 + 3 / 5) / 2)
    assert curve.recall_at_precision(1.0) == pytest.approx(2 / 5)
    assert curve.coverage_at_precision(0.6) == pytest.approx(4 / 5)
    assert curve.coverage_at_precision(0.61) == pytest.approx(2 / 5)


def test_a_precision_is_found_again_after_a_dip():
    # The best answer is wrong: right from then on, precision climbs to 99 of 100.
    value = np.linspace(1.0, 0.0, 100)
    right = np.arange(100) > 0
    curve = ranked_curve(value, right, np.ones(100, bool), 100)
    assert curve.recall_at_precision(1.0) == 0.0
    assert curve.coverage_at_precision(0.99) == 1.0      # 99/100 is 0.99, not a little less
    assert curve.coverage_at_precision(0.95) == 1.0


def test_a_right_answer_between_the_places_counts_for_precision_alone():
    # The second answer is right, though no place of the map is near enough to be its positive.
    curve = ranked_curve(np.array([0.9, 0.8]), np.array([True, True]), np.array([True, False]), 2)
    assert curve.precision.tolist() == [1.0, 1.0]
    assert curve.recall.tolist() == curve.coverage.tolist() == [0.5, 0.5]


def test_no_frames_with_a_match_have_no_curve():
    curve = ranked_curve(VALUE, np.zeros(5, bool), np.zeros(5, bool), 0)
    assert len(curve.precision) == 0
    assert curve.average_precision is curve.area is None
    assert curve.recall_at_precision(1.0) is curve.coverage_at_precision(0.9) is None


def test_no_answers_cover_nothing():
    curve = ranked_curve(np.zeros(0), np.zeros(0, bool), np.zeros(0, bool), 3)
    assert curve.average_precision == 0.0
    assert curve.area == 0.0
    assert curve.coverage_at_precision(0.99) == 0.0


answers = st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.25, 0.5, 0.75, 0.9, 1.0]),
                             st.booleans(), st.booleans()), min_size=1, max_size=40)


@given(answers)
def test_as_scikit_learn_counts(listed):
    metrics = pytest.importorskip('sklearn.metrics', reason='compared with scikit-learn')
    value, right, _ = map(np.array, zip(*listed, strict=True))
    if not right.any():
        return
    curve = ranked_curve(value, right, right, int(right.sum()))   # each right one has a match
    precision, recall, threshold = metrics.precision_recall_curve(right, value)
    assert curve.threshold[::-1] == pytest.approx(threshold)
    assert curve.precision[::-1] == pytest.approx(precision[:-1])
    assert curve.recall[::-1] == pytest.approx(recall[:-1])
    assert curve.average_precision == pytest.approx(metrics.average_precision_score(right, value))
    assert curve.area == pytest.approx(metrics.auc(recall, precision))
    # Frames with a match that are never right scale the recall, and nothing else.
    more = ranked_curve(value, right, right, 3 * int(right.sum()))
    assert more.average_precision == pytest.approx(curve.average_precision / 3)


@given(answers, st.integers(0, 5), st.randoms())
def test_curves_are_sound(listed, unanswered, random):
    value, right, match = map(np.array, zip(*listed, strict=True))
    right &= match
    total = int(match.sum()) + unanswered
    curve = ranked_curve(value, right, match, total)
    assert (np.diff(curve.threshold) < 0).all()
    assert (np.diff(curve.recall) >= 0).all()
    assert (np.diff(curve.coverage) >= 0).all()
    assert (curve.recall <= curve.coverage).all()
    assert ((curve.precision >= 0) & (curve.precision <= 1)).all()
    if total:
        assert 0.0 <= curve.average_precision <= 1.0
        steps = [curve.coverage_at_precision(p) for p in (1.0, 0.99, 0.95, 0.5, 0.0)]
        assert steps == sorted(steps)
        assert steps[-1] == pytest.approx(match.sum() / total)
        assert curve.recall_at_precision(0.9) <= curve.coverage_at_precision(0.9)
    order = list(range(len(listed)))
    random.shuffle(order)
    again = ranked_curve(value[order], right[order], match[order], total)
    assert again.precision == pytest.approx(curve.precision)
    assert again.coverage == pytest.approx(curve.coverage)
