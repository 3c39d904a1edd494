# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.core.scoring import JudgedFrame, score, Tolerance
from vpr_ros.core.types import Hypothesis, Match, Outcome, Reason
from vpr_ros.errors import VprError

PLACES = np.stack([se3.from_xy_yaw(float(x), 0.0, 0.0) for x in range(0, 50, 5)])


def judged(second, truth_x, ranked, fix_x=None, yaw=0.0, latency_ms=10.0):
    hypotheses = () if fix_x is None else (
        Hypothesis(0, 'map', se3.from_xy_yaw(fix_x, 0.0, yaw), np.eye(6), 0.99),)
    outcome = Outcome(second * 10**9, 'camera',
                      tuple(Match(p, 1.0 - i / 100) for i, p in enumerate(ranked)), hypotheses,
                      Reason.UNKNOWN if fix_x is None else Reason.ACCEPTED, 0.1)
    return JudgedFrame(outcome, se3.from_xy_yaw(truth_x, 0.0, 0.0), latency_ms)


# By hand: frames 0 to 3 have a place within 2 m, frame 4 (x = 1000) has none.
FRAMES = [
    judged(0, 0.0, [3, 0, 1, 2, 4, 5, 6, 7, 8, 9]),                    # its place is second
    judged(1, 5.0, [1, 0, 2, 3, 4, 5], fix_x=5.5),         # first, right by 0.5 m
    judged(2, 10.5, [9, 8, 7, 6, 5, 2], fix_x=30.0),       # sixth, wrong by 19.5 m
    judged(3, 15.0, [9, 8, 7, 6, 5, 4]),                   # not among the six
    judged(4, 1000.0, [0, 1, 2, 3, 4, 5], fix_x=3.0),      # nowhere in the map, wrong
]


def test_numbers_agree_with_a_count_by_hand():
    report = score(FRAMES, PLACES, Tolerance(2.0, 45.0), 7, 3)
    assert (report.frames, report.frames_with_match) == (5, 4)
    assert (report.frames_without_truth, report.frames_not_decoded) == (7, 3)
    assert report.recall_at_1 == pytest.approx(1 / 4)
    assert report.recall_at_5 == pytest.approx(2 / 4)
    assert report.recall_at_10 == pytest.approx(3 / 4)
    assert report.recall_at_1_of_all == pytest.approx(1 / 5)
    assert (report.accepted, report.wrong_fixes, report.fixes_off_map) == (3, 2, 1)
    assert report.precision == pytest.approx(1 / 3)
    assert report.coverage == pytest.approx(2 / 4)
    assert report.position_error_m_median == pytest.approx(19.5)
    assert report.first_fix_s == pytest.approx(1.0)
    assert report.latency_ms_p50 == pytest.approx(10.0)
    assert report.calibration_error == pytest.approx(0.99 - 1 / 3)   # three said .99, one right
    assert report.reasons == {'accepted': 3, 'unknown': 2}


def test_heading_counts():
    turned = judged(0, 5.0, [1], fix_x=5.0, yaw=np.pi / 2)
    assert score([turned], PLACES, Tolerance(2.0, 45.0)).wrong_fixes == 1
    assert score([turned], PLACES, Tolerance(2.0, 100.0)).wrong_fixes == 0
    assert score([turned], PLACES, Tolerance()).heading_error_deg_median == pytest.approx(90.0)


def test_what_divides_by_nothing_is_none():
    report = score([judged(0, 1000.0, [0])], PLACES, Tolerance())
    assert report.recall_at_1 is None
    assert report.precision is None
    assert report.coverage is None
    assert report.first_fix_s is None
    assert json.loads(report.to_json())['position_error_m_median'] is None


def test_the_protocol_is_said():
    assert 'within 2 m and 45 deg' in score(FRAMES, PLACES, Tolerance()).protocol


def test_tolerances_must_be_positive():
    with pytest.raises(VprError, match='--tolerance-m'):
        Tolerance(m=0.0)
