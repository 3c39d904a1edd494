# SPDX-License-Identifier: Apache-2.0
"""From a dense network to a pruned one in int8 with an int8 map: what it saves, what it recalls.

`python bench/small_on_real.py DENSE PRUNED [--shared ../shared] [--work DIR]`

Recall@1 on real images that were not trained on (corridor and the laps: their second halves, asked
against the whole map, as well), by exact search. Rows: dense and pruned in float32; the pruned
one asking the dense one's map (asymmetric, where the descriptors are as long); both in int8 with
int8 maps, by the engine that runs them. Time and memory as `bench/pruned_speed.py` has them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pruned_speed import saved, table_of
from rich.console import Console
from rich.table import Table

from vpr_ros.compress.distill_eval import benchmark_pairs
from vpr_ros.compress.prune_config import PruneConfig
from vpr_ros.compress.prune_judge import Judge
from vpr_ros.compress.prune_points import Recalled
from vpr_ros.compress.quantize import FORMATS, quantize
from vpr_ros.compress.quantize_judge import Seen
from vpr_ros.compress.self_labelled import self_labelled
from vpr_ros.core.precision import Precision, stored
from vpr_ros.core.types import Descriptors, Image
from vpr_ros.datasets.halves import restricted, training_halves
from vpr_ros.datasets.sequences import campus_loop, nordland_64x32
from vpr_ros.datasets.world import training_images
from vpr_ros.nets.engines import installed
from vpr_ros.nets.model_folder import load_describer, MANIFEST, read_card
from vpr_ros.tools.bench_records import BenchConfig

_BATCH = 16
_RENDERED = 60   # pictures that scales are measured on, beside the training halves


def int8_of(folder: Path, shared: Path, work: Path) -> Path:
    """Return the folder of a network in int8, its scales measured on what may be trained on."""
    out = work / f'{read_card(folder).digest[:12]}-int8'   # names may be alike
    if not (out / MANIFEST).is_file():
        pictures = [*training_halves(shared / 'data'), *training_images(7, _RENDERED)]
        form = next(form for form, engines in FORMATS.items()
                    if set(engines) == set(installed()) - {'torch'})
        quantize(folder, pictures[::2], self_labelled(pictures[1::2]), out, form=form,
                 source='the training halves and rendered pictures', force=True)
    return out


def by(folder: Path, precision: str) -> Callable[[Sequence[Image]], Descriptors]:
    """Return what describes many images in a precision."""
    describer = load_describer(folder, 1, 'auto', precision)

    def describe(images: Sequence[Image]) -> Descriptors:
        return np.concatenate([describer.describe(list(images[i:i + _BATCH]))
                               for i in range(0, len(images), _BATCH)])
    return describe


def asked(maps: Sequence[Seen], queries: Sequence[Seen], kept: Precision) -> Iterator[Seen]:
    """Yield the queries of one network with the maps of another, kept in few bits."""
    for one, other in zip(maps, queries, strict=True):
        yield Seen(np.asarray(stored(one.places, kept), dtype=np.float32), other.queries)


def recall_table(rows: list[tuple[str, Sequence[Recalled]]]) -> Table:
    """Return recall@1 by set, and in brackets by how many queries it differs from the first."""
    table = Table(title='recall@1', box=None, padding=(0, 2, 0, 0))
    table.add_column('map / query')
    first = rows[0][1]
    for each in first:
        table.add_column(f'{each.pair} ({each.queries})', justify='right')
    for name, found in rows:
        table.add_row(name, *(
            f'{each.at_1:.3f}' + ('' if found is first else
                                  f' ({round((each.at_1 - base.at_1) * base.queries):+d})')
            for each, base in zip(found, first, strict=True)))
    return table


def main() -> None:
    """Quantise, ask, time, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('dense', type=Path)
    parser.add_argument('pruned', type=Path)
    parser.add_argument('--shared', type=Path, default=Path('../shared'))
    parser.add_argument('--work', type=Path, help='keep the int8 networks here')
    parser.add_argument('--nordland', type=int, default=0, metavar='N',
                        help='ask the first N frames of nordland_64x32 as well')
    parser.add_argument('--rounds', type=int, default=BenchConfig.rounds)
    parser.add_argument('--no-speed', action='store_true')
    flags = parser.parse_args()
    console = Console(width=200)
    data = flags.shared / 'data'
    known = benchmark_pairs(data)
    sets = [*(replace(pair, name=name) for name, pair in known.items()),
            replace(campus_loop(data), name='campus')]
    if flags.nordland:
        frames = range(flags.nordland)
        sets.append(replace(restricted(nordland_64x32(data), frames, frames), name='nordland'))
    judge = Judge(sets, 1)
    with TemporaryDirectory() as scratch:
        work = flags.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        small = {folder: int8_of(folder, flags.shared, work)
                 for folder in (flags.dense, flags.pruned)}
        seen = {(folder, precision): list(judge.seen(by(
            folder if precision == 'fp32' else small[folder], precision)))
            for folder in (flags.dense, flags.pruned) for precision in ('fp32', 'int8')}

        def row(name: str, places: tuple[Path, str], queries: tuple[Path, str],
                kept: Precision) -> tuple[str, Sequence[Recalled]]:
            return name, judge.recalled(asked(seen[places], seen[queries], kept))
        dense, pruned = ((folder, 'fp32') for folder in (flags.dense, flags.pruned))
        dense8, pruned8 = ((folder, 'int8') for folder in (flags.dense, flags.pruned))
        rows = [row('dense / dense, float32', dense, dense, Precision.FLOAT32),
                row('dense / dense, int8, int8 map', dense8, dense8, Precision.INT8),
                row('pruned / pruned, float32', pruned, pruned, Precision.FLOAT32),
                row('pruned / pruned, int8, int8 map', pruned8, pruned8, Precision.INT8)]
        if read_card(flags.dense).dim == read_card(flags.pruned).dim:
            rows += [row('dense / pruned, float32', dense, pruned, Precision.FLOAT32),
                     row('dense / pruned, int8, int8 map', dense, pruned8, Precision.INT8)]
        console.print(recall_table(rows))
        console.print('in brackets: queries more or fewer than dense / dense; exact search; a '
                      'query counts where it has a positive', style='dim')
        if not flags.no_speed:
            found, bench = saved(flags.dense, flags.pruned, small[flags.pruned],
                                 flags.rounds)
            console.print(table_of([found], PruneConfig()))
            for each in bench.rows:
                console.print(f'{each.model:32} {each.engine:12} {each.precision:5} '
                              f'{each.one.cpu_ms_p50:.2f} ms', style='dim', highlight=False)


if __name__ == '__main__':
    main()
