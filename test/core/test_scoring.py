# SPDX-License-Identifier: Apache-2.0
from dataclasses import asdict, replace
import json
from pathlib import Path
import re

import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.core.run_report import Memory, Report
from vpr_ros.core.scoring import Bootstrap, JudgedFrame, score, Tolerance
from vpr_ros.core.types import Hypothesis, Match, Outcome, Reason, Timing
from vpr_ros.errors import VprError

PLACES = np.stack([se3.from_xy_yaw(float(x), 0.0, 0.0) for x in range(0, 50, 5)])


def judged(second, truth_x, ranked, fix_x=None, yaw=0.0, latency_ms=10.0, probability=0.99,
           similarity=1.0, accepted=True, timing=None, decode_ms=None):
    """Return a frame: where it was, the places in the order of likeness, and its pose."""
    hypotheses = () if fix_x is None else (
        Hypothesis(0, 'map', se3.from_xy_yaw(fix_x, 0.0, yaw), np.eye(6), probability),)
    reason = Reason.UNKNOWN if fix_x is None else Reason.ACCEPTED if accepted else Reason.WEAK
    outcome = Outcome(int(second * 10**9), 'camera',
                      tuple(Match(p, similarity - i / 100) for i, p in enumerate(ranked)),
                      hypotheses, reason, 0.1)
    if timing is not None:
        outcome = replace(outcome, timing=timing)
    return JudgedFrame(outcome, se3.from_xy_yaw(truth_x, 0.0, 0.0), latency_ms, decode_ms)


# By hand: frames 0 to 3 have a place within 2 m, frame 4 (x = 1000) has none.
FRAMES = [
    judged(0, 0.0, [3, 0, 1, 2, 4, 5, 6, 7, 8, 9]),        # its place is second
    judged(1, 5.0, [1, 0, 2, 3, 4, 5], fix_x=5.5),         # first, right by 0.5 m
    judged(2, 10.5, [9, 8, 7, 6, 5, 2], fix_x=30.0),       # sixth, wrong by 19.5 m
    judged(3, 15.0, [9, 8, 7, 6, 5, 4]),                   # not among the six
    judged(4, 1000.0, [0, 1, 2, 3, 4, 5], fix_x=3.0),      # nowhere in the map, wrong
]


def test_numbers_agree_with_a_count_by_hand():
    report = score(FRAMES, PLACES, Tolerance(2.0, 45.0), 7, 3, frames_dropped=2)
    assert (report.frames, report.frames_with_match, report.places) == (5, 4, 10)
    assert (report.frames_without_truth, report.frames_not_decoded) == (7, 3)
    assert report.frames_dropped == 2
    assert report.recall_at_1 == pytest.approx(1 / 4)
    assert report.recall_at_5 == pytest.approx(2 / 4)
    assert report.recall_at_10 == pytest.approx(3 / 4)
    assert report.recall_at_20 == pytest.approx(3 / 4)      # of ten places, ten are all
    assert report.recall_at_1_of_all == pytest.approx(1 / 5)
    assert report.recall_at_10_of_all == pytest.approx(3 / 5)
    assert (report.accepted, report.wrong_fixes, report.fixes_off_map) == (3, 2, 1)
    assert report.precision == pytest.approx(1 / 3)
    assert report.coverage == pytest.approx(2 / 4)
    assert report.coverage_of_all == pytest.approx(3 / 5)
    assert report.position_error_m_median == pytest.approx(19.5)
    assert report.first_fix_s == pytest.approx(1.0)
    assert report.first_fix_m == pytest.approx(5.0)
    assert report.driven_m == pytest.approx(1000.0)
    assert report.elapsed_s == pytest.approx(4.0)
    assert report.wrong_fixes_per_km == pytest.approx(2.0)
    assert report.wrong_fixes_per_h == pytest.approx(2 * 900)
    assert report.wrong_stretches == 1                       # two in a row
    assert report.wrong_stretches_per_km == pytest.approx(1.0)
    assert report.latency_ms_p50 == pytest.approx(10.0)
    assert report.calibration_error == pytest.approx(0.99 - 1 / 3)   # three said .99, one right
    assert report.reasons == {'accepted': 3, 'unknown': 2}


# By hand: five frames with a match and one without; matches and hypotheses in another order.
RANKED = [
    judged(0, 0.0, [0], 0.0, similarity=0.5, probability=0.9),               # right, right
    judged(1, 5.0, [1], 5.0, similarity=0.9, probability=0.8),               # right, right
    judged(2, 10.0, [9], 10.0, similarity=0.8, probability=0.7, accepted=False),   # wrong, right
    judged(3, 15.0, [3], 45.0, similarity=0.7, probability=0.6),             # right, wrong
    judged(4, 20.0, [4], similarity=0.6),                                    # right, none
    judged(5, 200.0, [5], 25.0, similarity=0.2, probability=0.95, accepted=False),  # off the map
]


def test_what_looks_alike_and_what_is_believed_are_kept_apart():
    report = score(RANKED, PLACES, Tolerance())
    # By similarity: right, wrong, right, right, right, wrong (off the map).
    assert report.retrieval_recall_at_100_precision == pytest.approx(1 / 5)
    assert report.retrieval_average_precision == pytest.approx((1 + 2 / 3 + 3 / 4 + 4 / 5) / 5)
    assert report.retrieval_auc == pytest.approx(
        (1 + (1 / 2 + 2 / 3) / 2 + (2 / 3 + 3 / 4) / 2 + (3 / 4 + 4 / 5) / 2) / 5)
    # By probability: off the map first, then right, right, right, wrong.
    assert report.decision_recall_at_100_precision == 0.0
    assert report.decision_average_precision == pytest.approx((1 / 2 + 2 / 3 + 3 / 4) / 5)
    assert report.coverage_at_95_precision == report.coverage_at_99_precision == 0.0
    on_map = score(RANKED[:-1], PLACES, Tolerance())
    assert on_map.coverage_at_95_precision == pytest.approx(3 / 5)
    assert on_map.decision_recall_at_100_precision == pytest.approx(3 / 5)


def test_wrong_stretches_end_with_a_right_pose_or_a_recording():
    wrong, right, silent = 30.0, 0.0, None
    run = [judged(second, 0.0, [0], fix_x) for second, fix_x in enumerate(
        [wrong, silent, wrong, right, wrong, wrong])]
    assert score(run, PLACES, Tolerance()).wrong_stretches == 2
    assert score(run, PLACES, Tolerance(), breaks=[5]).wrong_stretches == 3
    assert score(run, PLACES, Tolerance(), breaks=[2]).wrong_stretches == 3


def test_the_first_fix_counts_from_the_first_match_and_waits_for_a_pose():
    run = [judged(0, 100.0, [0]), judged(1, 45.0, [9]),
           judged(2, 40.0, [8], 40.0, accepted=False), judged(3, 35.0, [7], 35.0)]
    report = score(run, PLACES, Tolerance())
    assert (report.first_fix_s, report.first_fix_m) == pytest.approx((2.0, 10.0))
    # Right between two places, before any place is near enough to be a match.
    early = [judged(0, 2.5, [0], 2.5), judged(1, 5.0, [1], 5.0)]
    report = score(early, PLACES, Tolerance())
    assert report.frames_with_match == 1
    assert report.first_fix_s == report.first_fix_m == 0.0


def test_heading_counts():
    turned = judged(0, 5.0, [1], fix_x=5.0, yaw=np.pi / 2)
    assert score([turned], PLACES, Tolerance(2.0, 45.0)).wrong_fixes == 1
    assert score([turned], PLACES, Tolerance(2.0, 100.0)).wrong_fixes == 0
    assert score([turned], PLACES, Tolerance()).heading_error_deg_median == pytest.approx(90.0)


def numbers_that_are_none(report):
    return {name for name, value in asdict(report).items() if value is None}


def test_what_divides_by_nothing_is_none():
    report = score([judged(0, 1000.0, range(10))], PLACES, Tolerance())
    assert {'recall_at_1', 'precision', 'coverage', 'first_fix_s', 'first_fix_m',
            'retrieval_average_precision', 'retrieval_auc', 'decision_auc',
            'coverage_at_99_precision', 'calibration_error', 'position_error_m_median',
            'wrong_fixes_per_km', 'wrong_fixes_per_h'} <= numbers_that_are_none(report)
    assert report.recall_at_1_of_all == 0.0
    assert report.coverage_of_all == 0.0
    assert set(report.intervals.values()) == {None}
    assert json.loads(report.to_json())['position_error_m_median'] is None


def test_no_frames_at_all():
    report = score([], PLACES, Tolerance())
    assert report.frames == 0
    assert report.recall_at_1_of_all is report.latency_ms_p50 is None
    assert report.driven_m == 0.0


def test_one_query_that_is_right():
    report = score([judged(0, 5.0, range(1, 10), 5.0)], PLACES, Tolerance())
    assert report.recall_at_1 == report.precision == report.coverage == 1.0
    assert report.retrieval_average_precision == report.decision_auc == 1.0
    assert report.first_fix_s == report.first_fix_m == 0.0
    assert report.wrong_fixes_per_km is None


def test_all_accepted_are_wrong():
    report = score([judged(s, 5.0 * s, [0], 49.0) for s in range(6)], PLACES, Tolerance())
    assert report.precision == report.decision_average_precision == 0.0
    assert report.coverage == 1.0
    assert report.coverage_at_95_precision == 0.0
    assert report.first_fix_s is None
    assert report.wrong_fixes_per_km == pytest.approx(6 / 0.025)


def test_standing_still_drives_no_kilometre():
    report = score([judged(s, 5.0, [1], 49.0) for s in range(100)], PLACES, Tolerance())
    assert report.driven_m == 0.0
    assert report.wrong_fixes_per_km is report.wrong_stretches_per_km is None
    assert report.wrong_fixes_per_h == pytest.approx(100 / 99 * 3600)
    assert set(report.intervals.values()) == {None}
    assert 'intervals: none, since the way has only 1 stretch' in report.protocol


def test_recall_is_not_claimed_beyond_what_was_listed():
    report = score([judged(0, 5.0, [1, 2, 3])], PLACES, Tolerance())
    assert report.recall_at_1 == 1.0
    assert report.recall_at_5 is report.recall_at_10_of_all is None


def test_a_break_costs_neither_way_nor_time():
    run = [judged(0, 0.0, [0]), judged(1, 5.0, [1]), judged(10**6, 45.0, [9]),
           judged(10**6 + 1, 40.0, [8], 40.0)]
    report = score(run, PLACES, Tolerance(), breaks=[2])
    assert (report.driven_m, report.elapsed_s) == pytest.approx((10.0, 2.0))
    assert (report.first_fix_m, report.first_fix_s) == pytest.approx((10.0, 2.0))
    run[2] = replace(run[2], outcome=replace(run[2].outcome, restarted=True))
    assert score(run, PLACES, Tolerance()).elapsed_s == pytest.approx(2.0)


def test_milliseconds_by_stop_leave_out_what_nobody_measured():
    run = [judged(s, 5.0, [1], timing=Timing(10.0 + s, 2.0, 3.0), decode_ms=1.0 + s)
           for s in range(3)] + [judged(3, 5.0, [1])]
    report = score(run, PLACES, Tolerance(), memory=Memory(1, 2, 3))
    assert (report.describe_ms_p50, report.describe_ms_p95) == pytest.approx((11.0, 11.9))
    assert (report.search_ms_p50, report.judge_ms_p95) == (2.0, 3.0)
    assert report.decode_ms_p50 == pytest.approx(2.0)
    assert (report.model_bytes, report.map_bytes, report.process_peak_bytes) == (1, 2, 3)
    unknown = score(FRAMES, PLACES, Tolerance())
    assert {'decode_ms_p50', 'describe_ms_p95', 'search_ms_p50', 'judge_ms_p50', 'model_bytes',
            'map_bytes', 'process_peak_bytes'} <= numbers_that_are_none(unknown)


def test_intervals_hold_the_numbers_that_they_name():
    rng = np.random.default_rng(0)
    run = [judged(s, s * 0.2, [min(round(s * 0.2 / 5), 9) if rng.random() < 0.8 else 0],
                  s * 0.2 + rng.normal(0, 0.5) + 20.0 * (rng.random() < 0.1))
           for s in range(220)]
    report = score(run, PLACES, Tolerance(2.0), bootstrap=Bootstrap(block_m=2.0))
    assert report.interval_blocks == 22
    assert set(report.intervals) == {'recall_at_1', 'precision', 'coverage',
                                     'position_error_m_median'}
    for name, (low, high) in report.intervals.items():
        assert low <= getattr(report, name) <= high, name
    silent = score([replace(frame, outcome=replace(frame.outcome, reason=Reason.WEAK))
                    if row % 2 else frame for row, frame in enumerate(run)], PLACES, Tolerance())
    assert silent.intervals['coverage'][0] <= silent.coverage <= silent.intervals['coverage'][1]
    assert silent.coverage < 0.6
    assert '22 stretches of the way, each up to 2 m, seed 0' in report.protocol


def test_the_order_of_frames_matters_only_to_time():
    run = RANKED + FRAMES
    here, there = (score(frames, PLACES, Tolerance()) for frames in (run, run[::-1]))
    of_time = {'driven_m', 'elapsed_s', 'first_fix_s', 'first_fix_m', 'wrong_stretches',
               'interval_blocks', 'intervals', 'protocol'}
    for name, value in asdict(here).items():
        if name not in of_time and '_per_' not in name:
            assert getattr(there, name) == pytest.approx(value), name


def test_recall_grows_with_the_list():
    rng = np.random.default_rng(0)
    run = [judged(s, rng.uniform(0, 50), rng.permutation(10)) for s in range(200)]
    report = score(run, PLACES, Tolerance())
    recalls = [getattr(report, f'recall_at_{n}') for n in (1, 5, 10, 20)]
    assert recalls == sorted(recalls)
    assert recalls[2] == recalls[3] == 1.0     # all places are listed
    assert report.retrieval_average_precision <= report.recall_at_1


@pytest.mark.parametrize(('frame', 'said'), [
    (judged(5, np.nan, [1]), r'true pose 5 \(stamp 5000000000 ns\)'),
    (judged(5, 0.0, [1], fix_x=np.inf), 'hypothesis 3'),
    (judged(5, 0.0, [12]), 'place 12, but the map has 10'),
    (judged(5, 0.0, [-1]), 'matches of frame 5 are damaged'),
    (judged(5, 0.0, [1], similarity=np.nan), 'matches of frame 5 are damaged'),
    (judged(5, 0.0, [1], 0.0, probability=np.nan), 'probability of frame 5 is nan'),
])
def test_damage_is_refused(frame, said):
    with pytest.raises(VprError, match=said):
        score([*FRAMES, frame], PLACES, Tolerance())


def test_a_map_with_nan_is_refused():
    with pytest.raises(VprError, match='place 3; '):
        score(FRAMES, np.where(np.arange(10)[:, None] == 3, np.nan, PLACES), Tolerance())


def test_the_protocol_is_said():
    report = score(FRAMES, PLACES, Tolerance(), through='by the node')
    assert 'within 2 m and 45 deg' in report.protocol
    assert report.protocol.endswith('verdict, by the node')


def test_a_report_comes_back_from_its_file():
    report = score(RANKED, PLACES, Tolerance(), bootstrap=Bootstrap(block_m=0.5))
    assert Report.from_json(report.to_json()) == report
    with pytest.raises(VprError, match=r'no report of this version \(precision\)'):
        Report.from_json(json.dumps({name: value for name, value in asdict(report).items()
                                     if name != 'precision'}))
    with pytest.raises(VprError, match='no report of this version'):
        Report.from_json('[]')


def test_every_number_is_explained():
    assert all(Report.meanings().values())
    assert set(Report.meanings()) == set(asdict(score(FRAMES, PLACES, Tolerance())))


def test_the_docs_name_every_number():
    text = (Path(__file__).parents[2] / 'docs' / 'metrics.md').read_text()
    named = set(re.findall(r'`(\w+)`', text))
    assert set(Report.meanings()) - named == set()


def test_tolerances_must_be_positive():
    with pytest.raises(VprError, match='--tolerance-m'):
        Tolerance(m=0.0)
    with pytest.raises(VprError, match='--tolerance-deg'):
        Tolerance(deg=float('nan'))
