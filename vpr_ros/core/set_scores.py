# SPDX-License-Identifier: Apache-2.0
"""What a researcher cites of an image set: every query alone, its best matches against a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.block_bootstrap import Blocks, Bootstrap, Interval, share_intervals
from vpr_ros.core.frame_scores import RECALL_AT
from vpr_ros.core.ranked_curve import ranked_curve
from vpr_ros.errors import VprError

_LONGEST_BLOCK, _BLOCKS = 10, 20   # queries; the least number of stretches that is aimed at


@dataclass(frozen=True)
class SetScores:
    """The numbers of one search; a share that divides by nothing is None.

    `recall_at_N`: share of the queries that have a positive with one among the N most similar
    places, `recall_at_N_of_all`: of all queries. `recall_at_1_interval`: by resampling stretches
    of consecutive queries. Curves rank the best match of each query by its similarity; their
    recall divides by the queries that have a positive.
    """

    queries: int
    queries_with_match: int
    recall_at_1: float | None
    recall_at_5: float | None
    recall_at_10: float | None
    recall_at_20: float | None
    recall_at_1_of_all: float | None
    recall_at_5_of_all: float | None
    recall_at_10_of_all: float | None
    recall_at_20_of_all: float | None
    recall_at_1_interval: Interval | None
    pr_area: float | None
    average_precision: float | None
    recall_at_full_precision: float | None


def score_set(places: NDArray[np.int64], similarity: NDArray[np.float32],
              positives: Sequence[Sequence[int]], bootstrap: Bootstrap | None = None) -> SetScores:
    """Return the scores of matches (Q, k), best first, against the positives of each query.

    Raises VprError when the rows do not fit.
    """
    if len(places) != len(positives) or places.shape != similarity.shape:
        raise VprError(f'{len(places)} answers, {len(similarity)} similarities and '
                       f'{len(positives)} queries do not fit')
    hit = np.zeros(places.shape, bool)
    for row, wanted in enumerate(positives):
        hit[row] = np.isin(places[row], wanted)
    has_match = np.array([len(wanted) > 0 for wanted in positives], bool)
    found: dict[int, NDArray[np.bool_]] = {
        n: np.asarray(hit[:, :n].any(axis=1), bool) for n in RECALL_AT}
    recall = {f'recall_at_{n}': _share(found[n][has_match]) for n in RECALL_AT}
    of_all = {f'recall_at_{n}_of_all': _share(found[n]) for n in RECALL_AT}
    best = similarity[:, 0].astype(np.float64) if similarity.size else np.zeros(0)
    curve = ranked_curve(best, found[1][:len(best)], has_match[:len(best)], int(has_match.sum()))
    interval = share_intervals(bootstrap or Bootstrap(), _stretches(len(places)),
                               {'recall': (found[1], has_match)})['recall']
    return SetScores(len(places), int(has_match.sum()), **recall, **of_all,
                     recall_at_1_interval=interval, pr_area=curve.area,
                     average_precision=curve.average_precision,
                     recall_at_full_precision=curve.recall_at_precision(1.0))


def _stretches(queries: int) -> Blocks:
    """Return stretches of consecutive queries: ten, or fewer where that leaves too few."""
    length = max(1, min(_LONGEST_BLOCK, queries // _BLOCKS))
    of = np.arange(queries, dtype=np.int64) // length
    return Blocks(of, int(of[-1]) + 1 if queries else 0, float(length))


def _share(hits: NDArray[np.bool_]) -> float | None:
    return float(hits.mean()) if len(hits) else None
