# SPDX-License-Identifier: Apache-2.0
"""Sequences driven through the localizer from stored descriptors: what it knew at each frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.core.card import ModelCard
from vpr_ros.core.confidence import Signs
from vpr_ros.core.localizer import Localizer, LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.types import Camera, Describer, Descriptors, Frame, Image, Reason
from vpr_ros.datasets import sequences
from vpr_ros.datasets.run import Run, RunPair

Flags = NDArray[np.bool_]
SECOND_NS = 1_000_000_000
# One picture a place and none between: every frame is a step. Any probability passes, so that
# only the other rules refuse; the threshold is applied afterwards.
EVERY_FRAME = LocalizerConfig(step_each_frame=True, accept_probability=1e-9)
READERS = (sequences.stromovka_summer_winter, sequences.corridor, sequences.indoor_two_laps,
           sequences.nordland_64x32, sequences.campus_loop)
WIDER = ('stromovka_summer_winter', 'nordland_64x32')   # right within two frames, not one


@dataclass(frozen=True, eq=False)
class Traverses:
    """A pair of traverses as descriptors; `right[q, m]`: place m is right for query q."""

    name: str
    places: Descriptors
    queries: Descriptors
    right: Flags

    @property
    def has_match(self) -> Flags:
        """Which queries have a place in the map at all."""
        return np.asarray(self.right.any(axis=1))


@dataclass(frozen=True, eq=False)
class Driven:
    """What came out, a row a frame: best place (-1: none), signs, belief, whether it may pass."""

    best: NDArray[np.int64]
    signs: tuple[Signs | None, ...]
    unknown: NDArray[np.float64]
    passes: Flags

    def right(self, truth: Flags) -> Flags:
        """Say which best places are right by `truth` (frames, places)."""
        return np.logical_and(self.best >= 0, truth[np.arange(len(self.best)), self.best])


class _Stored:
    """Gives descriptors back: image i is row i."""

    def __init__(self, card: ModelCard, rows: Descriptors) -> None:
        self.card = card
        self._rows = rows

    def describe(self, images: Sequence[Image]) -> Descriptors:
        return np.stack([self._rows[int(image[0, 0, 0])] for image in images])


def read(pair: RunPair, describer: Describer) -> Traverses:
    """Describe both runs of a pair."""
    positives = pair.metric_positives() if pair.positives is None else pair.positives
    right = np.zeros((len(pair.query.images), len(pair.mapping.images)), dtype=bool)
    for row, listed in enumerate(positives):
        right[row, list(listed)] = True
    if pair.name in WIDER:  # the neighbors of the neighbors, by frame number
        frames = np.arange(right.shape[1])
        right = np.abs(np.arange(len(right))[:, None] - frames) <= 2
    return Traverses(pair.name, _described(pair.mapping, describer),
                     _described(pair.query, describer), right)


def _described(run: Run, describer: Describer) -> Descriptors:
    count = len(run.images)
    return np.concatenate([describer.describe([run.images[i] for i in range(a, min(a + 8, count))])
                           for a in range(0, count, 8)])


def cached(path: Path | None, readers: Sequence[object], root: Path, describer: Describer
           ) -> list[Traverses]:
    """Return all sequences; with `path`, descriptors are kept there by the model's digest."""
    found = []
    for reader in readers:
        pair = reader(root)  # type: ignore[operator]
        file = None if path is None else path / f'{describer.card.digest[:12]}_{pair.name}.npz'
        if file is not None and file.exists():
            with np.load(file) as arrays:
                found.append(Traverses(pair.name, **{name: arrays[name] for name in arrays}))
            continue
        found.append(read(pair, describer))
        if file is not None:
            path.mkdir(parents=True, exist_ok=True)  # type: ignore[union-attr]
            last = found[-1]
            np.savez(file, places=last.places, queries=last.queries, right=last.right)
    return found


def map_of(rows: Descriptors, card: ModelCard, numbers: NDArray[np.int64]) -> PlaceMap:
    """Return a map of frames a meter apart; `numbers` (N,) are their places along the way."""
    count = len(rows)
    zeros = np.zeros(count, np.int32)
    poses = np.stack([se3.from_xy_yaw(float(x), 0.0, 0.0) for x in numbers])
    return PlaceMap('map', card, (Camera('camera'),), rows, poses, numbers * SECOND_NS, zeros,
                    zeros, ('run',))


def drive(card: ModelCard, places: Descriptors, queries: Descriptors,
          numbers: NDArray[np.int64] | None = None) -> Driven:
    """Drive `queries` in order through the map of `places`, from knowing nothing."""
    numbers = np.arange(len(places)) if numbers is None else numbers
    card = replace(card, dim=places.shape[1])
    localizer = Localizer(EVERY_FRAME, map_of(places, card, numbers), _Stored(card, queries))
    outcomes = [localizer.localize(Frame(i * SECOND_NS, 'camera', np.full((1, 1, 1), i)))
                for i in range(len(queries))]
    best = [int(numbers[np.argmin(np.abs(numbers - o.hypotheses[0].pose[0]))])
            if o.hypotheses else -1 for o in outcomes]
    return Driven(np.array(best), tuple(o.signs for o in outcomes),
                  np.array([o.unknown_probability for o in outcomes]),
                  np.array([o.reason is Reason.ACCEPTED for o in outcomes]))
