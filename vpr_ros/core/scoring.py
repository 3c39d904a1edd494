# SPDX-License-Identifier: Apache-2.0
"""Outcomes against the truth: what an engineer needs to know before trusting a robot to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.core.block_bootstrap import (
    Blocks,
    blocks_of,
    Bootstrap,
    Interval,
    LEAST_BLOCKS,
    median_interval,
    share_intervals,
)
from vpr_ros.core.drive import STRIDE_M
from vpr_ros.core.frame_scores import FrameScores, RECALL_AT, score_frames
from vpr_ros.core.judged import JudgedFrame, Tolerance
from vpr_ros.core.run_report import Memory, Report
from vpr_ros.core.score_curves import decision_curve, reliability_of, retrieval_curve

__all__ = ['Bootstrap', 'JudgedFrame', 'Memory', 'Report', 'Tolerance', 'report_on', 'score']

_STOPS = ('latency', 'decode', 'describe', 'search', 'judge')


def score(frames: Sequence[JudgedFrame], places: se3.Array, tolerance: Tolerance,
          frames_without_truth: int = 0, frames_not_decoded: int = 0,
          through: str = 'in process', *, frames_dropped: int = 0, breaks: Sequence[int] = (),
          memory: Memory = Memory(), bootstrap: Bootstrap = Bootstrap()) -> Report:  # noqa: B008
    """Return the report on `frames` in the order of time.

    `places` (N, 7) are the base poses that the rows of the map stand for. `through` says in the
    protocol what the frames went through. `breaks`: rows of frames with which another recording
    begins. Raises VprError as `score_frames` does.
    """
    return report_on(score_frames(frames, places, tolerance, breaks),
                     Counter(frame.outcome.reason.value for frame in frames),
                     frames_without_truth, frames_not_decoded, through,
                     frames_dropped=frames_dropped, memory=memory, bootstrap=bootstrap)


def report_on(scores: FrameScores, reasons: Mapping[str, int], frames_without_truth: int = 0,
              frames_not_decoded: int = 0, through: str = 'in process', *,
              frames_dropped: int = 0, memory: Memory = Memory(),  # noqa: B008
              bootstrap: Bootstrap = Bootstrap()) -> Report:  # noqa: B008
    """Return the report on frames that were scored, see `score`; `reasons` counts the verdicts."""
    has_match, accepted, wrong = scores.has_match, scores.accepted, scores.wrong_fixes
    recall = {f'recall_at_{n}{suffix}': _share(scores.hits(n)[among])
              if scores.is_deep_enough(n) else None
              for n in RECALL_AT
              for suffix, among in (('', has_match), ('_of_all', np.ones_like(has_match)))}
    retrieval, decision = retrieval_curve(scores), decision_curve(scores)
    blocks = blocks_of(scores.drive, bootstrap.length_m(scores.drive, scores.tolerance.m))
    heading_error_deg = np.degrees(scores.heading_error_rad)
    wrong_stretches = _stretches(scores)
    drive = scores.drive
    first_fix_s, first_fix_m = _first_fix(scores)
    return Report(
        protocol=_protocol(scores, bootstrap, blocks, through),
        tolerance_m=scores.tolerance.m,
        tolerance_deg=scores.tolerance.deg,
        places=scores.place_count,
        frames=len(scores),
        frames_with_match=int(has_match.sum()),
        frames_without_truth=frames_without_truth,
        frames_not_decoded=frames_not_decoded,
        frames_dropped=frames_dropped,
        driven_m=drive.length_m,
        elapsed_s=drive.duration_s,
        **recall,
        retrieval_average_precision=retrieval.average_precision,
        retrieval_auc=retrieval.area,
        retrieval_recall_at_100_precision=retrieval.recall_at_precision(1.0),
        decision_average_precision=decision.average_precision,
        decision_auc=decision.area,
        decision_recall_at_100_precision=decision.recall_at_precision(1.0),
        coverage_at_95_precision=decision.coverage_at_precision(0.95),
        coverage_at_99_precision=decision.coverage_at_precision(0.99),
        accepted=int(accepted.sum()),
        wrong_fixes=int(wrong.sum()),
        wrong_stretches=wrong_stretches,
        fixes_off_map=int((accepted & ~has_match).sum()),
        precision=_share(scores.right[accepted]),
        coverage=_share(accepted[has_match]),
        coverage_of_all=_share(accepted),
        calibration_error=reliability_of(scores).error if scores.guessed.any() else None,
        position_error_m_median=_quantile(scores.position_error_m[accepted], 0.5),
        position_error_m_p95=_quantile(scores.position_error_m[accepted], 0.95),
        heading_error_deg_median=_quantile(heading_error_deg[accepted], 0.5),
        heading_error_deg_p95=_quantile(heading_error_deg[accepted], 0.95),
        first_fix_s=first_fix_s,
        first_fix_m=first_fix_m,
        wrong_fixes_per_km=_rate(int(wrong.sum()), drive.length_m / 1e3),
        wrong_fixes_per_h=_rate(int(wrong.sum()), drive.duration_s / 3600.0),
        wrong_stretches_per_km=_rate(wrong_stretches, drive.length_m / 1e3),
        **{f'{stop}_ms_p{percent}': _quantile(getattr(scores, f'{stop}_ms'), percent / 100.0)
           for stop in _STOPS for percent in (50, 95)},
        model_bytes=memory.model,
        map_bytes=memory.place_map,
        process_peak_bytes=memory.process_peak,
        interval_blocks=blocks.count,
        intervals=_intervals(scores, bootstrap, blocks),
        reasons=dict(sorted(reasons.items())),
    )


def _intervals(scores: FrameScores, bootstrap: Bootstrap, blocks: Blocks
               ) -> dict[str, Interval | None]:
    has_match, accepted = scores.has_match, scores.accepted
    shares = share_intervals(bootstrap, blocks, {
        'recall_at_1': (scores.hits(1), has_match),
        'precision': (scores.right, accepted),
        'coverage': (accepted, has_match)})
    return {**shares, 'position_error_m_median': median_interval(
        bootstrap, blocks, scores.position_error_m, accepted)}


def _protocol(scores: FrameScores, bootstrap: Bootstrap, blocks: Blocks, through: str) -> str:
    tolerance = scores.tolerance
    seen = ('none, since '
            f'the way has only {blocks.count} stretches of {blocks.length_m:.3g} m'
            if blocks.count < LEAST_BLOCKS else
            f'{bootstrap.confidence:.0%} percentile bootstrap of {bootstrap.resamples} resamples '
            f'of {blocks.count} stretches of the way, each up to {blocks.length_m:.3g} m, seed '
            f'{bootstrap.seed}; where all stretches agree, Clopper and Pearson with one trial a '
            'stretch')
    return '; '.join((
        f'a place is a positive, and a pose right, within {tolerance.m:g} m and '
        f'{tolerance.deg:g} deg of the true pose',
        'recall over the frames that have a positive (of_all: over all frames), exact search, one '
        'picture at a time',
        'retrieval curve: the best match of each frame by similarity; decision curve: the best '
        'hypothesis of each frame by probability, whatever the verdict; the recall and coverage '
        'of both over the frames that have a positive, their precision over all answers',
        'coverage at a precision: the best threshold for this run, chosen with hindsight',
        'calibration error: mean gap of ten bins of probability by their size, over the frames '
        'with a hypothesis',
        f'way: the true poses of the judged frames, motion under {STRIDE_M:g} m not counted',
        f'intervals: {seen}',
        f'latency from encoded message to verdict, {through}'))


def _stretches(scores: FrameScores) -> int:
    """Return how often a wrong pose came that did not follow a wrong pose."""
    rows = np.flatnonzero(scores.accepted)
    wrong, recording = scores.wrong_fixes[rows], scores.drive.recording[rows]
    continued = np.zeros_like(wrong)
    continued[1:] = wrong[:-1] & (recording[1:] == recording[:-1])
    return int((wrong & ~continued).sum())


def _first_fix(scores: FrameScores) -> tuple[float | None, float | None]:
    """Return seconds and metres from the first frame with a match to the first right pose."""
    right = scores.accepted & scores.right
    if not right.any():
        return None, None
    found = int(np.argmax(right))
    start = min(int(np.argmax(scores.has_match)), found)
    elapsed_s, driven_m = scores.drive.elapsed_s, scores.drive.driven_m
    return float(elapsed_s[found] - elapsed_s[start]), float(driven_m[found] - driven_m[start])


def _share(hits: NDArray[np.bool_]) -> float | None:
    return float(hits.mean()) if len(hits) else None


def _quantile(values: NDArray[np.float64], q: float) -> float | None:
    """Return the quantile of the values that are known."""
    known = values[np.isfinite(values)]
    return float(np.quantile(known, q)) if len(known) else None


def _rate(count: int, amount: float) -> float | None:
    return count / amount if amount > 0.0 else None
