# SPDX-License-Identifier: Apache-2.0
"""Which corner of one picture is which of another, by looks alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.local_features import FeatureKind, Features

RATIO = 0.85  # of the distance of the second best, at most (Lowe, IJCV 2004, section 7.1)


def matched(a: Features, b: Features) -> NDArray[np.int64]:
    """Return pairs (m, 2): rows of `a` and of `b` that are each other's nearest by far.

    Raises ValueError for features of two kinds.
    """
    if a.kind is not b.kind:
        raise ValueError(f'{a.kind.value} and {b.kind.value} features cannot be compared')
    if len(a) < 2 or len(b) < 2:
        return np.empty((0, 2), np.int64)
    distance = _distances(a, b)
    two = np.partition(distance, 1, axis=1)[:, :2]
    nearest = distance.argmin(axis=1)
    rows = np.arange(len(a))
    mutual = distance.argmin(axis=0)[nearest] == rows
    kept = mutual & (two[:, 0] < RATIO * two[:, 1])
    return np.column_stack([rows[kept], nearest[kept]])


def _distances(a: Features, b: Features) -> NDArray[np.float32]:
    """Return (len(a), len(b)): differing bits of ORB, Euclidean distance of SIFT."""
    left, right = _vectors(a), _vectors(b)
    squares: NDArray[np.float32] = ((left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)
                                    - 2.0 * (left @ right.T))
    if a.kind is FeatureKind.ORB:
        return squares
    distances: NDArray[np.float32] = np.sqrt(np.maximum(squares, 0.0))
    return distances


def _vectors(features: Features) -> NDArray[np.float32]:
    """Return rows whose squared distance is the number of differing bits, or SIFT's own."""
    rows = features.descriptors
    if features.kind is FeatureKind.ORB:  # one product of matrices is faster than counting bits
        rows = np.unpackbits(rows, axis=1)
    return rows.astype(np.float32)
