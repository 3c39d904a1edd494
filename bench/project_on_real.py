# SPDX-License-Identifier: Apache-2.0
"""What a network recalls of real images as its descriptor is projected to fewer numbers.

`python bench/project_on_real.py [MODEL] [--dims 768 512] [--whitening 0.5] [--unit-positions]
[--shared ../shared] [--work DIR]`

`vpr project` with axes of the training halves and rendered pictures; nothing learns. Recall@1,
each network on a map of its own, exact search, torch in float32. `--work` keeps the model folders,
for `bench/small_on_real.py`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from vpr_ros.compress.distill_config import DistillConfig
from vpr_ros.compress.distill_images import source_images
from vpr_ros.compress.finetune_data import Pictures
from vpr_ros.compress.project import project, Projection
from vpr_ros.compress.prune_default import judge_on
from vpr_ros.nets.model_folder import default_model_folder


def main() -> None:
    """Project to each size, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('model', type=Path, nargs='?', default=default_model_folder())
    parser.add_argument('--dims', type=int, nargs='+', default=[1024, 768, 640, 512])
    parser.add_argument('--whitening', type=float, default=Projection.whitening)
    parser.add_argument('--unit-positions', action='store_true')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--shared', type=Path, default=Path('../shared'))
    parser.add_argument('--work', type=Path)
    flags = parser.parse_args()
    data, console = flags.shared / 'data', Console(width=200)
    judge = judge_on(data)
    lessons = Pictures(source_images(data, DistillConfig(), flags.seed))
    table = Table(title='recall@1', box=None, padding=(0, 2, 0, 0))
    with TemporaryDirectory() as scratch:
        for dim in flags.dims:
            done = project(flags.model, lessons, judge, Projection(
                dim, flags.whitening, flags.unit_positions, seed=flags.seed),
                (flags.work or Path(scratch)) / f'{dim}d', force=True)
            if not table.columns:
                for name in ('numbers', 'variance', *(f'{each.pair} ({each.queries})'
                                                      for each in done.before)):
                    table.add_column(name, justify='right')
                table.add_row('as it is', '', *(f'{each.at_1:.3f}' for each in done.before))
            table.add_row(str(dim), f'{done.share:.0%}',
                          *(f'{each.at_1:.3f}' for each in done.after))
    console.print(table)


if __name__ == '__main__':
    main()
