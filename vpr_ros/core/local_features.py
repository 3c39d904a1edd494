# SPDX-License-Identifier: Apache-2.0
"""Corners of a picture and what surrounds them, by which two views can be laid over each other.

ORB (Rublee et al., ICCV 2011) or SIFT (Lowe, IJCV 2004), as OpenCV computes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.types import Image
from vpr_ros.errors import MapError

_MIN_SIDE_PX = 16       # below it there is no room for a corner with its surroundings
_ORB_EDGE_PX = 8        # OpenCV's 31 would leave half of a 160x120 picture unseen
# Dim corridors have weak corners; the strongest are taken first anyhow.
_ORB_FAST_LEVEL = 3
_SIFT_CONTRAST = 0.015


class FeatureKind(Enum):
    """Which local features; the value is what a map says."""

    ORB = 'orb'
    SIFT = 'sift'

    @property
    def bytes_each(self) -> int:
        """Length of a descriptor: 256 bits of ORB, 128 numbers of SIFT."""
        return 32 if self is FeatureKind.ORB else 128


@dataclass(frozen=True)
class FeatureConfig:
    """How features are taken; a map's own holds for the pictures that are compared with it."""

    kind: FeatureKind = FeatureKind.ORB
    max_features: int = 500
    long_side_px: int = 640    # a larger picture is shrunk to it; a smaller one is left alone

    def __post_init__(self) -> None:
        if self.max_features < 8 or self.long_side_px < _MIN_SIDE_PX:
            raise MapError('local features need max_features of at least 8 and long_side_px of '
                           f'at least {_MIN_SIDE_PX}')


@dataclass(frozen=True, eq=False)
class Features:
    """`points` (n, 2) float32 and `descriptors` (n, 32 or 128) uint8 of one picture.

    Points are x, y in pixels of the picture as it was looked at, `width` x `height`, which is
    smaller than the camera's where that is above `long_side_px`; (0, 0) is the middle of a pixel.
    """

    kind: FeatureKind
    width: int
    height: int
    points: NDArray[np.float32]
    descriptors: NDArray[np.uint8]

    def __post_init__(self) -> None:
        count = len(self.points)
        if (self.points.shape != (count, 2)
                or self.descriptors.shape != (count, self.kind.bytes_each)):
            raise ValueError(f'points {self.points.shape} and descriptors '
                             f'{self.descriptors.shape} are no {self.kind.value} features')

    def __len__(self) -> int:
        return len(self.points)


def extract(image: Image, config: FeatureConfig) -> Features:
    """Return the strongest features of an RGB picture; none of one that is flat or tiny.

    May be called from several threads at once.
    """
    height, width = image.shape[:2]
    shrink = min(1.0, config.long_side_px / max(height, width, 1))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    if min(height, width) < _MIN_SIDE_PX or min(size) < _MIN_SIDE_PX:
        return _none(config.kind, *size)
    gray = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    if shrink < 1.0:
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    # A detector keeps state while it works, and making one costs nothing.
    corners, descriptors = _detector(config).detectAndCompute(gray, None)
    if descriptors is None or not len(corners):
        return _none(config.kind, *size)
    points = np.array([corner.pt for corner in corners], dtype=np.float32)
    if len(points) > config.max_features:  # SIFT gives a few more where scores are equal
        best = np.argsort([-c.response for c in corners], kind='stable')[:config.max_features]
        points, descriptors = points[best], descriptors[best]
    # SIFT's numbers are whole and at most 255 already, only their type is not.
    return Features(config.kind, *size, points, np.asarray(descriptors).astype(np.uint8))


def _detector(config: FeatureConfig) -> Any:
    cv: Any = cv2  # its stubs lack both
    if config.kind is FeatureKind.ORB:
        return cv.ORB_create(config.max_features, edgeThreshold=_ORB_EDGE_PX,
                             fastThreshold=_ORB_FAST_LEVEL)
    return cv.SIFT_create(config.max_features, contrastThreshold=_SIFT_CONTRAST)


def _none(kind: FeatureKind, width: int, height: int) -> Features:
    return Features(kind, width, height, np.empty((0, 2), np.float32),
                    np.empty((0, kind.bytes_each), np.uint8))
