# SPDX-License-Identifier: Apache-2.0
"""When is a pose true? Calibrated on one half of real sequences, judged on the other.

`python bench/belief.py --shared ../shared [--model DIR ...] [--cache DIR] [--precision 0.98]`

No odometry. Every frame of the first traverse is a place, every frame of the second a step. The
first halves of the queries are driven through the whole map, and once more through what lies
beyond them (which is what being off the map looks like); on both, pooled over the sequences, the
probability is fitted and the threshold set. The second halves are then driven from knowing
nothing, and every query is driven through the map of every other place. The rivals get their
thresholds from the same frames by the same rule.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from belief_drives import cached, drive, Driven, Flags, READERS, Traverses
from belief_rivals import diagonal_sum, single_frame
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from vpr_ros.core.calibration import LEAST_PROBABILITY, threshold_for
from vpr_ros.core.card import ModelCard
from vpr_ros.core.confidence import fit, reliability
from vpr_ros.core.types import Descriptors
from vpr_ros.errors import MapError
from vpr_ros.nets.model_folder import load_describer

_GAP = 4            # places between a half and what counts as beyond it
_LEAST_PLACES = 8   # of a map that is worth driving through
_KIDNAPS = 20       # for each sequence
_BEFORE, _AFTER = 15, 40   # frames before and after a kidnapping

Scores = NDArray[np.float64]
Way = Callable[[Descriptors, Descriptors], 'Judged']


@dataclass(frozen=True, eq=False)
class Judged:
    """A way's answer to each frame: the best place (-1: none) and a score; -inf is refused."""

    best: NDArray[np.int64]
    score: Scores

    def right(self, truth: Flags) -> Flags:
        """Say which best places are right."""
        return (self.best >= 0) & truth[np.arange(len(self.best)), self.best]


@dataclass(frozen=True, eq=False)
class Sample:
    """Frames of one drive; `truth` is None where no place is right."""

    name: str
    places: Descriptors
    queries: Descriptors
    truth: Flags | None


def samples(sets: list[Traverses]) -> tuple[list[Sample], list[Sample], list[Sample]]:
    """Return the drives to calibrate on, to judge on, and through maps of other places."""
    calibrate, judge = [], []
    for one in sets:
        half = len(one.queries) // 2
        calibrate.append(Sample(one.name, one.places, one.queries[:half], one.right[:half]))
        judge.append(Sample(one.name, one.places, one.queries[half:], one.right[half:]))
        beyond = int(np.flatnonzero(one.right[:half].any(axis=0)).max()) + 1 + _GAP
        if len(one.places) - beyond >= _LEAST_PLACES:
            calibrate.append(Sample(f'{one.name}, beyond', one.places[beyond:],
                                    one.queries[:half], None))
    away = [Sample(f'{query.name} on {other.name}', other.places, query.queries, None)
            for query in sets for other in sets if query is not other]
    return calibrate, judge, away


class Ours:
    """The localizer, with the probability that was fitted on the drives to calibrate on."""

    def __init__(self, card: ModelCard, calibrate: list[Sample]) -> None:
        """Fit; all frames with a hypothesis count."""
        self._card = card
        self._driven: dict[int, Driven] = {}
        signs, right = [], []
        for sample in calibrate:
            driven = self._drive(sample.places, sample.queries)
            truth = _truth(driven, sample)
            signs += [sign for sign in driven.signs if sign is not None]
            right += [r for r, sign in zip(truth, driven.signs, strict=True) if sign is not None]
        self.confidence = fit(signs, np.array(right))

    def _drive(self, places: Descriptors, queries: Descriptors) -> Driven:
        key = hash((places.tobytes(), queries.tobytes()))
        if key not in self._driven:
            self._driven[key] = drive(self._card, places, queries)
        return self._driven[key]

    def probability(self, places: Descriptors, queries: Descriptors) -> Judged:
        """Return the probability of each best place, whatever the other rules say."""
        driven = self._drive(places, queries)
        return Judged(driven.best, np.array([
            -np.inf if sign is None else self.confidence.probability(sign)
            for sign in driven.signs]))

    def __call__(self, places: Descriptors, queries: Descriptors) -> Judged:
        """Return the probability of each best place, where the other rules let it pass."""
        driven = self._drive(places, queries)
        judged = self.probability(places, queries)
        return Judged(judged.best, np.where(driven.passes, judged.score, -np.inf))

    def without_unknown(self, places: Descriptors, queries: Descriptors) -> Judged:
        """Return what the belief says when it must be somewhere in the map."""
        driven = self._drive(places, queries)
        odds = np.array([-np.inf if sign is None else sign.odds for sign in driven.signs])
        share = 1.0 / (1.0 + np.exp(-odds))
        known = np.clip(share / np.maximum(1.0 - driven.unknown, 1e-12), 1e-12, 1.0 - 1e-12)
        return Judged(driven.best, np.log(known) - np.log1p(-known))


def _rival(way: Callable[..., tuple[NDArray[np.int64], dict[str, Scores]]], kind: str) -> Way:
    def judged(places: Descriptors, queries: Descriptors) -> Judged:
        best, scores = way(places, queries)
        return Judged(best, scores[kind])
    return judged


def _truth(judged: Judged | Driven, sample: Sample) -> Flags:
    if sample.truth is None:
        return np.zeros(len(judged.best), dtype=bool)
    return judged.right(sample.truth)


def threshold_of(way: Way, drives: list[Sample], precision: float, least: float) -> float:
    """Return the threshold that keeps the precision on these drives, pooled; inf: none does."""
    judged = [way(sample.places, sample.queries) for sample in drives]
    score = np.concatenate([one.score for one in judged])
    right = np.concatenate([_truth(j, s) for j, s in zip(judged, drives, strict=True)])
    known = np.isfinite(score)
    try:
        return threshold_for(score[known], right[known], precision, least)
    except MapError:
        return np.inf


@dataclass(frozen=True)
class Row:
    """One way's numbers on the drives to judge on."""

    precision: float
    accepted: int
    wrong: int
    coverage: dict[str, float]
    away: int
    away_frames: int
    waits: dict[str, list[float]]


def row_of(way: Way, threshold: float, judge: list[Sample], away: list[Sample],
           sets: list[Traverses]) -> Row:
    """Return what a way does at its threshold."""
    accepted = wrong = 0
    coverage = {}
    for sample in judge:
        judged = way(sample.places, sample.queries)
        passed, right = judged.score >= threshold, _truth(judged, sample)
        assert sample.truth is not None
        matched = sample.truth.any(axis=1)
        accepted, wrong = accepted + int(passed.sum()), wrong + int((passed & ~right).sum())
        coverage[sample.name] = float((passed & matched).sum() / matched.sum())
    fixes = sum(int((way(s.places, s.queries).score >= threshold).sum()) for s in away)
    waits = {one.name: found_after(way, threshold, one) for one in sets}
    return Row(1.0 - wrong / max(accepted, 1), accepted, wrong, coverage, fixes,
               sum(len(s.queries) for s in away), waits)


def found_after(way: Way, threshold: float, one: Traverses) -> list[float]:
    """Return, for each of some kidnappings, the frames until the first right pose; inf: none.

    The robot drives some frames of one stretch, and then of another one far away.
    """
    count = len(one.queries)
    before, after = min(_BEFORE, count // 4), min(_AFTER, count // 3)
    waits = []
    for start in np.linspace(0, count - after, _KIDNAPS).astype(int):
        origin = 0 if start > count // 2 else count - before
        frames = np.r_[origin:origin + before, start:start + after]
        judged = way(one.places, one.queries[frames])
        right = (judged.right(one.right[frames]) & (judged.score >= threshold))[before:]
        waits.append(float(np.argmax(right)) + 1.0 if right.any() else np.inf)
    return waits


def recall(way: Way, one: Traverses) -> float:
    """Return the share of all queries with a match whose best place is right."""
    matched = one.has_match
    return float(way(one.places, one.queries).right(one.right)[matched].mean())


def report(console: Console, card: ModelCard, sets: list[Traverses], precision: float) -> None:
    """Print the tables of one model."""
    calibrate, judge, away = samples(sets)
    ours = Ours(card, calibrate)
    ways: dict[str, tuple[Way, float]] = {'vpr_ros': (ours, LEAST_PROBABILITY)}
    ways |= {f'one frame, {kind}': (_rival(single_frame, kind), -np.inf)
             for kind in ('value', 'margin', 'deviations')}
    ways |= {f'diagonal sum, {kind}': (_rival(diagonal_sum, kind), -np.inf)
             for kind in ('value', 'margin', 'deviations')}
    ways['belief without unknown'] = (ours.without_unknown, -np.inf)
    names = [one.name[:5].rstrip('_') for one in sets]
    table = Table(title=f'{card.name}: calibrated for precision {precision:g} on first halves, '
                        'judged on second halves')
    for column in ('way', 'precision', 'accepted', 'wrong', *[f'cov {n}' for n in names],
                   'off map', *[f'fix {n}' for n in names], 'fix, all'):
        table.add_column(column, justify='left' if column == 'way' else 'right')
    for name, (way, least) in ways.items():
        threshold = threshold_of(way, calibrate, precision, least)
        row = row_of(way, threshold, judge, away, sets)
        table.add_row(name, f'{row.precision:.4f}', str(row.accepted), str(row.wrong),
                      *[f'{value:.2f}' for value in row.coverage.values()],
                      f'{1000 * row.away / row.away_frames:.2f}',
                      *[f'{np.median(waits):.0f}' for waits in row.waits.values()],
                      f'{np.median(np.concatenate(list(row.waits.values()))):.1f}')
    console.print(table)
    score, right = _held_out(ours, judge)
    diagram = reliability(score, right)
    console.print(f'expected calibration error of vpr_ros on the second halves: '
                  f'{diagram.error:.3f} over {len(score)} frames (10 bins)')
    ranks = Table(title='recall@1 of the best place over all frames, from the beginning')
    for column in ('way', *names):
        ranks.add_column(column, justify='left' if column == 'way' else 'right')
    for name in ('vpr_ros', 'one frame, value', 'diagonal sum, value'):
        way = ours.probability if name == 'vpr_ros' else ways[name][0]
        ranks.add_row(name, *[f'{recall(way, one):.3f}' for one in sets])
    console.print(ranks)


def _held_out(ours: Ours, judge: list[Sample]) -> tuple[Scores, Flags]:
    judged = [(ours.probability(s.places, s.queries), s) for s in judge]
    score = np.concatenate([j.score for j, _ in judged])
    right = np.concatenate([_truth(j, s) for j, s in judged])
    return score[np.isfinite(score)], right[np.isfinite(score)]


def main() -> None:
    """Print the tables of each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--shared', type=Path, default=Path('../shared'))
    parser.add_argument('--model', type=Path, action='append', help='left out: the default model')
    parser.add_argument('--cache', type=Path, help='keep the descriptors here')
    parser.add_argument('--precision', type=float, default=0.98)
    flags = parser.parse_args()
    console = Console(width=170)
    for model in flags.model or [None]:
        describer = load_describer(model, engine='onnxruntime')  # fp32, whatever is faster here
        sets = cached(flags.cache, READERS, flags.shared / 'data', describer)
        report(console, describer.card, sets, flags.precision)
    console.print(
        'right: stromovka and nordland within 2 frames, corridor and laps by the lists of the '
        'set, campus within 5 m; cov: accepted share of the frames with a match; off map: '
        'accepted of 1,000 frames, all pairs of different places; fix: frames until the first '
        f'right pose after a kidnapping, median of {_KIDNAPS}. A way that accepts nothing has no '
        'threshold that keeps the precision on the first halves', style='dim')


if __name__ == '__main__':
    main()
