# SPDX-License-Identifier: Apache-2.0
"""The curves of a page, as core made them of all frames, and what else is drawn beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.judged import Tolerance
from vpr_ros.core.score_curves import Curves, DrawnCurve, ErrorCurve, MOST_POINTS
from vpr_ros.report.blob import packed
from vpr_ros.report.evaluation_folder import EvaluationFolder

_LEAST_M = 1e-3   # on an axis of powers of ten


def curve_data(folder: EvaluationFolder) -> dict[str, Any]:
    """Return the curves by name; None for one that this run does not have."""
    curves = folder.curves
    return {
        'decision': None if curves is None else _ranked(curves.decision),
        'retrieval': None if curves is None else _ranked(curves.retrieval),
        'operating': None if curves is None or curves.operating is None else {
            'coverage': curves.operating[0], 'precision': curves.operating[1]},
        'reliability': None if curves is None else _reliability(curves),
        'error': None if curves is None else _error(curves.position_error_m),
        'guessed': _error(_cumulative(folder.frames.position_error_m)),
    }


def first_match_right(folder: EvaluationFolder) -> NDArray[np.bool_] | None:
    """Return (F,) whether the most similar place is within the tolerance, or None: not known."""
    frames = folder.frames
    m, deg = folder.tolerance
    if m is None or deg is None or folder.places is None:
        return None
    first = frames.places[:, 0]
    right: NDArray[np.bool_] = (first >= 0) & Tolerance(m, deg).holds(
        folder.places[np.maximum(first, 0)], frames.truth)
    return right


def _ranked(curve: DrawnCurve) -> dict[str, Any] | None:
    if not curve.precision:
        return None
    return {name: packed(np.array(getattr(curve, name)), 'f4')
            for name in ('threshold', 'precision', 'recall', 'coverage')}


def _reliability(curves: Curves) -> dict[str, Any] | None:
    diagram = curves.reliability
    if not sum(diagram.count):
        return None
    return {'count': list(diagram.count), 'said': list(diagram.said), 'true': list(diagram.true)}


def _error(curve: ErrorCurve) -> dict[str, Any] | None:
    if not curve.error:
        return None
    return {'error_m': packed(np.maximum(np.array(curve.error), _LEAST_M), 'f4'),
            'share': packed(np.array(curve.share), 'f4')}


def _cumulative(errors_m: NDArray[np.float64]) -> ErrorCurve:
    """Return the share of errors (n,) up to each; NaN are left out."""
    ordered = np.sort(errors_m[np.isfinite(errors_m)])
    count = len(ordered)
    if not count:
        return ErrorCurve((), ())
    rows = np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(np.int64))
    return ErrorCurve(tuple(ordered[rows].tolist()), tuple(((rows + 1.0) / count).tolist()))
