# SPDX-License-Identifier: Apache-2.0
"""Where the robot stands when a camera of its own sees a place as a camera of the map saw it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vpr_ros.core import pose as se3
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.types import Camera
from vpr_ros.errors import MapError

_SAME_M, _SAME_RAD = 0.02, 0.02


@dataclass(frozen=True, eq=False)
class Viewpoints:
    """The states of the robot, `poses` (M, 7) `map_from_base`; the first N are the map's places.

    `state_of[camera][place]` is the state in which `camera` has the view stored for `place`.
    """

    poses: se3.Array
    state_of: Mapping[str, NDArray[np.int64]]


def viewpoints(place_map: PlaceMap, cameras: Sequence[Camera]) -> Viewpoints:
    """Return the states from which `cameras` can see the places of the map.

    `map_from_base' = map_from_base * base_from_camera_of_map * inverse(base_from_camera)`. A
    camera of a map's name that says nothing of its mount is taken to be where it was.
    Raises MapError when a mount is needed and was not given: it is never guessed.
    """
    poses = place_map.poses
    state_of: dict[str, NDArray[np.int64]] = {}
    for camera in cameras or place_map.cameras:
        seen_from = _seen_from(place_map, camera)
        state_of[camera.name], poses = _states(seen_from, poses)
    return Viewpoints(poses, state_of)


def _seen_from(place_map: PlaceMap, camera: Camera) -> se3.Array:
    """Return (N, 7): the base pose for which `camera` stands where the place was seen from."""
    known = {other.name: other for other in place_map.cameras}
    mount = camera.base_from_camera
    if mount is None and camera.name in known:
        mount = known[camera.name].base_from_camera
    poses = place_map.poses.copy()
    for row, other in enumerate(place_map.cameras):
        unmoved = camera.base_from_camera is None or other.base_from_camera is None
        if other.name == camera.name and unmoved:
            continue
        if mount is None or other.base_from_camera is None:
            lacking = camera.name if mount is None else f'{other.name} (of the map)'
            raise MapError(
                f'camera {camera.name} is not among those of the map '
                f'({", ".join(sorted(known))}), and the mount of {lacking} is not known: '
                'use a name of the map, or give base_from_camera on both sides')
        change = se3.compose(other.base_from_camera, se3.inverse(mount))
        of_other = place_map.camera_of == row
        poses[of_other] = se3.compose(place_map.poses[of_other], change)
    return poses


def _states(seen_from: se3.Array, poses: se3.Array) -> tuple[NDArray[np.int64], se3.Array]:
    """Return for each base pose the state that is (nearly) the same; new ones are appended."""
    own = np.arange(len(seen_from))
    if _same(seen_from, poses[:len(seen_from)]).all():
        return own, poses
    _, nearest = cKDTree(poses[:, :3]).query(seen_from[:, :3])
    new = ~_same(seen_from, poses[nearest])
    state = np.where(new, len(poses) - 1 + np.cumsum(new), nearest)
    return state, np.concatenate([poses, seen_from[new]])


def _same(a: se3.Array, b: se3.Array) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = ((se3.distance_m(a, b) < _SAME_M)
                               & (se3.angle_rad(a, b) < _SAME_RAD))
    return same
