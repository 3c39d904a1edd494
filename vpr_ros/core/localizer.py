# SPDX-License-Identifier: Apache-2.0
"""One frame's way from image to verdict: see, recall, remember, doubt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.core.belief import Belief, BeliefConfig
from vpr_ros.core.clusters import Cluster, ClusterConfig, clusters
from vpr_ros.core.evidence import Evidence, EvidenceConfig
from vpr_ros.core.place_index import PlaceIndex
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.types import (
    Camera,
    Describer,
    Descriptors,
    Frame,
    Hypothesis,
    Match,
    Outcome,
    Reason,
    Timing,
)
from vpr_ros.core.viewpoints import viewpoints
from vpr_ros.errors import MapError

_RESTART_NS = 1_000_000_000   # a frame older than the last by more than this is a new beginning
_STEP_RAD = 0.26              # a turn of 15 degrees shows something new
_STILL_STEP_S = 0.2           # without odometry: no two steps within this time
_CHANGE = 0.5                 # of the difference of two places: enough for a step
_FROZEN = 0.9999              # so alike are two pictures only when they are the same one
_LONGEST_STEP_S = 10.0        # nor is a robot believed to have driven for longer than this


Evidences = NDArray[np.float64]
Odometry = Callable[[int], 'se3.Array | None']


def _silent(stamp_ns: int) -> se3.Array | None:
    """Stand for odometry where there is none."""
    return None


@dataclass(frozen=True)
class LocalizerConfig:
    """The knobs of the verdict; those of the parts follow under their own names."""

    top_k: int = 50                     # matches that are weighed
    accept_probability: float = 0.95    # of the best hypothesis
    ambiguous_probability: float = 0.05  # of the second best, from which on both are doubted
    confirm_steps: int = 8              # steps for which the best hypothesis must have held
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    belief: BeliefConfig = field(default_factory=BeliefConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)

    def __post_init__(self) -> None:
        if self.top_k < 1 or self.confirm_steps < 1:
            raise MapError('top_k and confirm_steps must be at least 1')
        if not 0.5 < self.accept_probability < 1.0:
            raise MapError('accept_probability must lie between 0.5 and 1')
        if not 0.0 < self.ambiguous_probability < 0.5:
            raise MapError('ambiguous_probability must lie between 0 and 0.5')


@dataclass(frozen=True, eq=False)
class _Step:
    """The last moment at which the belief moved on."""

    stamp_ns: int
    odom_from_base: se3.Array | None
    descriptor: Descriptors
    best: se3.Array | None
    held: int                 # steps for which the best hypothesis has gone on from the one before
    since: se3.Array | None   # where it was when that began


class Localizer:
    """Tells where in `place_map` each frame was taken, or why that cannot be said.

    The state between frames is the belief alone; `reset` drops it.
    """

    def __init__(self, config: LocalizerConfig, place_map: PlaceMap, describer: Describer,
                 cameras: Sequence[Camera] = ()) -> None:
        """Raise MapError when the map is of another model or lacks a camera's mount."""
        if describer.card.digest != place_map.card.digest:
            raise MapError(
                f'the map was built by model {place_map.card.name} '
                f'({place_map.card.digest[:12]}), not by {describer.card.name} '
                f'({describer.card.digest[:12]}): use that model, or build the map again')
        self._config = config
        self._map = place_map
        self._describer = describer
        self._viewpoints = viewpoints(place_map, cameras)
        self._index = PlaceIndex(place_map.descriptors)
        self._alike = _neighbor_similarity(place_map)
        self._evidence = Evidence(config.evidence, self._index, self._alike)
        self._belief = Belief(config.belief, self._viewpoints.poses)
        self.reset()

    def reset(self) -> None:
        """Forget where the robot was."""
        self._belief.reset()
        self._step: _Step | None = None
        self._found: tuple[Cluster, ...] = ()
        self._seen: dict[str, Descriptors] = {}   # by each camera, last
        self._changed = 0.0   # since the last step, between frame and frame of one camera
        self._newest_ns: int | None = None

    def reconfigure(self, config: LocalizerConfig) -> None:
        """Use other thresholds from the next frame on; what is believed stays."""
        if (config.evidence, config.belief) != (self._config.evidence, self._config.belief):
            raise MapError('evidence and belief settings need the map to be loaded again')
        self._config = config

    def localize(self, frame: Frame, odometry: Odometry = _silent) -> Outcome:
        """Return what the map says about one frame.

        `odometry(stamp_ns)` gives `odom_from_base` (7,) at the frame's moment, or None. It is
        asked when the picture has been described, so that what comes late may come meanwhile.
        Raises MapError for a camera that this localizer was not made for.
        """
        if frame.camera not in self._viewpoints.state_of:
            known = ', '.join(sorted(self._viewpoints.state_of))
            raise MapError(f'no camera {frame.camera} here; there is: {known}')
        restarted = self._jumped_back(frame.stamp_ns)
        if restarted:
            self.reset()
        if self._newest_ns is not None and frame.stamp_ns < self._newest_ns:
            return Outcome(frame.stamp_ns, frame.camera, (), (), Reason.STALE,
                           self._belief.unknown)
        self._newest_ns = frame.stamp_ns
        started = perf_counter()
        # 1. See: the image becomes one unit vector.
        descriptor = self._describer.describe([frame.image])[0]
        described = perf_counter()
        # 2. Recall: which places look like this?
        matches = self._index.search(descriptor, self._config.top_k)
        searched = perf_counter()
        # 3. Remember: weigh them by where the robot can have come from.
        odom_from_base = odometry(frame.stamp_ns)
        asked = perf_counter()
        evidence = self._remember(frame, descriptor, matches, odom_from_base)
        # 4. Doubt: only a hypothesis that has earned it leaves as a pose.
        found = clusters(self._config.cluster, self._viewpoints.poses,
                         self._belief.probabilities, evidence, self._belief.spacing_m)
        self._found = found
        reason = self._judge(found, evidence)
        timing = Timing((described - started) * 1e3, (searched - described) * 1e3,
                        (perf_counter() - asked) * 1e3)
        hypotheses = tuple(Hypothesis(frame.stamp_ns, self._map.frame_id, c.pose, c.covariance,
                                      c.probability) for c in found)
        return Outcome(frame.stamp_ns, frame.camera, matches, hypotheses, reason,
                       self._belief.unknown, restarted, timing)

    def poses_seen_by(self, camera: str) -> se3.Array:
        """Return (N, 7): where the robot is when `camera` has the view of each place."""
        return self._viewpoints.poses[self._viewpoints.state_of[camera]]

    def place_probabilities(self, outcome: Outcome) -> list[float]:
        """Return what is now believed of each match of an outcome's camera."""
        states = self._viewpoints.state_of[outcome.camera]
        return [float(self._belief.probabilities[states[m.place]]) for m in outcome.matches]

    def _jumped_back(self, stamp_ns: int) -> bool:
        return self._newest_ns is not None and stamp_ns < self._newest_ns - _RESTART_NS

    def _remember(self, frame: Frame, descriptor: Descriptors, matches: tuple[Match, ...],
                  odom_from_base: se3.Array | None) -> Evidences:
        """Move the belief on, weigh this frame, and return its evidence for each state (M,)."""
        step = self._step
        frozen = False
        seen = self._seen.get(frame.camera, descriptor)
        self._changed += 1.0 - float(descriptor @ seen)
        self._seen[frame.camera] = descriptor
        if step is None:
            self._step = _Step(frame.stamp_ns, odom_from_base, descriptor, None, 0, None)
        elif self._is_step(step, frame, odom_from_base):
            frozen = float(descriptor @ step.descriptor) > _FROZEN
            self._take_step(step, frame, descriptor, odom_from_base)
        elif step.odom_from_base is None and odom_from_base is not None:
            self._step = replace(step, odom_from_base=odom_from_base)
        evidence = np.zeros(len(self._viewpoints.poses))
        if not frozen:  # the same picture after a drive is a camera that hangs: it says nothing
            of_matches = self._evidence.of(descriptor, matches)
            states = self._viewpoints.state_of[frame.camera]
            # Of a state that this camera has no view of, it knows as much as off the map: nothing.
            evidence[states] = min(float(of_matches[-1]), 0.0)
            # Several matches may mean one state: the best speaks for it, and is written last.
            evidence[states[[m.place for m in reversed(matches)]]] = of_matches[::-1]
        self._belief.look(evidence)
        return evidence

    def _is_step(self, step: _Step, frame: Frame, odom_from_base: se3.Array | None) -> bool:
        """Say whether the robot has moved on far enough for a look to tell something new."""
        motion = _motion(step, odom_from_base)
        if motion is not None:
            driven_m = float(np.linalg.norm(motion[:3]))
            turned_rad = float(se3.angle_rad(motion, se3.IDENTITY))
            return driven_m >= self._belief.spacing_m or turned_rad >= _STEP_RAD
        # Without odometry the pictures say so: what changed from one to the next adds up to what
        # tells one place from the next.
        elapsed_s = (frame.stamp_ns - step.stamp_ns) * 1e-9
        return elapsed_s >= _STILL_STEP_S and self._changed >= _CHANGE * (1.0 - self._alike)

    def _take_step(self, step: _Step, frame: Frame, descriptor: Descriptors,
                   odom_from_base: se3.Array | None) -> None:
        motion = _motion(step, odom_from_base)
        elapsed_s = min((frame.stamp_ns - step.stamp_ns) * 1e-9, _LONGEST_STEP_S)
        found = self._found  # in the last frame before the step
        best = found[0].pose if found and found[0].probability > 0.5 else None
        goes_on = best is not None and self._goes_on(step, best)
        held, since = (step.held + 1, step.since) if goes_on else (0, None)
        self._belief.move(motion, elapsed_s)
        self._changed = 0.0
        then = best if best is None or motion is None else se3.compose(best, motion)
        self._step = _Step(frame.stamp_ns, odom_from_base, descriptor, then, held,
                           best if since is None else since)

    def _goes_on(self, step: _Step, best: se3.Array) -> bool:
        """Say whether `best` is where the last step's best hypothesis has led."""
        if step.best is None:
            return True
        reach_m = 2.0 * self._config.cluster.cluster_m
        return float(se3.distance_m(step.best, best)) <= reach_m

    def _judge(self, found: tuple[Cluster, ...], evidence: Evidences) -> Reason:
        config = self._config
        best = found[0].probability if found else 0.0
        if self._belief.unknown >= best:
            return Reason.UNKNOWN
        if len(found) > 1 and found[1].probability >= config.ambiguous_probability:
            return Reason.AMBIGUOUS
        # However sure the belief is, a picture that speaks against it is no pose.
        if best < config.accept_probability or evidence[found[0].members].max() <= 0.0:
            return Reason.WEAK
        if not self._is_confirmed(found[0].pose):
            return Reason.UNCONFIRMED
        return Reason.ACCEPTED

    def _is_confirmed(self, best: se3.Array) -> bool:
        """Say whether the best hypothesis has held for long enough.

        Without odometry nobody knows that the robot has driven, so the hypothesis itself must
        have: a wrong place that looks right likes to stay where it is.
        """
        step, steps = self._step, self._config.confirm_steps
        if step is None or step.since is None or not self._goes_on(step, best):
            return False
        if step.odom_from_base is not None:
            return step.held + 1 >= steps
        driven_m = float(se3.distance_m(step.since, best))
        return step.held + 1 >= 2 * steps and driven_m >= steps * self._belief.spacing_m


def _motion(step: _Step, odom_from_base: se3.Array | None) -> se3.Array | None:
    """Return `before_from_now` between a step and now, if odometry spoke at both."""
    if step.odom_from_base is None or odom_from_base is None:
        return None
    return se3.compose(se3.inverse(step.odom_from_base), odom_from_base)


def _neighbor_similarity(place_map: PlaceMap) -> float:
    """Return how alike one place and the next usually look (cosine), the median over the map."""
    rows = np.asarray(place_map.descriptors)
    if len(rows) < 2:
        return 1.0
    sample = np.linspace(0, len(rows) - 2, min(len(rows) - 1, 1000)).astype(int)
    return float(np.median(np.sum(rows[sample] * rows[sample + 1], axis=1)))
