# SPDX-License-Identifier: Apache-2.0
"""A discrete Bayes filter over the places of a map and an explicit *unknown*, which forgets.

After probabilistic place recognition with an off-map state (Xu, Suenderhauf, Milford,
"Probabilistic Visual Place Recognition for Hierarchical Localization", RA-L 2020, and its
sequel with odometry and new places, RA-L 2021), with likelihoods relative to the map. Views in a
row resemble each other, so they are not independent: what was believed is raised to the power
`1 - 1 / memory_steps` with every step (exponential forgetting, Kulhavy and Zarrop 1993), which
bounds what any sequence can prove and takes the place of a probability to be carried away.
Without odometry the robot is held to drive along the map at one of a few steady paces, as in
SeqSLAM (Milford and Wyeth, ICRA 2012).
"""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vpr_ros.core import pose as se3
from vpr_ros.core.chain import NONE, predecessors, States
from vpr_ros.errors import MapError

_HOT = 0.5             # gain above the usual from which on a state is moved, with all its past
_MOST_HOT = 256        # states that are moved so
_NEIGHBORS = 8         # states that one state can move to in one step
_ALONG_RAD = 0.8       # turn within which two states may follow each other
_LOST = 1.5            # half squared deviations: no state that near, it drove off the map
_ARRIVED = 1.0         # states this much farther (same unit) than the nearest are not arrived at
# Places along the map per step of the pictures; a step is about one place.
_PACES = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
_CHANGE_OF_PACE = 8.0  # gain that it costs
_UNEVEN = 0.5          # gain that a step costs, by how far the pace is from one place

Field = NDArray[np.float64]


@dataclass(frozen=True)
class BeliefConfig:
    """How the robot moves, and how long what was seen counts."""

    memory_steps: float = 10.0         # over which evidence adds up
    odometry_error: float = 0.10       # standard deviation, as a share of the distance driven
    heading_error_rad: float = 0.35    # standard deviation between a place's heading and ours
    max_speed_mps: float = 2.0         # of the robot, where odometry is silent

    def __post_init__(self) -> None:
        if not self.memory_steps > 1.0:
            raise MapError('memory_steps must be more than 1')
        for name in ('odometry_error', 'heading_error_rad', 'max_speed_mps'):
            if not getattr(self, name) > 0.0:
                raise MapError(f'{name} must be positive')


class Belief:
    """Probabilities over `poses` (M, 7) and *unknown*, which always sum to one.

    Between two calls of `move` the looks of one camera are of one spot, so they are averaged, not
    multiplied: a robot that stands still learns nothing new by looking twice.
    """

    def __init__(self, config: BeliefConfig, poses: se3.Array, after: States) -> None:
        """Take the states, and the state after each when the robot drives on (`successors`)."""
        self._config = config
        self.poses = poses
        self._after = np.append(after, NONE)  # a last row stands for no state
        self._before = np.append(predecessors(after), NONE)
        self._tree = cKDTree(poses[:, :3])
        self._keep = 1.0 - 1.0 / config.memory_steps
        self.spacing_m = _spacing_m(poses, self._tree)
        self.reset()

    def reset(self) -> None:
        """Forget: half unknown, half anywhere."""
        self._steps = 0
        self._looks: dict[str, tuple[int, Field, Field]] = {}   # number and means, by camera
        self._novelty, self._kept = 1.0, self._keep
        count = len(self.poses)
        # Of each state (by each pace, where there is no odometry) since the beginning, fading:
        self._gain_before = np.zeros((1, count))      # log odds against unknown, less the prior's
        self._support_before = np.zeros((1, count))   # similarity, as a mean
        self._gain, self._support = self._gain_before, self._support_before
        self._evidence, self._similarity = np.zeros(count), np.zeros(count)
        self._condition()

    @property
    def probabilities(self) -> Field:
        """Probability of each state (M,)."""
        return self._probabilities

    @property
    def unknown(self) -> float:
        """Probability that the robot is nowhere in the map."""
        return self._unknown

    @property
    def gain(self) -> Field:
        """What has been seen speaks so much for each state (M,): log of a likelihood ratio."""
        best: Field = self._gain.max(axis=0)
        return best

    @property
    def support(self) -> Field:
        """Fading mean of the similarity along the way that leads to each state (M,)."""
        best = self._gain.argmax(axis=0)
        support: Field = self._support[best, np.arange(len(best))]
        return support

    @property
    def fresh(self) -> Field:
        """Evidence of this spot alone, by all cameras that looked from it (M,)."""
        return self._evidence

    def look(self, evidence: Field, similarity: Field, camera: str = '') -> None:
        """Take one picture's evidence (M,), against being off the map, and similarity (M,).

        What cameras see that look different ways adds up; a state is as well supported as the
        camera that knows it best has it.
        """
        nothing = np.zeros(len(self.poses))
        looks, before, alike = self._looks.get(camera, (0, nothing, nothing))
        self._looks[camera] = (looks + 1, before + (evidence - before) / (looks + 1),
                               alike + (similarity - alike) / (looks + 1))
        self._evidence = np.sum([mean for _, mean, _ in self._looks.values()], axis=0)
        self._similarity = np.max([mean for *_, mean in self._looks.values()], axis=0)
        self._gain = self._gain_before + self._novelty * self._evidence
        self._support = self._support_before + (1.0 - self._kept) * self._similarity
        self._condition()

    def move(self, before_from_now: se3.Array | None, elapsed_s: float, novelty: float = 1.0
             ) -> None:
        """Advance by a measured motion (7,), or by what the speed limit allows in `elapsed_s`.

        `novelty` (0 to 1) says how much of the view is new: what looks the same as before is no
        new evidence, and nothing is forgotten for it.
        """
        if before_from_now is None:
            gain, support = self._drive_on(elapsed_s)
        else:
            gain, support = self._drive(before_from_now)
        self._novelty, self._kept = novelty, self._keep ** novelty
        self._gain_before, self._support_before = self._kept * gain, self._kept * support
        self._gain, self._support = self._gain_before, self._support_before
        self._looks = {}
        self._evidence, self._similarity = (np.zeros(len(self.poses)) for _ in range(2))
        self._condition()

    def _drive(self, before_from_now: se3.Array) -> tuple[Field, Field]:
        """Return gain and support after a measured motion.

        What stands out is moved; what does not stays where it is, as neighbors look alike.
        """
        gain, support = self.gain, self.support
        hot = np.argpartition(-gain, min(_MOST_HOT, len(gain)) - 1)[:_MOST_HOT]
        # Off the map all states come to speak against themselves: one is hot beside the others.
        usual = min(float(np.median(gain)), 0.0) + _HOT
        hot = hot[gain[hot] > usual]
        moved, moved_support = np.minimum(gain, usual), np.where(gain > usual, 0.0, support)
        if len(hot):
            source, target = self._arrivals(hot, before_from_now)
            order = np.argsort(gain[source], kind='stable')  # the best is written last
            source, target = source[order], target[order]
            moved[target], moved_support[target] = gain[source], support[source]
        return moved[None], moved_support[None]

    def _arrivals(self, hot: States, before_from_now: se3.Array) -> tuple[States, States]:
        """Return pairs of states: from where, to where (one state may lead to several)."""
        config = self._config
        goal = se3.compose(self.poses[hot], before_from_now)
        driven_m = float(np.linalg.norm(before_from_now[:3]))
        sigma_m = math.hypot(self.spacing_m / 2.0, config.odometry_error * driven_m)
        count = min(_NEIGHBORS, len(self.poses))
        near = self._tree.query(goal[:, :3], k=count, distance_upper_bound=3.0 * sigma_m)
        distance_m, target = (np.asarray(part).reshape(len(goal), -1) for part in near)
        found = np.minimum(target, len(self.poses) - 1)
        turn_rad = se3.angle_rad(goal[:, None, :], self.poses[found])
        off = 0.5 * ((distance_m / sigma_m) ** 2 + (turn_rad / config.heading_error_rad) ** 2)
        nearest = off.min(axis=1, keepdims=True)
        arrived = (off <= nearest + _ARRIVED) & (nearest <= _LOST) & np.isfinite(distance_m)
        return np.repeat(hot, arrived.sum(axis=1)), found[arrived]

    def _drive_on(self, elapsed_s: float) -> tuple[Field, Field]:
        """Return gain and support, by pace, after a motion that nobody measured."""
        most = int(self._config.max_speed_mps * elapsed_s / self.spacing_m + 0.5)
        gain, support = self._by_pace()
        moved, moved_support = np.empty_like(gain), np.empty_like(support)
        for row, pace in enumerate(_PACES):
            places = _rounded(pace * (self._steps + 1)) - _rounded(pace * self._steps)
            origin = self._origin(max(min(places, most), -most))
            moved[row] = np.append(gain[row], 0.0)[origin] - _UNEVEN * abs(pace - 1.0)
            moved_support[row] = np.append(support[row], 0.0)[origin]
        self._steps += 1
        return moved, moved_support

    def _by_pace(self) -> tuple[Field, Field]:
        """Return gain and support for each pace, a change of pace included."""
        count = len(_PACES)
        if len(self._gain) != count:
            return (np.repeat(self.gain[None], count, axis=0),
                    np.repeat(self.support[None], count, axis=0))
        best, best_support = self.gain - _CHANGE_OF_PACE, self.support
        changed = self._gain < best
        return np.where(changed, best, self._gain), np.where(changed, best_support, self._support)

    def _origin(self, places: int) -> States:
        """Return (M,): where each state was that many places ago; the last row for nowhere."""
        link = self._before if places > 0 else self._after
        origin = np.arange(len(self.poses))
        for _ in range(abs(places)):
            origin = link[origin]
        return origin

    def _condition(self) -> None:
        top = max(float(self._gain.max()), 0.0)
        joint = np.exp(self._gain - top).mean(axis=0) / self._gain.shape[1]
        unknown = math.exp(-top)
        total = float(joint.sum()) + unknown
        self._probabilities: Field = joint / total
        self._unknown = unknown / total


def _rounded(places: float) -> int:
    return math.floor(places + 0.5)


def _spacing_m(poses: se3.Array, tree: cKDTree) -> float:
    """Return the usual distance of a state to the next one; 1 m where that says nothing.

    States at one spot, as two cameras give, and those of another heading, as a rear camera does,
    are not the next ones.
    """
    if len(poses) < 2:
        return 1.0
    near = tree.query(poses[:, :3], k=min(_NEIGHBORS, len(poses)))
    distance_m, neighbor = np.asarray(near[0]), np.asarray(near[1])
    turn_rad = se3.angle_rad(poses[:, None, :], poses[neighbor])
    next_m = np.where((distance_m > 1e-3) & (turn_rad < _ALONG_RAD), distance_m, np.inf)
    apart_m = next_m.min(axis=1)
    apart_m = apart_m[np.isfinite(apart_m)]
    return float(np.median(apart_m)) if len(apart_m) else 1.0
