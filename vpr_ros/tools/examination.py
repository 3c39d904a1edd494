# SPDX-License-Identifier: Apache-2.0
"""A drive past the localizer twice over: on the map, and on a map that lacks just that part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vpr_ros.core import pose as se3
from vpr_ros.core.card import ModelCard
from vpr_ros.core.left_out import LEAST_PLACES, part_of, rows_beyond
from vpr_ros.core.localizer import Localizer, LocalizerConfig, Odometry
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.scoring import Tolerance
from vpr_ros.core.trials import Trial
from vpr_ros.core.types import Camera, Descriptors, Frame, Image, Reason

_ANYTHING = 1e-12   # probability that every hypothesis has: only the other rules refuse it


class Described:
    """Stands for a network whose answer is known: many localizers look at one description."""

    def __init__(self, card: ModelCard) -> None:
        self.card = card
        self.descriptor: Descriptors = np.zeros(card.dim, dtype=np.float32)

    def describe(self, images: Sequence[Image]) -> Descriptors:
        """Return the description that was put here last, (1, dim)."""
        return self.descriptor[None]


@dataclass(frozen=True, eq=False)
class Driven:
    """A frame of a drive: its number among those whose truth is known, and whether it counts."""

    frame: Frame
    descriptor: Descriptors
    row: int
    truth: se3.Array
    counts: bool
    stretch: int


class Examination:
    """Collects trials of one drive; where it was in each stretch is known beforehand.

    `trials` holds two of each frame that counts: what the whole map says, and what is said by the
    map without all that the robot could see in that stretch, which is wrong whatever it is.
    """

    def __init__(self, place_map: PlaceMap, card: ModelCard, config: LocalizerConfig,
                 tolerance: Tolerance, cameras: Sequence[Camera], driven: Sequence[se3.Array]
                 ) -> None:
        """Take the card of the network that describes, and the true poses (n, 7) by stretch.

        Raises MapError when the map is of another model or lacks a camera's mount.
        """
        self._map, self._cameras, self._tolerance = place_map, cameras, tolerance
        self._config = replace(config, accept_probability=_ANYTHING)
        self._described = Described(card)
        self._driven = driven
        self._whole = Localizer(self._config, place_map, self._described, cameras)
        self._stretch = -1
        self._off: Localizer | None = None
        self.trials: list[Trial] = []
        self.off_map = 0

    @property
    def spacing_m(self) -> float:
        """How far one place of the map usually is from the next."""
        return self._whole.spacing_m

    def pass_by(self, frame: Frame, descriptor: Descriptors, odometry: Odometry) -> None:
        """Let the localizer see a frame whose truth is not known."""
        self._described.descriptor = descriptor
        self._whole.localize(frame, odometry)

    def take(self, driven: Driven, odometry: Odometry) -> None:
        """Let both maps judge the next frame."""
        self._described.descriptor = driven.descriptor
        if driven.stretch != self._stretch:
            self._stretch, self._off = driven.stretch, self._map_without(driven.stretch)
        places = self._whole.poses_seen_by(driven.frame.camera)
        has_match = bool(self._tolerance.holds(places, driven.truth).any())
        self._judge(self._whole, driven, odometry, has_match)
        if self._off is not None:
            self.off_map += self._judge(self._off, driven, odometry, False)

    def _judge(self, localizer: Localizer, driven: Driven, odometry: Odometry, has_match: bool
               ) -> bool:
        outcome = localizer.localize(driven.frame, odometry)
        if not driven.counts or outcome.reason is Reason.STALE:
            return False
        right = outcome.signs is not None and bool(self._tolerance.holds(
            outcome.hypotheses[0].pose, driven.truth))
        self.trials.append(Trial(driven.row, outcome.signs, right,
                                 outcome.reason is Reason.ACCEPTED, has_match))
        return True

    def _map_without(self, stretch: int) -> Localizer | None:
        """Return a localizer that cannot know where it is; None where too little map is left."""
        reach_m = self._tolerance.m + self._config.cluster.cluster_m
        rows = rows_beyond(self._map, self._driven[stretch], reach_m)
        if len(rows) < LEAST_PLACES:
            return None
        rest = part_of(self._map, rows, features=self._config.verify.is_on)
        return Localizer(self._config, rest, self._described, self._cameras)
