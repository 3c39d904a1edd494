# SPDX-License-Identifier: Apache-2.0
"""What a model recalls on the public sets, by exact search: the table of its card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.types import Describer
from vpr_ros.datasets.halves import restricted
from vpr_ros.datasets.run import RunPair
from vpr_ros.datasets.sequences import (
    corridor,
    indoor_two_laps,
    stromovka_summer_winter,
    webcam_seasons,
)


@dataclass(frozen=True)
class Recall:
    """The share of `queries` (those that have a positive) with one among their best matches."""

    pair: str
    protocol: str
    queries: int
    at_1: float
    at_5: float


def recall_on(describer: Describer, pair: RunPair) -> Recall:
    """Return the recall of `pair`'s query run in its mapping run, by exact inner products.

    Positives are those that the set lists, or places within the pair's tolerances.
    """
    places = describer.describe(list(pair.mapping.images))
    similarity = describer.describe(list(pair.query.images)) @ places.T
    positives = pair.metric_positives() if pair.positives is None else pair.positives
    at_1, at_5 = (recall_at(similarity, positives, count) for count in (1, 5))
    return Recall(pair.name, pair.protocol, sum(map(bool, positives)), at_1, at_5)


def recall_at(similarity: NDArray[np.float32], positives: Sequence[Sequence[int]],
              count: int) -> float:
    """Return the share of rows with a positive that have one among their `count` largest.

    `similarity` (queries, places); rows without a positive are left out, NaN when none is left.
    """
    best = np.argsort(-similarity, axis=1, kind='stable')[:, :count]
    hits = [bool(set(row.tolist()) & set(wanted))
            for row, wanted in zip(best, positives, strict=True) if wanted]
    return float(np.mean(hits)) if hits else float('nan')


def benchmark_pairs(data: Path) -> Mapping[str, RunPair]:
    """Return what the default model is judged on, by short name.

    stromovka and webcams are never trained on; of corridor and laps the first halves are, so
    their second halves, asked against the whole map, stand beside them.
    Raises DatasetError where a set is missing below `data`.
    """
    pairs = {'stromovka': stromovka_summer_winter(data), 'webcams': webcam_seasons(data)}
    for name, pair in (('corridor', corridor(data)), ('laps', indoor_two_laps(data))):
        pairs[name] = pair
        rows = range(len(pair.query.images))
        pairs[f'{name}_held_out'] = restricted(pair, range(len(pair.mapping.images)),
                                               rows[(len(rows) + 1) // 2:])
    return pairs


def benchmark(describer: Describer, data: Path) -> dict[str, Recall]:
    """Return the recalls on all of `benchmark_pairs`."""
    return {name: recall_on(describer, pair) for name, pair in benchmark_pairs(data).items()}
