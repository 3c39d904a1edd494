# SPDX-License-Identifier: Apache-2.0
"""What went wrong, most dangerous first: neighboring failures of one kind are one incident."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.report.frame_table import FrameTable
from vpr_ros.report.verdicts import Verdict, verdicts

MOST_CARDS = 60
MAX_GAP_S = 2.0   # between two failures of one incident
DEFINITION = (
    'Most dangerous first. Wrong poses at places that the map knows come before poses off the '
    'map, and those before places that were missed. Among poses, an incident is as dangerous as '
    'its worst frame: the probability that was claimed times the error in meters. Missed places '
    'are sorted by the way without a pose. Failures of one kind that follow one another within '
    f'{MAX_GAP_S:g} s, with no right pose between them, are one incident.')

_ORDER = (Verdict.WRONG, Verdict.OFF_MAP_FIX, Verdict.MISSED)


@dataclass(frozen=True)
class Incident:
    """A run of failures of one kind.

    `frames` are its rows; `worst` is the one to look at; `danger` sorts incidents of one kind;
    `way_m` was driven from the first to the last of them.
    """

    kind: Verdict
    frames: tuple[int, ...]
    worst: int
    danger: float
    duration_s: float
    way_m: float


def incidents(frames: FrameTable) -> list[Incident]:
    """Return every incident of a run, most dangerous first (see DEFINITION)."""
    kinds, driven_m = verdicts(frames), _driven_m(frames)
    found = [_incident(frames, kind, rows, driven_m)
             for kind in _ORDER for rows in _runs(frames, kinds, kind)]
    return sorted(found, key=lambda one: (_ORDER.index(one.kind), -one.danger, one.worst))


def _runs(frames: FrameTable, kinds: NDArray[np.uint8], kind: Verdict
          ) -> list[NDArray[np.intp]]:
    """Return the rows of each incident of one kind."""
    rows = np.flatnonzero(kinds == kind)
    if not len(rows):
        return []
    # A right pose ends an incident; what was missed ends with any pose.
    ends = np.cumsum(frames.accepted if kind is Verdict.MISSED else kinds == Verdict.RIGHT)
    apart = ((np.diff(frames.stamps_ns[rows]) > MAX_GAP_S * 1e9) | (np.diff(ends[rows]) > 0))
    return np.split(rows, np.flatnonzero(apart) + 1)


def _incident(frames: FrameTable, kind: Verdict, index: NDArray[np.intp],
              driven_m: NDArray[np.float64]) -> Incident:
    way_m = float(driven_m[index[-1]] - driven_m[index[0]])
    if kind is Verdict.MISSED:
        worst, danger = int(index[len(index) // 2]), way_m
    else:
        dangers = np.nan_to_num(frames.probability[index] * frames.position_error_m[index])
        worst, danger = int(index[np.argmax(dangers)]), float(dangers.max())
    duration_s = float((frames.stamps_ns[index[-1]] - frames.stamps_ns[index[0]]) * 1e-9)
    return Incident(kind, tuple(int(row) for row in index), worst, danger, duration_s, way_m)


def _driven_m(frames: FrameTable) -> NDArray[np.float64]:
    """Return the way (F,) from the first frame to each."""
    steps = np.linalg.norm(np.diff(frames.truth[:, :3], axis=0), axis=1)
    return np.concatenate([np.zeros(1), np.cumsum(steps)])
