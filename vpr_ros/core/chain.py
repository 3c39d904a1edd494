# SPDX-License-Identifier: Apache-2.0
"""Which state follows which when the robot drives as the mapping run did, straight on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vpr_ros.core import pose as se3
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.viewpoints import Viewpoints

NONE = -1
_BREAK = 10.0     # links longer than this many usual ones are gaps in the recording
_STANDING = 0.2   # and shorter ones than this share are turns on the spot

States = NDArray[np.int64]


def successors(place_map: PlaceMap, viewpoints: Viewpoints) -> States:
    """Return (M,): the state after each when the robot drives on forwards; NONE at an end.

    Places are linked in the order in which one camera saw them in one session. A state that looks
    the other way (a rear camera at a place that a front camera saw) is passed in reverse.
    """
    after = np.full(len(viewpoints.poses), NONE, dtype=np.int64)
    first, second = links(place_map)
    if not len(first):
        return after
    step = place_map.poses[second, :3] - place_map.poses[first, :3]
    length_m = np.linalg.norm(step, axis=1)
    usual_m = float(np.median(length_m))
    moving = length_m > _STANDING * usual_m
    kept = length_m <= _BREAK * max(usual_m, 1e-3)
    forward = _forward(place_map.poses[first[moving]], step[moving])
    for states in viewpoints.state_of.values():
        heading = Rotation.from_quat(viewpoints.poses[states[first], 3:]).apply(forward)
        reverse = moving & (np.einsum('ij,ij->i', heading, step) < 0.0)
        here = np.where(reverse, states[second], states[first])[kept]
        there = np.where(reverse, states[first], states[second])[kept]
        free = after[here] == NONE
        after[here[free]] = there[free]
    return after


def predecessors(after: States) -> States:
    """Return (M,): the state before each; NONE where none leads there."""
    before = np.full(len(after), NONE, dtype=np.int64)
    linked = np.flatnonzero(after != NONE)
    before[after[linked]] = linked
    return before


def links(place_map: PlaceMap) -> tuple[States, States]:
    """Return the rows that one camera saw one after the other in one session."""
    order = np.lexsort((place_map.stamps_ns, place_map.camera_of, place_map.session_of))
    first, second = order[:-1], order[1:]
    together = ((place_map.camera_of[first] == place_map.camera_of[second])
                & (place_map.session_of[first] == place_map.session_of[second]))
    return first[together], second[together]


def _forward(poses: se3.Array, step: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the direction (3,), in the robot's own frame, in which the mapping run drove."""
    if not len(poses):
        return np.array([1.0, 0.0, 0.0])
    own = Rotation.from_quat(poses[:, 3:]).inv().apply(step)
    forward: NDArray[np.float64] = np.median(
        own / np.linalg.norm(own, axis=1, keepdims=True), axis=0)
    return forward
