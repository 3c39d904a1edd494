# SPDX-License-Identifier: Apache-2.0
"""The rotation between two views of one scene, and what it says of the robots that saw it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3

Points = NDArray[np.float64]
Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]

_SAME_TURN_RAD = 0.035


def turn_of_essential(essential: Matrix | None, a: Points, b: Points, camera: Matrix
                      ) -> Matrix | None:
    """Return `b_from_a` (3, 3) of an essential matrix: the one that has the points in front."""
    if essential is None or not len(a):
        return None
    try:
        _, turn, _, _ = cv2.recoverPose(essential, a, b, camera)
    except cv2.error:
        return None
    return _rotation(turn)


def pure_turn(a: Points, b: Points, start: Mask, max_error_rad: float
              ) -> tuple[Matrix | None, Mask]:
    """Return the rotation `b_from_a` (3, 3) that alone takes rays `a` to `b`, and its inliers.

    `a`, `b` (n, 2) on the plane z = 1; `start` are those from which to begin.
    Least squares over unit vectors (Kabsch, Acta Cryst. 1976), taken anew over its own inliers.
    """
    from_a, to_b = _unit(a), _unit(b)
    inliers, turn = start, None
    for _ in range(3):
        if inliers.sum() < 3:
            return None, np.zeros(len(a), np.bool_)
        u, _, vt = np.linalg.svd(to_b[inliers].T @ from_a[inliers])
        turn = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
        inliers = np.linalg.norm(from_a @ turn.T - to_b, axis=1) < max_error_rad
    return turn, inliers


def planar_turn(homography: Matrix | None, a: Points, camera: Matrix) -> Matrix | None:
    """Return `b_from_a` (3, 3) of the homography that a plane makes; `a` are points on it.

    Two views of a plane mostly have two explanations with the plane in front of both cameras.
    None where these differ by more than 2 degrees: nothing in the pictures says which is true.
    """
    if homography is None or not len(a):
        return None
    try:
        _, turns, _, normals = cv2.decomposeHomographyMat(homography, camera)
    except cv2.error:
        return None
    rays = np.column_stack([a, np.full(len(a), camera[0, 0])])
    in_front = [_rotation(turn) for turn, normal in zip(turns, normals, strict=True)
                if np.median(rays @ np.asarray(normal).ravel()) > 0.0]
    sound = [turn for turn in in_front if turn is not None]
    if not sound or any(angle_rad(sound[0].T @ turn) > _SAME_TURN_RAD for turn in sound):
        return None
    return sound[0]


def angle_rad(turn: Matrix) -> float:
    """Return the angle of a rotation (3, 3), in [0, pi]."""
    axis, _ = cv2.Rodrigues(turn)
    return float(np.linalg.norm(axis))


def heading_correction_rad(query_from_place: Matrix, base_from_place_camera: se3.Array,
                           base_from_query_camera: se3.Array) -> float:
    """Return by how much the base that took the query is turned left of the place's base.

    `query_from_place` (3, 3) rotates from the axes of the place's camera into those of the
    query's; the mounts are `base_from_camera` (7,). Yaw of `place_base_from_query_base`, in
    (-pi, pi]: add it to the yaw of the place's stored pose to get the robot's.
    """
    place, query = (_matrix(mount) for mount in (base_from_place_camera, base_from_query_camera))
    base = place @ query_from_place.T @ query.T
    return float(np.arctan2(base[1, 0], base[0, 0]))


def _matrix(pose: se3.Array) -> Matrix:
    """Return the rotation of a pose, (3, 3)."""
    return np.column_stack([se3.rotate(pose[3:], axis) for axis in np.eye(3)])


def _unit(rays: Points) -> Points:
    rows = np.column_stack([rays, np.ones(len(rays))])
    unit: Points = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _rotation(matrix: object) -> Matrix | None:
    turn = np.asarray(matrix, dtype=np.float64)
    if turn.shape != (3, 3) or not np.isfinite(turn).all() or np.linalg.det(turn) < 0.5:
        return None
    return turn
