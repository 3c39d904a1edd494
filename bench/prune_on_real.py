# SPDX-License-Identifier: Apache-2.0
"""What a network recalls of real images when its descriptor is projected and its channels pruned.

`python bench/prune_on_real.py MODEL --work DIR [--dim 768 --whitening 0.5 --unit-positions]
[--config config/prune_default.yaml] [--epochs N --last-epochs N] [--shared ../shared]`

`vpr project` (with --dim), then `vpr prune` of what came out, which is its teacher as well: both
learn from the training halves and rendered pictures, as the default model does. Recall@1 by exact
search on the held-out halves (of which two choose) and on the sets that no half was trained on.
A run that was stopped goes on; `bench/small_on_real.py MODEL DIR/run/step_..` tells time and size.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vpr_ros.compress.distill_config import DistillConfig
from vpr_ros.compress.distill_images import source_images
from vpr_ros.compress.finetune_data import Pictures
from vpr_ros.compress.project import project, Projection
from vpr_ros.compress.prune_config import RunConfig
from vpr_ros.compress.prune_default import judge_on
from vpr_ros.compress.prune_points import Recalled
from vpr_ros.compress.prune_run import Goal, prune_and_learn
from vpr_ros.core.precision import Precision
from vpr_ros.nets.model_folder import MANIFEST, read_card
from vpr_ros.nets.torch_describer import load_network


def table_of(rows: Sequence[tuple[str, int, int, Sequence[Recalled]]]) -> Table:
    """Return a line a network: its numbers, its weights, recall@1 by set."""
    table = Table(title='recall@1', box=None, padding=(0, 2, 0, 0))
    for name in ('', 'numbers', 'weights'):
        table.add_column(name, justify='right' if name else 'left')
    for each in rows[0][3]:
        table.add_column(f'{each.pair} ({each.queries})', justify='right')
    for name, dim, weights, found in rows:
        table.add_row(name, str(dim), f'{weights / 1e6:.2f} M',
                      *(f'{each.at_1:.3f}' for each in found))
    return table


def main() -> None:
    """Project, prune, learn, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('model', type=Path)
    parser.add_argument('--work', type=Path, required=True)
    parser.add_argument('--shared', type=Path, default=Path('../shared'))
    parser.add_argument('--dim', type=int, help='project the descriptor to so many numbers first')
    parser.add_argument('--whitening', type=float, default=Projection.whitening)
    parser.add_argument('--unit-positions', action='store_true')
    parser.add_argument('--config', type=Path, default=Path('config/prune_default.yaml'))
    for name in ('epochs', 'last-epochs', 'seed'):
        parser.add_argument(f'--{name}', type=int)
    parser.add_argument('--sparsity', type=float)
    flags = parser.parse_args()
    knobs = {name: getattr(flags, name) for name in ('epochs', 'last_epochs', 'seed', 'sparsity')}
    config = RunConfig.read(flags.config, **{
        name: value for name, value in knobs.items() if value is not None})
    console = Console(width=200)
    data = flags.shared / 'data'
    judge = judge_on(data)
    lessons = Pictures(source_images(data, DistillConfig(), config.learn.seed))
    card = read_card(flags.model)
    network = load_network(flags.model, card)
    weights = sum(p.numel() for p in network.parameters())
    rows = [(card.name, card.dim, weights, judge.recalls(network, card))]
    parent = flags.model
    if flags.dim is not None:
        parent = flags.work / 'projected'
        if not (parent / MANIFEST).is_file():
            project(flags.model, lessons, judge, Projection(
                flags.dim, flags.whitening, flags.unit_positions, seed=config.learn.seed), parent)
    points = prune_and_learn(
        parent, lessons, judge, config, Goal(map_precision=Precision.INT8), flags.work / 'run',
        say=lambda text: console.print(text, highlight=False, soft_wrap=True))
    rows += [(f'without {point.sparsity:.0%}', point.dim, point.parameters, point.recalls)
             for point in points]
    console.print(table_of(rows))
    for each in points[0].recalls:
        console.print(f'{each.pair}: {each.protocol}', style='dim', highlight=False)


if __name__ == '__main__':
    main()
