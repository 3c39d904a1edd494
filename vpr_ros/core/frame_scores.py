# SPDX-License-Identifier: Apache-2.0
"""Every judged frame as a row of numbers, from which all scores are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.core.drive import Drive, drive_along
from vpr_ros.core.judged import JudgedFrame, Tolerance
from vpr_ros.core.positives import nearest_positives
from vpr_ros.core.types import Outcome, Timing
from vpr_ros.errors import VprError

RECALL_AT = (1, 5, 10, 20)
_NOT_TIMED = Timing(0.0, 0.0, 0.0)

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FrameScores:
    """The frames in the order of time, each array (Q,); NaN or -1 where there is nothing to say.

    Of the truth: `nearest_place` is the row of the nearest positive, -1 without one; `drive` the
    way so far. Of the picture alone: `similarity` of the best match, `hit_rank` the place of the
    first positive among the matches (0 is the best), -1 where none of the `depth` matches that
    the fullest list has is one. Of the best hypothesis, accepted or not: `probability`, errors,
    `right`. `accepted`: it left as a pose. Milliseconds by stop are NaN where nobody measured.
    """

    tolerance: Tolerance
    place_count: int
    depth: int
    stamps_ns: Rows
    drive: Drive
    nearest_place: Rows
    similarity: Values
    hit_rank: Rows
    probability: Values
    position_error_m: Values
    heading_error_rad: Values
    right: Flags
    accepted: Flags
    latency_ms: Values
    decode_ms: Values
    describe_ms: Values
    search_ms: Values
    judge_ms: Values

    def __len__(self) -> int:
        return len(self.stamps_ns)

    @property
    def has_match(self) -> Flags:
        """Whether the map holds a positive."""
        return self.nearest_place >= 0

    @property
    def guessed(self) -> Flags:
        """Whether there is a hypothesis."""
        return np.isfinite(self.probability)

    @property
    def looked(self) -> Flags:
        """Whether there is a match."""
        return np.isfinite(self.similarity)

    @property
    def wrong_fixes(self) -> Flags:
        """Whether a pose was given that is not right."""
        return self.accepted & ~self.right

    def hits(self, n: int) -> Flags:
        """Whether a positive is among the first `n` matches."""
        return (self.hit_rank >= 0) & (self.hit_rank < n)

    def is_deep_enough(self, n: int) -> bool:
        """Whether the lists of matches are long enough to speak of the first `n`."""
        return self.depth >= min(n, self.place_count)


def score_frames(frames: Sequence[JudgedFrame], places: se3.Array, tolerance: Tolerance,
                 breaks: Sequence[int] = ()) -> FrameScores:
    """Return what each of `frames`, in the order of time, is worth.

    `places` (N, 7) are the base poses that the rows of the map stand for; `breaks` the rows of
    frames with which another recording begins, beside those where a belief was dropped since time
    had jumped. Raises VprError for numbers that are not finite and matches that are not places of
    this map.
    """
    outcomes = [frame.outcome for frame in frames]
    stamps_ns = np.array([outcome.stamp_ns for outcome in outcomes], dtype=np.int64)
    truth = _poses([frame.truth for frame in frames], stamps_ns, 'true pose')
    places = _poses(list(places), None, 'place')
    begins = np.array([outcome.restarted for outcome in outcomes], dtype=np.bool_)
    begins[list(breaks)] = True
    begins[:1] = False
    depth = max((len(outcome.matches) for outcome in outcomes), default=0)
    matched, similarity = _matches(outcomes, min(depth, max(RECALL_AT)), len(places))
    guessed = np.array([bool(outcome.hypotheses) for outcome in outcomes], dtype=np.bool_)
    best = _poses([o.hypotheses[0].pose for o in outcomes if o.hypotheses], stamps_ns[guessed],
                  'hypothesis')
    probability = _spread([o.hypotheses[0].probability for o in outcomes if o.hypotheses], guessed)
    for row in np.flatnonzero(guessed & ~((probability >= 0.0) & (probability <= 1.0)))[:1]:
        raise VprError(f'the probability of frame {row} is {probability[row]}, which is none: '
                       'its outcome is damaged')
    timings = [outcome.timing for outcome in outcomes]
    return FrameScores(
        tolerance=tolerance, place_count=len(places), depth=depth, stamps_ns=stamps_ns,
        drive=drive_along(stamps_ns, truth, begins),
        nearest_place=nearest_positives(places, truth, tolerance),
        similarity=similarity,
        hit_rank=_hit_rank(matched, places, truth, tolerance),
        probability=probability,
        position_error_m=_spread(se3.distance_m(best, truth[guessed]), guessed),
        heading_error_rad=_spread(se3.angle_rad(best, truth[guessed]), guessed),
        right=_spread(tolerance.holds(best, truth[guessed]), guessed) == 1.0,
        accepted=np.array([o.accepted is not None for o in outcomes], dtype=np.bool_),
        latency_ms=np.array([frame.latency_ms for frame in frames], dtype=np.float64),
        decode_ms=_known([frame.decode_ms for frame in frames]),
        describe_ms=_known([None if t == _NOT_TIMED else t.describe_ms for t in timings]),
        search_ms=_known([None if t == _NOT_TIMED else t.search_ms for t in timings]),
        judge_ms=_known([None if t == _NOT_TIMED else t.judge_ms for t in timings]),
    )


def _poses(rows: Sequence[se3.Array], stamps_ns: Rows | None, what: str) -> se3.Array:
    """Return poses (n, 7), or raise VprError with the first that holds no numbers."""
    poses = np.array(rows, dtype=np.float64).reshape(-1, 7)
    bad = np.flatnonzero(~np.isfinite(poses).all(axis=1))
    if len(bad):
        where = '' if stamps_ns is None else f' (stamp {stamps_ns[bad[0]]} ns)'
        raise VprError(f'{len(bad)} of {len(poses)} poses hold NaN or infinity, the first is '
                       f'{what} {bad[0]}{where}; leave frames without a true pose out')
    return poses


def _matches(outcomes: Sequence[Outcome], depth: int, place_count: int) -> tuple[Rows, Values]:
    """Return the matched places (Q, depth), -1 for none, and the best similarity (Q,)."""
    place = np.full((len(outcomes), depth), -1, dtype=np.int64)
    similarity = np.full(len(outcomes), np.nan)
    for row, outcome in enumerate(outcomes):
        if outcome.matches:
            listed = [match.place for match in outcome.matches[:depth]]
            place[row, :len(listed)] = listed
            similarity[row] = outcome.matches[0].similarity
            if not np.isfinite(similarity[row]) or min(listed) < 0:
                raise VprError(f'the matches of frame {row} are damaged: place '
                               f'{min(listed)}, similarity {similarity[row]}')
    if place.size and int(place.max()) >= place_count:
        raise VprError(f'a frame was matched with place {int(place.max())}, but the map has '
                       f'{place_count}: these outcomes are of another map')
    return place, similarity


def _hit_rank(matched: Rows, places: se3.Array, truth: se3.Array, tolerance: Tolerance) -> Rows:
    if not matched.size:
        return np.full(len(truth), -1, dtype=np.int64)
    hits = (matched >= 0) & tolerance.holds(places[matched], truth[:, None])
    return np.where(hits.any(axis=1), np.argmax(hits, axis=1), -1)


def _spread(values: Sequence[float] | NDArray[np.generic], where: Flags) -> Values:
    """Return (Q,) with `values` at the rows `where`, NaN elsewhere."""
    spread = np.full(len(where), np.nan)
    spread[where] = values
    return spread


def _known(values: Sequence[float | None]) -> Values:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
