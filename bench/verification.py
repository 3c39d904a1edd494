# SPDX-License-Identifier: Apache-2.0
"""How well geometry tells the right place from one that looks alike, and what it costs.

`python bench/verification.py --shared ../shared [--model DIR]`

Each query that has a positive is compared with three places by local features alone, no lens
known: the positive that resembles it most, the wrong place that resembles it most (no positive
nor one of two neighbors; "wrong" by the model), and a random place of another set ("other").
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from vpr_ros.core.local_features import extract, FeatureConfig, FeatureKind, Features
from vpr_ros.core.types import Describer, Image
from vpr_ros.core.verification import verify
from vpr_ros.datasets import sequences
from vpr_ros.nets.model_folder import load_describer

_SETS = ('corridor', 'indoor_two_laps', 'campus_loop', 'stromovka_summer_winter')
_NEIGHBORS = 2
_SEED = 0
THRESHOLDS = (15, 20, 25)

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Trial:
    """A set with, for each query, the places to compare it with; -1 where there is none."""

    name: str
    places: Sequence[Image]
    queries: Sequence[Image]
    right: Numbers
    wrong: Numbers
    describe_ms: float


@dataclass
class Inliers:
    """Inliers of each comparison, and what it took."""

    right: list[int] = field(default_factory=list)
    wrong: list[int] = field(default_factory=list)
    other: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def trial_of(name: str, root: Path, describer: Describer) -> Trial:
    """Return which places a set's queries are to be compared with."""
    pair = sequences.open_pair(name, root)
    places, queries = list(pair.mapping.images), list(pair.query.images)
    mapped = np.concatenate([describer.describe([image]) for image in places])
    started = perf_counter()
    asked = np.concatenate([describer.describe([image]) for image in queries])
    describe_ms = (perf_counter() - started) * 1e3 / len(queries)
    similarity = asked @ mapped.T
    right, wrong = np.full(len(queries), -1), np.full(len(queries), -1)
    for query, listed in enumerate(pair.positives or pair.metric_positives()):
        if not listed:
            continue
        near = np.zeros(len(places), np.bool_)
        for place in listed:
            near[max(0, place - _NEIGHBORS):place + _NEIGHBORS + 1] = True
        right[query] = max(listed, key=lambda place: similarity[query, place])
        if not near.all():
            wrong[query] = int(np.where(near, -np.inf, similarity[query]).argmax())
    return Trial(name, places, queries, right, wrong, describe_ms)


def compare(trial: Trial, places: Sequence[Features], others: Sequence[Features],
            config: FeatureConfig) -> tuple[Inliers, float]:
    """Return the inliers of all comparisons, and milliseconds to extract a query's features."""
    random = np.random.default_rng(_SEED)
    found, extract_s = Inliers(), 0.0
    for query, image in enumerate(trial.queries):
        if trial.right[query] < 0:
            continue
        started = perf_counter()
        looked = extract(image, config)
        extract_s += perf_counter() - started
        pairs = [(found.right, places[trial.right[query]]),
                 (found.other, others[int(random.integers(len(others)))])]
        if trial.wrong[query] >= 0:
            pairs.append((found.wrong, places[trial.wrong[query]]))
        for into, place in pairs:
            started = perf_counter()
            into.append(verify(looked, place).inliers)
            found.seconds.append(perf_counter() - started)
    return found, extract_s * 1e3 / len(found.right)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--shared', type=Path, default=Path('../shared'))
    parser.add_argument('--model', type=Path, help='left out: the default model')
    flags = parser.parse_args()
    cv2.setNumThreads(1)
    describer = load_describer(flags.model, 1)
    trials = [trial_of(name, flags.shared / 'data', describer) for name in _SETS]
    console = Console(width=170)
    for kind in FeatureKind:
        config = FeatureConfig(kind)
        features = {trial.name: [extract(image, config) for image in trial.places]
                    for trial in trials}
        table, cost = _tables(kind)
        for trial in trials:
            others = [one for name, of_set in features.items() if name != trial.name
                      for one in of_set]
            found, extract_ms = compare(trial, features[trial.name], others, config)
            table.add_row(
                trial.name, str(len(found.right)), _quantiles(found.right, (0.1, 0.5)),
                _quantiles(found.wrong, (0.5, 0.98)), _quantiles(found.other, (0.5, 0.98)),
                f'{_ranked(found.right, found.wrong):.3f}',
                *(f'{_share(found.right, limit):.2f} / {_share(found.wrong, limit):.2f} / '
                  f'{_share(found.other, limit):.2f}' for limit in THRESHOLDS))
            pair_ms = float(np.median(found.seconds)) * 1e3
            cost.add_row(trial.name, f'{extract_ms:.1f}', f'{extract_ms / trial.describe_ms:.2f}',
                         f'{pair_ms:.1f}', f'{pair_ms / trial.describe_ms:.2f}')
        console.print(table)
        console.print(cost)
    console.print(f'{describer.card.name}, one thread; describing is with the same. Ranked: how '
                  'often the right place has more inliers than the wrong one (any two queries)',
                  style='dim')


def _tables(kind: FeatureKind) -> tuple[Table, Table]:
    table = Table(title=f'{kind.value}: inliers, and the share with at least so many '
                  '(right / wrong / other)')
    for column in ('set', 'queries', 'right q10 q50', 'wrong q50 q98', 'other q50 q98', 'ranked',
                   *map(str, THRESHOLDS)):
        table.add_column(column, justify='left' if column == 'set' else 'right')
    cost = Table(title=f'{kind.value}: cost')
    for column in ('set', 'extract ms', '/ describe', 'pair ms', '/ describe'):
        cost.add_column(column, justify='left' if column == 'set' else 'right')
    return table, cost


def _quantiles(inliers: Sequence[int], which: Sequence[float]) -> str:
    return ' '.join(f'{value:.0f}' for value in np.quantile(inliers, which))


def _share(inliers: Sequence[int], limit: int) -> float:
    return float(np.mean(np.asarray(inliers) >= limit))


def _ranked(right: Sequence[int], wrong: Sequence[int]) -> float:
    more = np.asarray(right)[:, None] - np.asarray(wrong)
    return float(((more > 0) + 0.5 * (more == 0)).mean())


if __name__ == '__main__':
    main()
