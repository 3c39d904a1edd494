# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms as rows `x y z qx qy qz qw` (metres, unit quaternion, scalar last).

Every function takes one pose `(7,)` or many `(N, 7)` and broadcasts. A name says both ends:
`map_from_base` takes a point in the base frame to the map frame, so transforms chain as
`map_from_camera = compose(map_from_base, base_from_camera)`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

IDENTITY: Array = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
IDENTITY.setflags(write=False)

_UNIT_TOLERANCE = 1e-3


def checked(pose: object) -> Array:
    """Return `pose` as float64 rows with unit quaternions.

    Raises ValueError for a wrong shape, a non-finite number, or a quaternion that is off unit
    length by more than 1e-3: such a pose is a fault upstream, so it is not normalised away.
    """
    rows = np.asarray(pose, dtype=np.float64)
    if rows.ndim not in (1, 2) or rows.shape[-1] != 7:
        raise ValueError(f'a pose is 7 numbers x y z qx qy qz qw, not shape {rows.shape}')
    if not np.isfinite(rows).all():
        raise ValueError('a pose holds NaN or infinity')
    length = np.linalg.norm(rows[..., 3:], axis=-1, keepdims=True)
    if (np.abs(length - 1.0) > _UNIT_TOLERANCE).any():
        raise ValueError('a pose holds a quaternion that is not of unit length')
    return np.concatenate([rows[..., :3], rows[..., 3:] / length], axis=-1)


def from_xy_yaw(x_m: float, y_m: float, yaw_rad: float, z_m: float = 0.0) -> Array:
    """Return the pose of a robot on a plane, heading `yaw_rad` from the x axis."""
    return np.array([x_m, y_m, z_m, 0.0, 0.0, math.sin(yaw_rad / 2), math.cos(yaw_rad / 2)])


def rotate(quaternion_xyzw: Array, vector: Array) -> Array:
    """Return `vector` (..., 3) turned by the quaternion (..., 4)."""
    q, w = quaternion_xyzw[..., :3], quaternion_xyzw[..., 3:]
    t = 2.0 * _cross(q, vector)
    turned: Array = vector + w * t + _cross(q, t)
    return turned


def _cross(a: Array, b: Array) -> Array:
    """Return the cross product, for a single vector faster than np.cross."""
    ax, ay, az, bx, by, bz = a[..., 0], a[..., 1], a[..., 2], b[..., 0], b[..., 1], b[..., 2]
    product = np.empty(np.broadcast_shapes(a.shape, b.shape))
    product[..., 0] = ay * bz - az * by
    product[..., 1] = az * bx - ax * bz
    product[..., 2] = ax * by - ay * bx
    return product


def compose(a_from_b: Array, b_from_c: Array) -> Array:
    """Return `a_from_c`."""
    position = a_from_b[..., :3] + rotate(a_from_b[..., 3:], b_from_c[..., :3])
    qa, wa = a_from_b[..., 3:6], a_from_b[..., 6:]
    qb, wb = b_from_c[..., 3:6], b_from_c[..., 6:]
    vector = wa * qb + wb * qa + _cross(qa, qb)
    scalar = wa * wb - np.sum(qa * qb, axis=-1, keepdims=True)
    quaternion = np.concatenate([vector, scalar], axis=-1)
    quaternion /= np.linalg.norm(quaternion, axis=-1, keepdims=True)
    return np.concatenate([position, quaternion], axis=-1)


def inverse(a_from_b: Array) -> Array:
    """Return `b_from_a`."""
    conjugate = a_from_b[..., 3:] * np.array([-1.0, -1.0, -1.0, 1.0])
    return np.concatenate([-rotate(conjugate, a_from_b[..., :3]), conjugate], axis=-1)


def yaw_rad(pose: Array) -> Array:
    """Return the heading about z, in (-pi, pi]."""
    x, y, z, w = np.moveaxis(pose[..., 3:], -1, 0)
    yaw: Array = np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    return yaw


def angle_rad(a: Array, b: Array) -> Array:
    """Return the angle of the rotation between the orientations of `a` and `b`, in [0, pi]."""
    dot = np.abs(np.sum(a[..., 3:] * b[..., 3:], axis=-1))
    angle: Array = 2.0 * np.arccos(np.clip(dot, 0.0, 1.0))
    return angle


def distance_m(a: Array, b: Array) -> Array:
    """Return the distance between the origins of `a` and `b`."""
    distance: Array = np.linalg.norm(a[..., :3] - b[..., :3], axis=-1)
    return distance


def interpolate(a: Array, b: Array, fraction: Array) -> Array:
    """Return poses between `a` and `b`: position by lerp, orientation by slerp, as tf2 does.

    `a`, `b` are (N, 7), `fraction` is (N,) in [0, 1].
    """
    f = np.asarray(fraction, dtype=np.float64)[..., None]
    position = (1.0 - f) * a[..., :3] + f * b[..., :3]
    qa, qb = a[..., 3:], b[..., 3:]
    dot = np.sum(qa * qb, axis=-1, keepdims=True)
    qb = np.where(dot < 0.0, -qb, qb)
    theta = np.arccos(np.clip(np.abs(dot), 0.0, 1.0))
    small = theta < 1e-6
    sine = np.where(small, 1.0, np.sin(theta))
    weight_a = np.where(small, 1.0 - f, np.sin((1.0 - f) * theta) / sine)
    weight_b = np.where(small, f, np.sin(f * theta) / sine)
    quaternion = weight_a * qa + weight_b * qb
    quaternion /= np.linalg.norm(quaternion, axis=-1, keepdims=True)
    return np.concatenate([position, quaternion], axis=-1)
