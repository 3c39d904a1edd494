# SPDX-License-Identifier: Apache-2.0
"""A discrete Bayes filter over the places of a map and an explicit *unknown*.

After probabilistic place recognition with an off-map state (Xu, Suenderhauf, Milford,
"Probabilistic Visual Place Recognition for Hierarchical Localization", RA-L 2020, and its
sequel with odometry and new places, RA-L 2021), with likelihoods relative to the map.
"""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vpr_ros.core import pose as se3
from vpr_ros.errors import MapError

_NEIGHBORS = 32        # places that one place can move to in one step
_NEGLIGIBLE = 1e-7     # probability below which a place sends nothing to its neighbors


@dataclass(frozen=True)
class BeliefConfig:
    """How the robot moves, and how much one look may change one's mind."""

    leave_probability: float = 0.01    # per step: the robot drives off the map or is carried away
    enter_probability: float = 0.03    # per step: it comes (back) to somewhere in the map
    odometry_error: float = 0.10       # standard deviation, as a share of the distance driven
    heading_error_rad: float = 0.35    # standard deviation between a place's heading and ours
    max_speed_mps: float = 2.0         # reach of the robot where odometry is silent

    def __post_init__(self) -> None:
        for name in ('leave_probability', 'enter_probability'):
            if not 0.0 < getattr(self, name) < 1.0:
                raise MapError(f'{name} must lie between 0 and 1')
        for name in ('odometry_error', 'heading_error_rad', 'max_speed_mps'):
            if getattr(self, name) <= 0.0:
                raise MapError(f'{name} must be positive')


class Belief:
    """Probabilities over `poses` (M, 7) and *unknown*, which always sum to one.

    Between two calls of `move` the looks are of one spot, so they are averaged, not multiplied:
    a robot that stands still learns nothing new by looking twice.
    """

    def __init__(self, config: BeliefConfig, poses: se3.Array) -> None:
        self._config = config
        self._poses = poses
        self._tree = cKDTree(poses[:, :3])
        self.spacing_m = _spacing_m(poses, self._tree)
        self.reset()

    def reset(self) -> None:
        """Forget: half unknown, half anywhere."""
        count = len(self._poses)
        self._prior = np.full(count, 0.5 / count)
        self._unknown_prior = 0.5
        self._looks = 0
        self._log_likelihood = np.zeros(count)
        self._condition()

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Probability of each state (M,)."""
        return self._probabilities

    @property
    def unknown(self) -> float:
        """Probability that the robot is nowhere in the map."""
        return self._unknown

    def look(self, log_likelihood: NDArray[np.float64]) -> None:
        """Take evidence (M,): log of how much likelier the image is at each state than off it."""
        self._looks += 1
        self._log_likelihood += (log_likelihood - self._log_likelihood) / self._looks
        self._condition()

    def move(self, before_from_now: se3.Array | None, elapsed_s: float) -> None:
        """Advance by a measured motion (7,), or by what the speed limit allows in `elapsed_s`."""
        config = self._config
        source = np.flatnonzero(self._probabilities > _NEGLIGIBLE)
        mass = self._probabilities[source]
        if before_from_now is None:
            goal, sigma_m = self._poses[source], self.spacing_m / 2
            reach_m = config.max_speed_mps * elapsed_s
        else:
            goal = se3.compose(self._poses[source], before_from_now)
            driven_m = float(np.linalg.norm(before_from_now[:3]))
            sigma_m = math.hypot(self.spacing_m / 2, config.odometry_error * driven_m)
            reach_m = 0.0
        target, weight = self._spread(goal, reach_m, sigma_m)
        arriving = weight.sum(axis=1)
        # A place whose goal lies beside the map sends its mass to unknown, in proportion.
        staying = np.minimum(arriving, 1.0) * (1.0 - config.leave_probability) * mass
        share = weight / np.maximum(arriving, 1e-12)[:, None]
        moved = np.zeros(len(self._poses) + 1)
        np.add.at(moved, target.ravel(), (share * staying[:, None]).ravel())
        entering = self._unknown * config.enter_probability
        self._prior = moved[:-1] + entering / len(self._poses)
        self._unknown_prior = max(1.0 - float(self._prior.sum()), 1e-12)
        self._looks = 0
        self._log_likelihood = np.zeros(len(self._poses))
        self._condition()

    def _spread(self, goal: se3.Array, reach_m: float, sigma_m: float
                ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the states near each goal (K, n) and their weights.

        A weight is 1 within `reach_m` and falls as a normal density beyond: a robot of unknown
        speed is as likely to have driven on as to have stayed.
        """
        count = min(_NEIGHBORS, len(self._poses))
        near = self._tree.query(goal[:, :3], k=count,
                                distance_upper_bound=reach_m + 3.0 * sigma_m)
        distance_m, target = (np.asarray(part).reshape(len(goal), -1) for part in near)
        found = np.minimum(target, len(self._poses) - 1)
        turn_rad = se3.angle_rad(goal[:, None, :], self._poses[found])
        beyond_m = np.maximum(distance_m - reach_m, 0.0)
        weight = np.exp(-0.5 * (beyond_m / sigma_m) ** 2
                        - 0.5 * (turn_rad / self._config.heading_error_rad) ** 2)
        weight[np.isinf(distance_m)] = 0.0
        return target, weight

    def _condition(self) -> None:
        top = max(float(self._log_likelihood.max()), 0.0)
        joint = self._prior * np.exp(self._log_likelihood - top)
        unknown = self._unknown_prior * math.exp(-top)
        total = float(joint.sum()) + unknown
        self._probabilities = joint / total
        self._unknown = unknown / total


def _spacing_m(poses: se3.Array, tree: cKDTree) -> float:
    """Return the usual distance of a place to the next one; 1 m where that says nothing."""
    if len(poses) < 2:
        return 1.0
    distance_m = np.asarray(tree.query(poses[:, :3], k=2)[0])[:, 1]
    apart = distance_m[distance_m > 1e-3]
    return float(np.median(apart)) if len(apart) else 1.0
