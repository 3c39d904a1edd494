# SPDX-License-Identifier: Apache-2.0
"""The sets that may be learned from, cut by place: first halves train, second halves evaluate.

Only the sets whose licences allow redistribution take part: corridor, indoor_two_laps,
campus_loop. A few places between the halves belong to neither, so that no place is seen on both
sides of the cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vpr_ros.core import pose as se3
from vpr_ros.core.types import Image
from vpr_ros.datasets.run import RunPair
from vpr_ros.datasets.sequences import (
    campus_loop,
    campus_loop_whole,
    corridor,
    indoor_two_laps,
    part_of,
)

GAP_FRAMES = 3        # of places a metre (a frame) apart
_CAMPUS_GAP_M = 12.0  # the campus loop ends near its start


def training_halves(root: Path) -> tuple[Image, ...]:
    """Return the images that may train: both traverses of the first half of each set.

    Raises DatasetError where a set is missing below `root`.
    """
    whole = campus_loop_whole(root)
    images: list[Image] = list(whole.images[:len(whole.images) // 2])
    for pair in (corridor(root), indoor_two_laps(root)):
        half = len(pair.mapping.images) // 2
        for run in (pair.mapping, pair.query):
            images += [run.images[int(i)] for i in
                       np.flatnonzero(run.map_from_base[:, 0] < half)]
    return tuple(images)


def held_out_pairs(root: Path) -> tuple[RunPair, ...]:
    """Return the second halves as pairs; their positives are those of the whole set.

    Raises DatasetError where a set is missing below `root`.
    """
    cut = []
    for pair in (corridor(root), indoor_two_laps(root)):
        beyond = len(pair.mapping.images) // 2 + GAP_FRAMES
        rows = [np.flatnonzero(run.map_from_base[:, 0] >= beyond).tolist()
                for run in (pair.mapping, pair.query)]
        cut.append(restricted(pair, rows[0], rows[1]))
    pair, whole = campus_loop(root), campus_loop_whole(root)
    trained = whole.map_from_base[:len(whole.images) // 2]
    rows = [[i for i, pose in enumerate(run.map_from_base)
             if float(se3.distance_m(trained, pose).min()) > _CAMPUS_GAP_M]
            for run in (pair.mapping, pair.query)]
    return (*cut, restricted(pair, rows[0], rows[1]))


def restricted(pair: RunPair, map_rows: Sequence[int], query_rows: Sequence[int]) -> RunPair:
    """Return the pair with only those frames of either run; positives are renumbered."""
    number = {old: new for new, old in enumerate(map_rows)}
    positives = None if pair.positives is None else tuple(
        tuple(number[j] for j in pair.positives[q] if j in number) for q in query_rows)
    return RunPair(f'{pair.name} (held out)', part_of(pair.mapping, 'held out', map_rows),
                   part_of(pair.query, 'held out', query_rows), pair.tolerance_m,
                   pair.tolerance_deg, f'{pair.protocol}; second half by place only', positives)
