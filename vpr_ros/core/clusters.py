# SPDX-License-Identifier: Apache-2.0
"""From probabilities over states to a few poses, each with a covariance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.errors import MapError

_KEEP = 5            # hypotheses
_WORTH = 0.01        # probability below which a cluster is not reported
_CANDIDATES = 400    # most probable states that are looked at
_NEGLIGIBLE = 1e-5   # probability of a state that adds nothing to any cluster


@dataclass(frozen=True)
class ClusterConfig:
    """What counts as one hypothesis."""

    cluster_m: float = 3.0         # states this near to the best one belong to it
    cluster_rad: float = 0.8       # and this near in heading
    viewpoint_m: float = 0.3       # standard deviation that a view does not show: beside the place
    viewpoint_rad: float = 0.1     # and turned from it

    def __post_init__(self) -> None:
        for name in ('cluster_m', 'cluster_rad', 'viewpoint_m', 'viewpoint_rad'):
            if not getattr(self, name) > 0.0:
                raise MapError(f'{name} must be positive')


@dataclass(frozen=True, eq=False)
class Cluster:
    """States that mean one pose: mean `pose` (7,), `covariance` (6, 6), summed probability.

    `members` (n,) are the rows of the states.
    """

    members: NDArray[np.int64]
    pose: se3.Array
    covariance: NDArray[np.float64]
    probability: float


def clusters(config: ClusterConfig, poses: se3.Array, probabilities: NDArray[np.float64],
             spacing_m: float) -> tuple[Cluster, ...]:
    """Return the clusters of the belief (M,), most probable first."""
    count = min(_CANDIDATES, len(probabilities))
    order = np.argpartition(-probabilities, count - 1)[:count]
    order = order[np.argsort(-probabilities[order], kind='stable')]
    order = order[probabilities[order] > _NEGLIGIBLE]
    left = np.ones(len(order), dtype=bool)
    found: list[tuple[float, NDArray[np.int64]]] = []
    while left.any() and len(found) < 2 * _KEEP:
        best = poses[order[np.argmax(left)]]  # the first that is left is the most probable
        near = left & (se3.distance_m(poses[order], best) <= config.cluster_m)
        near &= se3.angle_rad(poses[order], best) <= config.cluster_rad
        left &= ~near
        probability = float(probabilities[order[near]].sum())
        if probability < _WORTH:
            break
        found.append((probability, order[near]))
    found.sort(key=lambda cluster: -cluster[0])
    return tuple(
        Cluster(members, *_mean(config, poses[members], probabilities[members], spacing_m),
                probability) for probability, members in found[:_KEEP])


def _mean(config: ClusterConfig, poses: se3.Array, weights: NDArray[np.float64],
          spacing_m: float) -> tuple[se3.Array, NDArray[np.float64]]:
    """Return the weighted mean of poses (n, 7), and its covariance (6, 6).

    It holds the spread of the poses, the spacing of the map and what a view does not show.
    """
    weight = weights / weights.sum()
    position = weight @ poses[:, :3]
    signs = np.sign(poses[:, 3:] @ poses[0, 3:])
    quaternion = weight @ (poses[:, 3:] * np.where(signs == 0.0, 1.0, signs)[:, None])
    pose = np.concatenate([position, quaternion / np.linalg.norm(quaternion)])
    deviation = np.concatenate([poses[:, :3] - position, _turns(poses[:, 3:], pose[3:])], axis=1)
    covariance = (deviation * weight[:, None]).T @ deviation
    # A place stands for all that lies within half a spacing of it (uniform: s^2 / 12).
    covariance[:3, :3] += np.eye(3) * (spacing_m ** 2 / 12.0 + config.viewpoint_m ** 2)
    covariance[3:, 3:] += np.eye(3) * config.viewpoint_rad ** 2
    return pose, covariance


def _turns(quaternions: se3.Array, mean: se3.Array) -> NDArray[np.float64]:
    """Return the small rotations (n, 3) from `mean` to `quaternions`, about the map's axes."""
    vector, scalar = quaternions[:, :3], quaternions[:, 3:]
    x, y, z = mean[:3]
    cross = vector @ np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])  # vector x mean
    turn = mean[3] * vector - scalar * mean[:3] - cross
    towards = np.where(scalar * mean[3] + vector @ mean[:3, None] < 0.0, -2.0, 2.0)
    rotations: NDArray[np.float64] = towards * turn  # a small angle is twice the vector part
    return rotations
