# SPDX-License-Identifier: Apache-2.0
"""Outcomes against the truth: what an engineer needs to know before trusting a robot to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
import json

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.core.confidence import reliability
from vpr_ros.core.types import Outcome
from vpr_ros.errors import VprError

RECALL_AT = (1, 5, 10)


@dataclass(frozen=True)
class Tolerance:
    """How near is right."""

    m: float = 2.0
    deg: float = 45.0

    def __post_init__(self) -> None:
        if self.m <= 0.0 or self.deg <= 0.0:
            raise VprError('tolerances must be positive; see --tolerance-m and --tolerance-deg')

    def holds(self, a: se3.Array, b: se3.Array) -> NDArray[np.bool_]:
        """Say which poses of `a` are near those of `b` (they broadcast)."""
        near: NDArray[np.bool_] = ((se3.distance_m(a, b) <= self.m)
                                   & (se3.angle_rad(a, b) <= np.radians(self.deg)))
        return near


@dataclass(frozen=True, eq=False)
class JudgedFrame:
    """An outcome, the true `map_from_base` (7,), and what it cost."""

    outcome: Outcome
    truth: se3.Array
    latency_ms: float

    def errors(self) -> tuple[float, float]:
        """Return metres and radians between the best hypothesis and the truth; NaN without one."""
        if not self.outcome.hypotheses:
            return float('nan'), float('nan')
        best = self.outcome.hypotheses[0].pose
        return float(se3.distance_m(best, self.truth)), float(se3.angle_rad(best, self.truth))


@dataclass(frozen=True)
class Report:
    """The numbers of one run; a share that divides by nothing is None.

    `frames`: frames with a known true pose. `frames_with_match`: those for which the map holds a
    place within the tolerance of the truth (a *positive*). `recall_at_N`: share of
    `frames_with_match` with a positive among the N most similar places, from the picture alone;
    `recall_at_N_of_all` divides by `frames` instead. `accepted`: frames that got a pose.
    `wrong_fixes`: accepted poses beyond the tolerance. `precision`: right share of the accepted.
    `coverage`: accepted share of `frames_with_match`. Errors are of accepted poses.
    `calibration_error`: mean gap between the probability of the best hypothesis and how often it
    is right, over ten bins of probability by their size; of all frames with a hypothesis.
    `first_fix_s`: from the first frame with a match to the first right pose. Latency: from the
    encoded message to the verdict, one frame at a time.
    """

    protocol: str
    frames: int
    frames_with_match: int
    frames_without_truth: int
    frames_not_decoded: int
    recall_at_1: float | None
    recall_at_5: float | None
    recall_at_10: float | None
    recall_at_1_of_all: float | None
    recall_at_5_of_all: float | None
    recall_at_10_of_all: float | None
    accepted: int
    wrong_fixes: int
    fixes_off_map: int
    precision: float | None
    coverage: float | None
    calibration_error: float | None
    position_error_m_median: float | None
    position_error_m_p95: float | None
    heading_error_deg_median: float | None
    heading_error_deg_p95: float | None
    first_fix_s: float | None
    latency_ms_p50: float | None
    latency_ms_p95: float | None
    reasons: dict[str, int]

    def to_json(self) -> str:
        """Return the text of `report.json`."""
        return json.dumps(asdict(self), indent=2) + '\n'


def score(frames: Sequence[JudgedFrame], places: se3.Array, tolerance: Tolerance,
          frames_without_truth: int = 0, frames_not_decoded: int = 0,
          through: str = 'in process') -> Report:
    """Return the report on `frames` in the order of time.

    `places` (N, 7) are the base poses that the rows of the map stand for. `through` says in the
    protocol what the frames went through.
    """
    positive = [tolerance.holds(places, frame.truth) for frame in frames]
    has_match = np.array([bool(row.any()) for row in positive], dtype=bool)
    hits = {n: np.array([_hit(frame.outcome, row, n) for frame, row
                         in zip(frames, positive, strict=True)], dtype=bool) for n in RECALL_AT}
    accepted = np.array([frame.outcome.accepted is not None for frame in frames], dtype=bool)
    right = np.array([_right(frame, tolerance) for frame in frames], dtype=bool)
    guessed = [frame for frame in frames if frame.outcome.hypotheses]
    errors = np.array([frame.errors() for frame in frames]).reshape(-1, 2)[accepted]
    latency = np.array([frame.latency_ms for frame in frames])
    recall = {f'recall_at_{n}': _share(hits[n][has_match]) for n in RECALL_AT}
    recall_of_all = {f'recall_at_{n}_of_all': _share(hits[n]) for n in RECALL_AT}
    return Report(
        protocol=(f'a place is a positive, and a pose right, within {tolerance.m:g} m and '
                  f'{tolerance.deg:g} deg of the true pose; recall over the frames that have a '
                  'positive, exact search, one picture at a time; calibration error: mean gap '
                  'of ten bins of probability by their size, over the frames with a hypothesis; '
                  f'latency from encoded message to verdict, {through}'),
        frames=len(frames),
        frames_with_match=int(has_match.sum()),
        frames_without_truth=frames_without_truth,
        frames_not_decoded=frames_not_decoded,
        **recall, **recall_of_all,
        accepted=int(accepted.sum()),
        wrong_fixes=int((accepted & ~right).sum()),
        fixes_off_map=int((accepted & ~has_match).sum()),
        precision=_share(right[accepted]),
        coverage=_share(accepted[has_match]),
        calibration_error=_calibration_error(guessed, tolerance),
        position_error_m_median=_quantile(errors[:, 0], 0.5),
        position_error_m_p95=_quantile(errors[:, 0], 0.95),
        heading_error_deg_median=_quantile(np.degrees(errors[:, 1]), 0.5),
        heading_error_deg_p95=_quantile(np.degrees(errors[:, 1]), 0.95),
        first_fix_s=_first_fix_s(frames, has_match, right),
        latency_ms_p50=_quantile(latency, 0.5),
        latency_ms_p95=_quantile(latency, 0.95),
        reasons=dict(sorted(Counter(f.outcome.reason.value for f in frames).items())),
    )


def _hit(outcome: Outcome, positive: NDArray[np.bool_], n: int) -> bool:
    return any(bool(positive[match.place]) for match in outcome.matches[:n])


def _right(frame: JudgedFrame, tolerance: Tolerance) -> bool:
    pose = frame.outcome.accepted
    return pose is not None and bool(tolerance.holds(pose.pose, frame.truth))


def _calibration_error(frames: Sequence[JudgedFrame], tolerance: Tolerance) -> float | None:
    if not frames:
        return None
    best = [frame.outcome.hypotheses[0] for frame in frames]
    right = tolerance.holds(np.stack([one.pose for one in best]),
                            np.stack([frame.truth for frame in frames]))
    return reliability(np.array([one.probability for one in best]), right).error


def _share(hits: NDArray[np.bool_]) -> float | None:
    return float(hits.mean()) if len(hits) else None


def _quantile(values: NDArray[np.float64], q: float) -> float | None:
    return float(np.quantile(values, q)) if len(values) else None


def _first_fix_s(frames: Sequence[JudgedFrame], has_match: NDArray[np.bool_],
                 right: NDArray[np.bool_]) -> float | None:
    if not right.any():
        return None
    first_match, first_right = int(np.argmax(has_match)), int(np.argmax(right))
    elapsed_ns = frames[first_right].outcome.stamp_ns - frames[first_match].outcome.stamp_ns
    return max(elapsed_ns * 1e-9, 0.0)
