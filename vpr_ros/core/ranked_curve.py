# SPDX-License-Identifier: Apache-2.0
"""Answers in the order of how sure they are: what each threshold would have let through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class RankedCurve:
    """One point for each threshold that somebody can set (n,), the highest first.

    `precision`: right share of the answers at or above the threshold. `recall`: right answers, and
    `coverage`: all answers, of the frames that have a positive, over the number of those frames.
    So recall ends at the share that is ever right, not at 1, and an answer off the map costs
    precision and covers nothing. Without frames that have a positive there are no points.
    """

    threshold: Values
    precision: Values
    recall: Values
    coverage: Values

    @property
    def average_precision(self) -> float | None:
        """Sum of the precisions at each threshold, weighted by the recall gained there.

        As scikit-learn's `average_precision_score`, but over the frames that have a positive.
        """
        if not len(self.recall):
            return None
        return float(np.sum(np.diff(self.recall, prepend=0.0) * self.precision))

    @property
    def area(self) -> float | None:
        """Area under precision over recall by trapezoids, from recall 0 and precision 1 on."""
        if not len(self.recall):
            return None
        precision = np.concatenate([[1.0], self.precision])
        step = np.diff(self.recall, prepend=0.0)
        return float(np.sum(step * (precision[1:] + precision[:-1]) / 2.0))

    def recall_at_precision(self, precision: float) -> float | None:
        """Return the highest recall of a threshold that keeps `precision`; 0 where none does."""
        return self._best(self.recall, precision)

    def coverage_at_precision(self, precision: float) -> float | None:
        """Return the highest coverage of a threshold that keeps `precision`; 0 where none does."""
        return self._best(self.coverage, precision)

    def _best(self, values: Values, precision: float) -> float | None:
        if not len(values):
            return None
        return float(np.max(values, where=self.precision >= precision, initial=0.0))


def ranked_curve(value: Values, right: Flags, has_match: Flags, frames_with_match: int
                 ) -> RankedCurve:
    """Return the curve of answers (m,): how sure, whether right, and whether there is a positive.

    Answers of equal value stand or fall together. `frames_with_match` counts also the frames
    without an answer.
    """
    if frames_with_match == 0:
        return RankedCurve(*(np.zeros(0) for _ in range(4)))
    order = np.argsort(-value, kind='stable')
    value, right, has_match = value[order], right[order], has_match[order]
    last = np.flatnonzero(np.append(np.diff(value) < 0.0, True)) if len(value) else (
        np.zeros(0, dtype=np.int64))
    if not len(last):
        return RankedCurve(np.ones(1), np.ones(1), np.zeros(1), np.zeros(1))
    return RankedCurve(value[last], np.cumsum(right)[last] / (last + 1.0),
                       np.cumsum(right & has_match)[last] / frames_with_match,
                       np.cumsum(has_match)[last] / frames_with_match)
