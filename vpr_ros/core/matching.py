# SPDX-License-Identifier: Apache-2.0
"""Which corner of one picture is which of another, by looks alone."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.local_features import FeatureKind, Features

RATIO = 0.85  # of the distance of the second best, at most (Lowe, IJCV 2004, section 7.1)

# In whole numbers and without BLAS, whose threads stand in each other's way on a busy robot:
# differing bits of ORB; squared distance of SIFT, so the ratio is squared as well.
_METRIC = {FeatureKind.ORB: (cv2.NORM_HAMMING, RATIO),
           FeatureKind.SIFT: (cv2.NORM_L2SQR, RATIO**2)}


def matched(a: Features, b: Features) -> NDArray[np.int64]:
    """Return pairs (m, 2): rows of `a` and of `b` that are each other's nearest by far.

    Raises ValueError for features of two kinds.
    """
    if a.kind is not b.kind:
        raise ValueError(f'{a.kind.value} and {b.kind.value} features cannot be compared')
    if len(a) < 2 or len(b) < 2:
        return np.empty((0, 2), np.int64)
    norm, ratio = _METRIC[a.kind]
    distance, nearest = cv2.batchDistance(a.descriptors, b.descriptors, cv2.CV_32S,
                                          normType=norm, K=2)
    _, back = cv2.batchDistance(b.descriptors, a.descriptors, cv2.CV_32S, normType=norm, K=1)
    rows = np.arange(len(a))
    kept = back[nearest[:, 0], 0] == rows
    kept &= distance[:, 0] < ratio * distance[:, 1]
    return np.column_stack([rows[kept], nearest[kept, 0]]).astype(np.int64)
