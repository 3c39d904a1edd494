# SPDX-License-Identifier: Apache-2.0
"""Is pruning the descriptor nearly free? gamma 0 against gamma 1 at equal parameters, by seed.

`python bench/prune_gamma.py [--shared ../shared] [--seeds 3] [--work DIR]`

The default model, half of its channels gone in one cut, then equally short learning: on views of
the training halves and of rendered pictures, from the dense network. A third arm has as many
numbers as gamma 1, but the network was projected to them before (`vpr project`), and gamma is 0.
Recall@1 of each child on a map of its own, on real images, by exact search; mean over seeds, and
lowest and highest.
Grainge et al. (RA-L 2025) find the descriptor's half nearly free. A run that is there is read.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.table import Table

from vpr_ros.compress.distill_config import DistillConfig
from vpr_ros.compress.distill_images import source_images
from vpr_ros.compress.finetune_data import Pictures
from vpr_ros.compress.project import project, Projection
from vpr_ros.compress.prune_config import RunConfig
from vpr_ros.compress.prune_default import judge_on
from vpr_ros.compress.prune_points import Point
from vpr_ros.compress.prune_run import Goal, prune_and_learn
from vpr_ros.nets.model_folder import default_model_folder, MANIFEST, read_card

KNOBS = {'sparsity': 0.5, 'steps': 1, 'epochs': 3, 'last_epochs': 0, 'size_px': 128,
         'views': 8192, 'reuse': 4, 'learning_rate': 0.0015, 'ema': 0.99, 'refit': 256}


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--shared', type=Path, default=Path('../shared'))
    parser.add_argument('--model', type=Path, default=None)
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--work', type=Path, help='keep the networks here, and go on after a kill')
    flags = parser.parse_args()
    data, console = flags.shared / 'data', Console(width=180)
    distill = DistillConfig.read(Path(__file__).parents[1] / 'config' / 'distill.yaml')
    lessons, judge = Pictures(source_images(data, distill, 0)), judge_on(data)
    whole = flags.model or default_model_folder()
    half = read_card(whole).dim // 2
    arms = {'gamma 0': (whole, 0.0), 'gamma 1': (whole, 1.0), 'projected': (None, 0.0)}
    found: dict[str, list[Point]] = {}
    parents: list[Point] = []
    with TemporaryDirectory() as scratch:
        work = flags.work or Path(scratch)
        for seed in range(flags.seeds):
            for arm, (parent, gamma) in arms.items():
                config = RunConfig.read(None, **KNOBS, gamma=gamma, seed=seed)
                if parent is None:
                    parent = work / f'projected_seed_{seed}_parent'
                    if not (parent / MANIFEST).is_file():
                        project(whole, lessons, judge, Projection(half, seed=seed), parent)
                out = work / f'{arm.replace(" ", "_")}_seed_{seed}'
                before, point = prune_and_learn(parent, lessons, judge, config,
                                                Goal(measure_speed=False), out,
                                                say=lambda _: None)
                parents.append(before)   # the first one is whole
                found.setdefault(arm, []).append(point)
                console.print(f'{arm}, seed {seed}: ' + '  '.join(
                    f'{each.pair} {each.at_1:.3f}' for each in point.recalls), highlight=False)
    console.print(table_of(parents[0], found))
    steps = KNOBS['epochs'] * KNOBS['views'] * KNOBS['reuse'] // config.learn.batch
    console.print('recall@1, each network on a map of its own, exact search; after the cut '
                  f'{steps} steps of {config.learn.batch} views of {KNOBS["size_px"]} px',
                  style='dim')


def table_of(dense: Point, found: dict[str, list[Point]]) -> Table:
    """Return the recalls by set and arm: mean, lowest and highest over seeds."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ('set', 'queries', f'dense, {dense.dim}-d'):
        table.add_column(name, justify='left' if name == 'set' else 'right')
    for arm, points in found.items():
        table.add_column(f'{arm}, {points[0].dim}-d, {points[0].parameters / 1e3:.0f} k weights, '
                         f'{len(points)} seeds', justify='right')
    for row, each in enumerate(dense.recalls):
        recalls = [[point.recalls[row].at_1 for point in points] for points in found.values()]
        table.add_row(each.pair, str(each.queries), f'{each.at_1:.3f}', *(
            f'{np.mean(of):.3f} ({min(of):.3f} to {max(of):.3f})' for of in recalls))
    return table


if __name__ == '__main__':
    main()
