# SPDX-License-Identifier: Apache-2.0
"""How far the numbers of a run would scatter on other runs: bootstrap by stretches of the way.

Frames that follow one another succeed and fail together, so drawing single frames pretends that
there is more to learn from a run than there is. Whole stretches are drawn instead (blocks that do
not overlap: Carlstein, Annals of Statistics 1986), by distance: a minute of standing is one view.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.drive import Drive
from vpr_ros.errors import VprError

LEAST_BLOCKS = 5       # fewer stretches say nothing about how they scatter
_LONG, _SHORT = 20.0, 2.0   # of the tolerance: lengths of a stretch
_STRETCHES = 12.0      # of a run that is too short for many long ones
_CELLS = 4_000_000     # numbers that are held at once: 32 MB

Values = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are found.

    `block_m`: length of a stretch; 0: twenty tolerances, but at most a twelfth of the drive and
    at least two tolerances.
    """

    resamples: int = 1000
    confidence: float = 0.95
    seed: int = 0
    block_m: float = 0.0

    def __post_init__(self) -> None:
        if self.resamples < 1 or not 0.0 < self.confidence < 1.0 or not self.block_m >= 0.0:
            raise VprError('a bootstrap needs at least 1 resample, a confidence between 0 and 1 '
                           'and blocks of positive length')

    def length_m(self, drive: Drive, tolerance_m: float) -> float:
        """Return the length of a stretch of this drive."""
        return self.block_m or max(_SHORT * tolerance_m, min(_LONG * tolerance_m,
                                                             drive.length_m / _STRETCHES))


@dataclass(frozen=True, eq=False)
class Blocks:
    """The stretch of each frame, `of` (Q,), numbered from 0; none crosses two recordings."""

    of: NDArray[np.int64]
    count: int
    length_m: float


def blocks_of(drive: Drive, length_m: float) -> Blocks:
    """Return the stretches of a drive, each `length_m` long, the last of a recording shorter."""
    if not len(drive.driven_m):
        return Blocks(np.zeros(0, dtype=np.int64), 0, length_m)
    firsts = np.searchsorted(drive.recording, drive.recording)
    along = np.floor((drive.driven_m - drive.driven_m[firsts]) / length_m)
    changes = (np.diff(along) != 0.0) | (np.diff(drive.recording) != 0)
    of = np.concatenate([[0], np.cumsum(changes)]).astype(np.int64)
    return Blocks(of, int(of[-1]) + 1, length_m)


def share_intervals(bootstrap: Bootstrap, blocks: Blocks,
                    shares: Mapping[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]
                    ) -> dict[str, Interval | None]:
    """Return an interval for each share: hits (Q,) among the frames that count (Q,).

    Percentiles of the resampled shares. Where every stretch agrees (all right or all wrong)
    resampling sees no scatter, so the open end is that of Clopper and Pearson (Biometrika 1934)
    for as many independent trials as there are stretches. None under LEAST_BLOCKS stretches that
    count.
    """
    sums = {name: (np.bincount(blocks.of[hits & among], minlength=blocks.count),
                   np.bincount(blocks.of[among], minlength=blocks.count))
            for name, (hits, among) in shares.items()}
    drawn: dict[str, list[Values]] = {name: [] for name in shares}
    for weights in _weights(bootstrap, blocks, blocks.count):
        for name, (hit, count) in sums.items():
            total = weights @ count
            drawn[name].append((weights @ hit)[total > 0] / total[total > 0])
    return {name: _share_interval(bootstrap, hit, count, np.concatenate(drawn[name]))
            if int((count > 0).sum()) >= LEAST_BLOCKS else None
            for name, (hit, count) in sums.items()}


def median_interval(bootstrap: Bootstrap, blocks: Blocks, values: Values,
                    among: NDArray[np.bool_]) -> Interval | None:
    """Return the interval of the median of `values` (Q,) of the frames `among` (Q,)."""
    order = np.flatnonzero(among)[np.argsort(values[among], kind='stable')]
    ranked, block = values[order], blocks.of[order]
    if len(np.unique(block)) < LEAST_BLOCKS:
        return None
    medians = []
    for weights in _weights(bootstrap, blocks, max(blocks.count, len(order))):
        upto = np.cumsum(weights[:, block], axis=1)
        total = upto[:, -1]
        upto, total = upto[total > 0], total[total > 0]
        # The two in the middle are one where their number is odd.
        low, high = ((upto <= middle[:, None]).sum(axis=1)
                     for middle in ((total - 1) // 2, total // 2))
        medians.append((ranked[low] + ranked[high]) / 2.0)
    return _percentiles(bootstrap, np.concatenate(medians))


def _weights(bootstrap: Bootstrap, blocks: Blocks, width: int) -> Iterator[Values]:
    """Yield how often each stretch was drawn, (some resamples, blocks); always the same draws."""
    if not blocks.count:
        return
    rng = np.random.default_rng(bootstrap.seed)
    left, most = bootstrap.resamples, max(_CELLS // width, 1)
    while left:
        rows = min(left, most)
        drawn = rng.integers(blocks.count, size=(rows, blocks.count))
        drawn += np.arange(rows)[:, None] * blocks.count
        yield np.bincount(drawn.ravel(), minlength=rows * blocks.count).reshape(
            rows, blocks.count).astype(np.float64)
        left -= rows


def _share_interval(bootstrap: Bootstrap, hit: NDArray[np.int64], count: NDArray[np.int64],
                    drawn: Values) -> Interval:
    alone = ((1.0 - bootstrap.confidence) / 2.0) ** (1.0 / int((count > 0).sum()))
    if hit.sum() == count.sum():
        return alone, 1.0
    return (0.0, 1.0 - alone) if not hit.sum() else _percentiles(bootstrap, drawn)


def _percentiles(bootstrap: Bootstrap, drawn: Values) -> Interval:
    tail = (1.0 - bootstrap.confidence) / 2.0
    low, high = np.quantile(drawn, [tail, 1.0 - tail])
    return float(low), float(high)
