# SPDX-License-Identifier: Apache-2.0
"""What the belief is compared with: scores of a frame's best place that others would threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.types import Descriptors

DIAGONAL = 11      # frames that are summed
APART = 5          # places from which on another one is a rival

Scores = NDArray[np.float64]
Places = NDArray[np.int64]


def single_frame(places: Descriptors, queries: Descriptors) -> tuple[Places, dict[str, Scores]]:
    """Return the most similar place of each query, and what may be held against a threshold."""
    return _best((queries @ places.T).astype(np.float64))


def diagonal_sum(places: Descriptors, queries: Descriptors) -> tuple[Places, dict[str, Scores]]:
    """Return the place at the end of the best diagonal (Milford and Wyeth, ICRA 2012).

    The last 11 frames at one place a frame; the similarities of each frame are brought to zero
    mean and unit deviation first, which no row's own order depends on.
    """
    similarity = (queries @ places.T).astype(np.float64)
    similarity -= similarity.mean(axis=1, keepdims=True)
    similarity /= np.maximum(similarity.std(axis=1, keepdims=True), 1e-6)
    summed = np.zeros_like(similarity)
    for back in range(min(DIAGONAL, len(queries), len(places))):
        summed[back:, back:] += similarity[:len(queries) - back, :len(places) - back]
    return _best(summed / DIAGONAL)


def _best(score: NDArray[np.float64]) -> tuple[Places, dict[str, Scores]]:
    best = score.argmax(axis=1)
    rows = np.arange(len(score))
    near = np.abs(np.arange(score.shape[1]) - best[:, None]) < APART
    rival = np.where(near, -np.inf, score).max(axis=1)
    top = score[rows, best]
    return best, {'value': top, 'margin': top - np.where(np.isfinite(rival), rival, 0.0),
                  'deviations': (top - score.mean(axis=1)) / np.maximum(score.std(axis=1), 1e-6)}
