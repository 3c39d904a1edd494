# SPDX-License-Identifier: Apache-2.0
"""How long one step of the belief takes on large maps: `python bench/belief_speed.py`.

Places stand half a meter apart on one winding road, descriptors are random. A step: move, then
look; with a measured motion, and without odometry. Beside it what the frame costs besides: the
similarities relative to the map, and the clusters. Medians of 50, in ms.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from time import perf_counter

import numpy as np
from rich.console import Console
from rich.table import Table

from vpr_ros.core import pose as se3
from vpr_ros.core.belief import Belief, BeliefConfig
from vpr_ros.core.clusters import ClusterConfig, clusters
from vpr_ros.core.contrast import Contrast
from vpr_ros.core.evidence import evidence_of, EvidenceConfig

_SPACING_M = 0.5
_DIM = 1024
_REPEATS = 50


def road(count: int) -> se3.Array:
    """Return (count, 7): places along a road that winds in wide bends."""
    yaw = 0.6 * np.sin(np.arange(count) / 40.0)
    x, y = np.cumsum(_SPACING_M * np.cos(yaw)), np.cumsum(_SPACING_M * np.sin(yaw))
    return np.stack([se3.from_xy_yaw(*row) for row in zip(x, y, yaw, strict=True)])


def median_ms(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    times = []
    for _ in range(_REPEATS):
        started = perf_counter()
        work()
        times.append(perf_counter() - started)
    return float(np.median(times) * 1e3)


def row(count: int) -> list[str]:
    """Return the row of a map with so many places."""
    rng = np.random.default_rng(0)
    poses = road(count)
    rows = rng.normal(size=(count, _DIM)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    started = perf_counter()
    contrast = Contrast(rows)
    belief = Belief(BeliefConfig(), poses, np.append(np.arange(1, count), -1))
    load_s = perf_counter() - started
    views = cycle([contrast.of(rows[i], contrast.mean) for i in range(20)])

    def step(motion: se3.Array | None) -> None:
        similarity = next(views)
        belief.move(motion, 1.0)
        belief.look(evidence_of(EvidenceConfig(), similarity), similarity)

    ahead = se3.from_xy_yaw(_SPACING_M, 0.0, 0.0)
    times = (median_ms(lambda: step(ahead)), median_ms(lambda: step(None)),
             median_ms(lambda: contrast.of(rows[0], contrast.mean)),
             median_ms(lambda: clusters(ClusterConfig(), poses, belief.probabilities, 0.5)))
    return [str(count), *[f'{ms:.2f}' for ms in times], f'{load_s:.2f}']


def main() -> None:
    """Print a row for each size of map."""
    table = Table(title='ms a step')
    for column in ('places', 'with odometry', 'without', 'similarities', 'clusters',
                   'load, s'):
        table.add_column(column, justify='right')
    for count in (1_000, 10_000, 100_000):
        table.add_row(*row(count))
    Console().print(table)


if __name__ == '__main__':
    main()
