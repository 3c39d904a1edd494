# SPDX-License-Identifier: Apache-2.0
"""Whether two pictures can show one scene: how many of their corners one camera motion explains.

MAGSAC++ (Barath et al., CVPR 2020), as OpenCV has it, fits an essential matrix where both lenses
are known and a fundamental matrix where not; beside it a homography, for walls and for turning on
the spot, where epipolar geometry is undefined. Every step is deterministic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.intrinsics import Intrinsics
from vpr_ros.core.local_features import Features
from vpr_ros.core.matching import matched
from vpr_ros.core.relative_turn import planar_turn, pure_turn, turn_of_essential

_MIN_MATCHES = 8
_MAX_ERROR_PX = 2.0      # of the picture as it was looked at
_CONFIDENCE = 0.999
_ITERATIONS = 2000
_SIMPLER = 0.85          # a simpler motion that explains this share of the best is the truth
_MIN_WIDTH_PX = 3.0      # matches within a stripe so narrow are on a line
_MAX_ASPECT_CHANGE = 0.02
_MAX_RAY = 3.0           # tangent: beyond 72 degrees from the axis a plane stretches too much
_MAX_ZOOM = 16.0         # of area, either way; a homography beyond it folds the picture up

Points = NDArray[np.float64]
Matrix = NDArray[np.float64]


class Motion(Enum):
    """What explains the inliers; the value is what a log says."""

    NONE = 'none'                # too few matches, or nothing explains them
    ROTATION = 'rotation'        # the camera turned on the spot, or did not move
    HOMOGRAPHY = 'homography'    # a plane is seen, or the camera turned (lens unknown)
    ESSENTIAL = 'essential'      # it moved, and both lenses are known
    FUNDAMENTAL = 'fundamental'  # it moved


@dataclass(frozen=True, eq=False)
class Verification:
    """How well two pictures agree; the number to judge by is `inliers`.

    `matches` corners look alike, `inliers` of them moved as `motion` says. `turn` (3, 3) is
    `query_from_place`, the rotation between the cameras' axes (z forward), known with both lenses.
    `heading_rad` is by how much the robot is turned left of where the place's pose heads.
    """

    matches: int
    inliers: int
    motion: Motion
    turn: Matrix | None = None
    heading_rad: float | None = None


def verify(query: Features, place: Features, query_lens: Intrinsics | None = None,
           place_lens: Intrinsics | None = None) -> Verification:
    """Return how many corners of `query` and `place` one camera motion explains.

    A lens is used when both are known and have the shape of their pictures; they are scaled to
    the size at which the pictures were looked at. Nothing that a picture can show raises.
    Raises ValueError for features of two kinds.
    """
    pairs = matched(query, place)
    a = place.points[pairs[:, 1]].astype(np.float64)
    b = query.points[pairs[:, 0]].astype(np.float64)
    lenses = _fitting(place_lens, place), _fitting(query_lens, query)
    focal = None
    if lenses[0] is not None and lenses[1] is not None:
        # As an ideal camera of the same resolution would see it, its axis at the origin.
        focal = float(np.mean([lens.fx + lens.fy for lens in lenses if lens])) / 2.0
        a, b = lenses[0].rays(a) * focal, lenses[1].rays(b) * focal
    limit_px = np.inf if focal is None else _MAX_RAY * focal
    seen = (np.abs(np.hstack([a, b])) < limit_px).all(axis=1)   # not so where there is NaN
    a, b = a[seen], b[seen]
    if len(a) < _MIN_MATCHES or min(_width(a), _width(b)) < _MIN_WIDTH_PX:
        return Verification(len(pairs), 0, Motion.NONE)
    return _explained(len(pairs), a, b, focal)


def _explained(matches: int, a: Points, b: Points, focal: float | None) -> Verification:
    homography, on_plane = _homography(a, b)
    if focal is None:
        _, moved = _fitted(lambda: cv2.findFundamentalMat(
            a, b, cv2.USAC_MAGSAC, _MAX_ERROR_PX, _CONFIDENCE, _ITERATIONS), len(a))
        return _chosen(matches, [(Motion.HOMOGRAPHY, on_plane, None),
                                 (Motion.FUNDAMENTAL, moved, None)])
    camera = np.diag([focal, focal, 1.0])
    essential, moved = _fitted(lambda: cv2.findEssentialMat(
        a, b, camera, method=cv2.USAC_MAGSAC, prob=_CONFIDENCE, threshold=_MAX_ERROR_PX), len(a))
    turn = turn_of_essential(essential, a[moved], b[moved], camera)
    still, turned = pure_turn(a / focal, b / focal, on_plane, _MAX_ERROR_PX / focal)
    return _chosen(matches, [
        (Motion.ROTATION, turned, still),
        (Motion.HOMOGRAPHY, on_plane,
         planar_turn(homography, a[on_plane], camera)),
        (Motion.ESSENTIAL, moved, turn)])


def _chosen(matches: int, found: list[tuple[Motion, NDArray[np.bool_], Matrix | None]]
            ) -> Verification:
    """Return the simplest motion (they come in that order) that explains nearly the most."""
    most = max(int(inliers.sum()) for _, inliers, _ in found)
    if most < _MIN_MATCHES:
        return Verification(matches, 0, Motion.NONE)
    for motion, inliers, turn in found:
        if inliers.sum() >= _SIMPLER * most:
            return Verification(matches, int(inliers.sum()), motion, turn)
    raise AssertionError('the most explained is never below a share of itself')


def _homography(a: Points, b: Points) -> tuple[Matrix | None, NDArray[np.bool_]]:
    matrix, inliers = _fitted(lambda: cv2.findHomography(
        a, b, cv2.USAC_MAGSAC, _MAX_ERROR_PX, maxIters=_ITERATIONS, confidence=_CONFIDENCE),
        len(a))
    if matrix is None or not _keeps_shape(matrix, a[inliers]):
        return None, np.zeros(len(a), np.bool_)
    return matrix, inliers


def _keeps_shape(matrix: Matrix, points: Points) -> bool:
    """Return whether a homography neither mirrors nor folds up what is around `points`."""
    if not len(points):
        return False
    scale = np.column_stack([points, np.ones(len(points))]) @ matrix[2]
    with np.errstate(divide='ignore', over='ignore', invalid='ignore'):
        zoom = np.linalg.det(matrix) / scale**3  # Jacobian's determinant
    return bool(((zoom > 1.0 / _MAX_ZOOM) & (zoom < _MAX_ZOOM)).all())


def _fitted(fit: Callable[[], Any], count: int) -> tuple[Matrix | None, NDArray[np.bool_]]:
    """Return a 3x3 matrix and its inliers, or None and none where OpenCV finds nothing."""
    nothing = None, np.zeros(count, np.bool_)
    try:
        matrix, mask = fit()
    except cv2.error:  # some degenerate inputs fail an assertion instead of giving None
        return nothing
    if matrix is None or mask is None or np.shape(matrix) != (3, 3):
        return nothing
    inliers = np.asarray(mask).ravel().astype(np.bool_)
    if len(inliers) != count or not np.isfinite(matrix).all():
        return nothing
    return np.asarray(matrix, dtype=np.float64), inliers


def _width(points: Points) -> float:
    """Return the width (one standard deviation) of the stripe in which the points lie."""
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return float(spread[-1] / np.sqrt(len(points)))


def _fitting(lens: Intrinsics | None, features: Features) -> Intrinsics | None:
    if lens is None:
        return None
    change = (lens.width * features.height) / (lens.height * features.width)
    if abs(change - 1.0) > _MAX_ASPECT_CHANGE:
        return None  # cut or squeezed since it was calibrated, nobody knows how
    return lens.scaled(features.width, features.height)
