# SPDX-License-Identifier: Apache-2.0
"""How small a network's file becomes, and what it recalls of real images.

`python bench/compress_on_real.py MODEL --work DIR [--shared ../shared] [--cells 0.5,8 0.7,8]`

Each cell is a share of weights to prune and bits to share the rest in; `vpr compress` with these,
learning from the training halves and rendered pictures. Recall@1 by exact search on the held-out
halves (of which two choose) and on the sets that no half was trained on. A run that was stopped
goes on; DIR/prune_bits holds all of it, its report.html as well.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.table import Table

from vpr_ros.compress.compress_choice import choice, deliver
from vpr_ros.compress.compress_config import CompressRun
from vpr_ros.compress.compress_points import Point
from vpr_ros.compress.compress_run import compress_and_learn
from vpr_ros.compress.finetune_data import Lessons, Pictures
from vpr_ros.compress.finetune_ranks import ranks
from vpr_ros.compress.prune_default import judge_on
from vpr_ros.compress.prune_judge import Judge
from vpr_ros.datasets.halves import training_halves
from vpr_ros.datasets.world import training_images
from vpr_ros.nets.opened_model import opened
from vpr_ros.tools.lesson_source import WORLD_PX
from vpr_ros.tools.report_command import write_compression_report

# Recall@1 may fall by so many points, and the file be so many times smaller, at (prune, bits).
BARS = {(0.5, 8): (0.5, 8.0), (0.7, 8): (2.0, 12.0), (0.5, 5): (3.0, 10.0)}


def cell_of(text: str) -> tuple[float, int]:
    """Return (prune, bits) of `0.5,8`."""
    prune, bits = text.split(',')
    return float(prune), int(bits)


def run_cell(model: Path, cell: tuple[float, int], config: Path | None, lessons: Lessons,
             judge: Judge, work: Path, device: str, console: Console) -> list[Point]:
    """Return the points of one run; its file and page are written as well."""
    prune, bits = cell
    out = work / f'{prune:g}_{bits}'
    knobs = CompressRun.read(config, prune=prune, bits=bits)
    console.rule(out.name)
    with ranks(device) as place:
        points = compress_and_learn(
            opened(model), lessons, judge, knobs, out, ranks=place,
            say=lambda text: console.print(text, highlight=False, soft_wrap=True))
    deliver(choice(points, None)[0], out)
    write_compression_report(out)
    return points


def table_of(runs: Sequence[tuple[tuple[float, int], Sequence[Point]]]) -> Table:
    """Return a line a cell, and one of the dense network before them."""
    first = runs[0][1][0]
    table = Table(title='compressed', box=None, padding=(0, 2, 0, 0))
    for name in ('prune, bits', '.vprz (kB)', 'smaller by', 'bar', 'points lost', 'bar'):
        table.add_column(name, justify='right')
    for each in first.recalls:
        table.add_column(f'{each.pair} ({each.queries})', justify='right')
    table.add_row('dense', f'{first.packed_bytes / 1e3:.0f}', f'{first.ratio:.1f}', '', '', '',
                  *(f'{each.at_1:.3f}' for each in first.recalls))
    for cell, points in runs:
        last, dense = points[-1], points[0]
        lost = 100.0 * fmean(before.at_1 - after.at_1 for before, after in zip(
            dense.recalls, last.recalls, strict=True) if before.chooses)
        loss_bar, size_bar = BARS.get(cell, (float('nan'), float('nan')))
        table.add_row(f'{cell[0]:g}, {cell[1]}', f'{last.packed_bytes / 1e3:.0f}',
                      f'{dense.weights_bytes / last.packed_bytes:.1f}', f'{size_bar:g}',
                      f'{lost:.1f}', f'{loss_bar:g}',
                      *(f'{each.at_1:.3f}' for each in last.recalls))
    return table


def main() -> None:
    """Compress, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('model', type=Path)
    parser.add_argument('--work', type=Path, required=True)
    parser.add_argument('--shared', type=Path, default=Path('../shared'))
    parser.add_argument('--cells', nargs='+', type=cell_of, default=list(BARS))
    parser.add_argument('--config', type=Path, help='knobs, as config/compress.yaml')
    parser.add_argument('--rendered', type=int, default=200, help='pictures beside the halves')
    parser.add_argument('--device', default='auto')
    flags = parser.parse_args()
    console = Console(width=200)
    data = flags.shared / 'data'
    lessons = Pictures([*training_halves(data), *training_images(7, flags.rendered, WORLD_PX)])
    judge = judge_on(data)
    runs = [(cell, run_cell(flags.model, cell, flags.config, lessons, judge, flags.work,
                            flags.device, console)) for cell in flags.cells]
    console.print(table_of(runs))
    console.print('points lost: mean over the first two sets, by which one chooses; smaller by: '
                  'float32 weights.safetensors of the dense network over the .vprz, which holds '
                  'the graph and the card as well', style='dim')


if __name__ == '__main__':
    main()
