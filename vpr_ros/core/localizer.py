# SPDX-License-Identifier: Apache-2.0
"""The core of the package: one frame in, a place in the map or a reason why not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.core.belief import Belief, BeliefConfig
from vpr_ros.core.calibration import Calibration
from vpr_ros.core.chain import links, successors
from vpr_ros.core.clusters import Cluster, ClusterConfig, clusters
from vpr_ros.core.confidence import Signs
from vpr_ros.core.contrast import Contrast, DriveMean
from vpr_ros.core.evidence import evidence_of, EvidenceConfig
from vpr_ros.core.intrinsics import Intrinsics
from vpr_ros.core.knobs import flat
from vpr_ros.core.place_index import PlaceIndex
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.precision import Precision, trim
from vpr_ros.core.querying import refuse_to_query
from vpr_ros.core.steps import Steps
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
from vpr_ros.core.verdict import Rivals, signs_of, VerifyConfig
from vpr_ros.core.verifier import Verifier
from vpr_ros.core.viewpoints import viewpoints
from vpr_ros.errors import MapError

_RESTART_NS = 1_000_000_000   # a frame older than the last by more than this is a new beginning

Values = NDArray[np.float64]
Odometry = Callable[[int], 'se3.Array | None']


def _silent(stamp_ns: int) -> se3.Array | None:
    """Stand for odometry where there is none."""
    return None


@dataclass(frozen=True)
class LocalizerConfig:
    """The knobs of the verdict; those of the parts follow under their own names."""

    top_k: int = 50                     # matches that are reported
    accept_probability: float = 0.0     # least of a pose; 0: what the map was calibrated for
    ambiguous_probability: float = 0.1  # of the second best, from which on both are doubted
    confirm_steps: int = 1              # steps for which the best hypothesis must have held
    step_each_frame: bool = False       # pictures were taken at even distances; no odometry
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    belief: BeliefConfig = field(default_factory=BeliefConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    verify: VerifyConfig = field(default_factory=VerifyConfig)

    def __post_init__(self) -> None:
        if self.top_k < 1 or self.confirm_steps < 0:
            raise MapError('top_k must be at least 1 and confirm_steps not negative')
        if not 0.0 <= self.accept_probability < 1.0:
            raise MapError('accept_probability must be at least 0 and below 1')
        if not 0.0 < self.ambiguous_probability < 0.5:
            raise MapError('ambiguous_probability must lie between 0 and 0.5')

    def settings(self) -> dict[str, Any]:
        """Return the knobs for which a calibration holds."""
        return {**flat(self.evidence), **flat(self.belief), **flat(self.cluster),
                'step_each_frame': self.step_each_frame, 'verify': self.verify.verify}


class Localizer:
    """Tells where in `place_map` each frame was taken, or why that cannot be said.

    The state between frames is what is believed; `reset` drops it.
    """

    def __init__(self, config: LocalizerConfig, place_map: PlaceMap, describer: Describer,
                 cameras: Sequence[Camera] = ()) -> None:
        """Raise MapError when this model may not ask the map or it lacks a camera's mount."""
        refuse_to_query(describer.card, place_map.card)
        self._map = place_map
        self._describer = describer
        self._cameras = cameras
        self._viewpoints = viewpoints(place_map, cameras)
        self._index = PlaceIndex(place_map.descriptors)
        self._contrast = Contrast(place_map.descriptors, self._index)
        self._belief = Belief(config.belief, self._viewpoints.poses,
                              successors(place_map, self._viewpoints))
        self._lenses: dict[str, Intrinsics] = {}
        self._steps = Steps(self._belief, _neighbor_similarity(place_map), config.step_each_frame)
        if place_map.precision is not Precision.FLOAT32:
            place_map.let_go()  # the index has a copy; float32 rows are searched where they are
        trim()
        self._take(config)
        self.reset()

    def reset(self) -> None:
        """Forget where the robot was."""
        self._belief.reset()
        self._steps.reset()
        self._drives: dict[str, DriveMean] = {}   # of each camera
        self._averaged: dict[str, int] = {}       # the step up to which they go
        self._newest_ns: dict[str, int] = {}      # by each camera

    def reconfigure(self, config: LocalizerConfig) -> None:
        """Use other thresholds from the next frame on; what is believed stays."""
        frozen = ('evidence', 'belief', 'step_each_frame')
        if any(getattr(config, name) != getattr(self._config, name) for name in frozen):
            raise MapError('evidence and belief settings need the map to be loaded again')
        self._take(config)

    @property
    def calibration(self) -> Calibration | None:
        """The calibration in use, or None: the map has none that holds for these settings."""
        return self._calibration

    @property
    def unlike_calibration(self) -> str:
        """Which settings are others than those that the map was calibrated for."""
        stored = self._map.calibration
        return '' if stored is None else stored.unlike(
            self._config.settings(), self._describer.card.digest, self._map.card.digest)

    @property
    def threshold(self) -> float:
        """The least probability of an accepted pose."""
        return self._config.accept_probability or (self._calibration or Calibration()).threshold

    @property
    def spacing_m(self) -> float:
        """How far one place of the map usually is from the next."""
        return self._belief.spacing_m

    def set_intrinsics(self, camera: str, lens: Intrinsics) -> None:
        """Use that lens of a camera when views are compared geometrically."""
        self._lenses[camera] = lens

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
        # Cameras take turns as they please; each for itself must go forwards.
        if frame.stamp_ns < self._newest_ns.get(frame.camera, frame.stamp_ns):
            return Outcome(frame.stamp_ns, frame.camera, (), (), Reason.STALE,
                           self._belief.unknown)
        self._newest_ns[frame.camera] = frame.stamp_ns
        started = perf_counter()
        # 1. See: the image becomes one unit vector.
        descriptor = self._describer.describe([frame.image])[0]
        described = perf_counter()
        # 2. Recall: which places look like this?
        matches = self._index.search(descriptor, self._config.top_k)
        searched = perf_counter()
        # 3. Remember: weigh all places by where the robot can have come from.
        odom_from_base = _sound(odometry(frame.stamp_ns))
        asked = perf_counter()
        evidence = self._remember(frame, descriptor, odom_from_base)
        # 4. Doubt: only a hypothesis that has earned it leaves as a pose.
        outcome = self._judge(frame, evidence, matches)
        timing = Timing((described - started) * 1e3, (searched - described) * 1e3,
                        (perf_counter() - asked) * 1e3)
        return replace(outcome, restarted=restarted, timing=timing)

    def poses_seen_by(self, camera: str) -> se3.Array:
        """Return (N, 7): where the robot is when `camera` has the view of each place."""
        return self._viewpoints.poses[self._viewpoints.state_of[camera]]

    def place_probabilities(self, outcome: Outcome) -> list[float]:
        """Return what is now believed of each match of an outcome's camera."""
        states = self._viewpoints.state_of[outcome.camera]
        return [float(self._belief.probabilities[states[m.place]]) for m in outcome.matches]

    def _take(self, config: LocalizerConfig) -> None:
        self._verifier = Verifier(self._map, self._cameras) if config.verify.is_on else None
        self._steps.reach_m = 2.0 * config.cluster.cluster_m
        self._config = config
        self._calibration = None if self.unlike_calibration else self._map.calibration

    def _jumped_back(self, stamp_ns: int) -> bool:
        newest_ns = max(self._newest_ns.values(), default=stamp_ns)
        return stamp_ns < newest_ns - _RESTART_NS

    def _remember(self, frame: Frame, descriptor: Descriptors,
                  odom_from_base: se3.Array | None) -> Values:
        """Move the belief on, weigh this frame, and return its evidence for each state (M,)."""
        self._steps.take(frame, descriptor, odom_from_base)
        drive = self._drives.setdefault(frame.camera, DriveMean(self._contrast.mean))
        # Once a step for each camera, whichever of them is first to see that the robot moved.
        if self._averaged.get(frame.camera) != self._steps.taken:
            self._averaged[frame.camera] = self._steps.taken
            drive.add(descriptor)
        # Of a state that this camera has no view of, it knows as much as off the map: nothing.
        similarity = np.full(len(self._viewpoints.poses), -np.inf)
        # Several places may mean one state: the best speaks for it.
        np.maximum.at(similarity, self._viewpoints.state_of[frame.camera],
                      self._contrast.of(descriptor, drive.mean))
        seen = np.isfinite(similarity)
        evidence = np.zeros(len(similarity))
        evidence[seen] = evidence_of(self._config.evidence, similarity[seen])
        self._belief.look(evidence, np.where(seen, similarity, 0.0), frame.camera)
        # Of what this camera cannot see, the others have the last word.
        return np.where(seen, evidence, self._belief.fresh)

    def _judge(self, frame: Frame, evidence: Values, matches: tuple[Match, ...]) -> Outcome:
        found = clusters(self._config.cluster, self._viewpoints.poses,
                         self._belief.probabilities, self._belief.spacing_m)
        self._steps.found = found
        rivals = Rivals(found)
        if self._verifier is not None:
            rivals = self._verified(frame, rivals, evidence)
            self._steps.found = rivals.found
        if not rivals.found:
            return self._outcome(frame, matches, (), Reason.UNKNOWN, None)
        signs = signs_of(rivals, self._belief, evidence, self._config.cluster)
        confidence = (self._calibration or Calibration()).confidence
        probability = confidence.probability(signs)
        if rivals.are_close(self._config.ambiguous_probability):
            # What speaks for both cannot make one of them surer than its share.
            probability = min(probability, rivals.found[0].probability)
        reason = self._reason(rivals, signs, probability, self.threshold)
        hypotheses = rivals.hypotheses(frame.stamp_ns, self._map.frame_id, probability)
        return self._outcome(frame, matches, hypotheses, reason, signs)

    def _verified(self, frame: Frame, rivals: Rivals, evidence: Values) -> Rivals:
        """Return the rivals as the geometry of the views has them."""
        assert self._verifier is not None
        doubtful = rivals.are_close(self._config.ambiguous_probability)
        if not rivals.found or not (doubtful or self._config.verify.always):
            return rivals
        look = self._verifier.look(frame, self._lenses.get(frame.camera))
        checked = rivals.found[:2] if doubtful else rivals.found[:1]
        seen = [self._place_of(frame.camera, cluster, evidence) for cluster in checked]
        places = [place for place in seen if place is not None]
        if len(places) < len(seen):
            return rivals  # this camera has no view of one of them, and says nothing
        views = [self._verifier.check(look, place) for place in places]
        yaws = [float(se3.yaw_rad(self._map.poses[place])) for place in places]
        return rivals.verified(views, yaws, self._config.verify)

    def _place_of(self, camera: str, cluster: Cluster, evidence: Values) -> int | None:
        """Return the place (its row) of a cluster that looks most like the picture.

        None where the camera has no view of any.
        """
        states = self._viewpoints.state_of[camera]
        rows = np.flatnonzero(np.isin(states, cluster.members))
        return int(rows[np.argmax(evidence[states[rows]])]) if len(rows) else None

    def _reason(self, rivals: Rivals, signs: Signs, probability: float, threshold: float
                ) -> Reason:
        config = self._config
        if self._belief.unknown >= rivals.found[0].probability:
            return Reason.UNKNOWN
        if rivals.are_close(config.ambiguous_probability):
            return Reason.AMBIGUOUS
        # However sure the belief is, a picture that speaks against it is no pose.
        if signs.fit <= 0.0:
            return Reason.WEAK
        if self._steps.held(rivals.found[0].pose) < config.confirm_steps:
            return Reason.UNCONFIRMED
        if probability < threshold:
            return Reason.WEAK
        if config.verify.always and not rivals.is_verified:
            return Reason.UNVERIFIED
        return Reason.ACCEPTED

    def _outcome(self, frame: Frame, matches: tuple[Match, ...],
                 hypotheses: tuple[Hypothesis, ...], reason: Reason, signs: Signs | None
                 ) -> Outcome:
        return Outcome(frame.stamp_ns, frame.camera, matches, hypotheses, reason,
                       self._belief.unknown, signs=signs)


def _neighbor_similarity(place_map: PlaceMap) -> float:
    """Return how alike one place and the next usually look (cosine), the median over the map."""
    first, second = links(place_map)
    if not len(first):
        return 1.0
    sample = np.linspace(0, len(first) - 1, min(len(first), 1000)).astype(int)
    rows = place_map.descriptors
    return float(np.median(np.sum(rows[first[sample]] * rows[second[sample]], axis=1)))


def _sound(odom_from_base: se3.Array | None) -> se3.Array | None:
    """Return the pose; one that is NaN or no pose at all is taken for silence."""
    if odom_from_base is None:
        return None
    try:
        return se3.checked(odom_from_base)
    except ValueError:
        return None
