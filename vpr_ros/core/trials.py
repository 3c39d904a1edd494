# SPDX-License-Identifier: Apache-2.0
"""Frames whose truth is known -> a calibration, each judged by a model that had not seen it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.core.calibration import Calibration, threshold_for
from vpr_ros.core.confidence import fit, Flags, reliability, Signs, Values
from vpr_ros.errors import MapError

STRETCHES = 5
_GAP = 0.02            # of the run is left out on both sides of what is judged
_MOVED = 0.25          # spacings of the map: nearer, a frame is the last one once more
_TURNED_RAD = 0.07


@dataclass(frozen=True)
class Trial:
    """What the localizer thought of one frame of a run.

    `row` is the number of the frame in its run. `signs` are of the best hypothesis, None without
    one; `right`: it was near the truth. `let_through`: whatever its probability, no other rule
    refused it. `has_match`: the map showed the place.
    """

    row: int
    signs: Signs | None
    right: bool
    let_through: bool
    has_match: bool


def stretches(count: int, parts: int = STRETCHES) -> tuple[range, ...]:
    """Return `count` rows cut into contiguous parts."""
    edges = [count * part // parts for part in range(parts + 1)]
    return tuple(range(start, stop) for start, stop in pairwise(edges))


def stretch_of(row: int, cuts: Sequence[range]) -> int:
    """Return in which stretch a row lies."""
    return next(number for number, cut in enumerate(cuts) if row in cut)


def apart(poses: se3.Array, spacing_m: float) -> Flags:
    """Return which poses (n, 7) of a run count: where it has moved since the last that does."""
    counts = np.zeros(len(poses), dtype=bool)
    last: se3.Array | None = None
    for row, pose in enumerate(poses):
        if (last is None or float(se3.distance_m(last, pose)) >= _MOVED * spacing_m
                or float(se3.angle_rad(last, pose)) >= _TURNED_RAD):
            counts[row], last = True, pose
    return counts


def calibration_of(trials: Sequence[Trial], rows: int, precision: float,
                   settings: Mapping[str, Any], source: str, odometry: bool) -> Calibration:
    """Return the calibration that `trials` of a run of so many rows support.

    Raises MapError when they do not, with what is lacking.
    """
    judged = [trial for trial in trials if trial.signs is not None]
    signs = [trial.signs for trial in trials if trial.signs is not None]
    right = np.array([trial.right for trial in judged], dtype=bool)
    _require_both(right, len(trials), 'these runs')
    probability = held_out(judged, signs, right, stretches(rows))
    let_through = np.array([trial.let_through for trial in judged], dtype=bool)
    threshold = threshold_for(probability[let_through], right[let_through], precision)
    accepted = let_through & (probability >= threshold)
    has_match = np.array([trial.has_match for trial in judged], dtype=bool)
    with_match = sum(trial.has_match for trial in trials)
    return Calibration(
        confidence=fit(signs, right), threshold=threshold, precision=precision,
        accepted=int(accepted.sum()), wrong=int((accepted & ~right).sum()),
        coverage=float((accepted & has_match).sum() / max(with_match, 1)),
        reliability=reliability(probability, right), source=source, odometry=odometry,
        settings=dict(settings))


def held_out(judged: Sequence[Trial], signs: Sequence[Signs], right: Flags,
             folds: Sequence[range]) -> Values:
    """Return the probability of each trial (n,) by a model fitted on the other stretches.

    Frames next to each other show the same, so a few beside the stretch are in neither part.
    """
    row = np.array([trial.row for trial in judged], dtype=np.int64)
    gap = max(round(_GAP * folds[-1].stop), 1)
    probability = np.zeros(len(judged))
    for fold in folds:
        inside = (row >= fold.start) & (row < fold.stop)
        outside = (row < fold.start - gap) | (row >= fold.stop + gap)
        if not inside.any():
            continue
        _require_both(right[outside], int(outside.sum()), 'the rest of the run')
        model = fit(_of(signs, outside), right[outside])
        probability[inside] = model.probabilities(_of(signs, inside))
    return probability


def _of(signs: Sequence[Signs], chosen: NDArray[np.bool_]) -> list[Signs]:
    return [sign for sign, is_chosen in zip(signs, chosen, strict=True) if is_chosen]


def _require_both(right: Flags, frames: int, what: str) -> None:
    if not right.any():
        raise MapError(f'none of {frames} frames of {what} was found where it was taken, so there '
                       'is nothing to calibrate on: check the poses, the camera and the tolerance '
                       'with vpr evaluate, or take a longer run')
    if right.all():
        raise MapError(f'not one hypothesis of {frames} frames of {what} was wrong, and without '
                       'errors nothing says how they look: take a longer run')
