# SPDX-License-Identifier: Apache-2.0
"""What cutting half of the channels saves on the engines, before anything learns.

`python bench/pruned_speed.py [--sparsity S] [--gamma G] [--model DIR ...] [--work DIR]`

The four networks of Grainge et al. (RA-L 2025) on ResNet34 with random weights, the default
model, and any `--model`. Each is cut in one step (group L2, uniform, widths in multiples of 8) and
made int8. Two ratios: pruned to dense on the same engine and precision; and all of it to where one
starts, torch eager fp32. One image, batch 1, one thread, processor time, in turns. No recall here.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.table import Table
import torch

from vpr_ros.compress.prune_config import PruneConfig
from vpr_ros.compress.prune_judge import medians_ms
from vpr_ros.compress.prune_trial import Trial
from vpr_ros.compress.quantize import FORMATS, quantize
from vpr_ros.compress.self_labelled import self_labelled
from vpr_ros.core.card import Preprocessing, Resize
from vpr_ros.core.map_memory import descriptor_bytes
from vpr_ros.core.place_index import PlaceIndex
from vpr_ros.core.precision import Precision, stored
from vpr_ros.datasets.world import training_images
from vpr_ros.nets.engines import installed
from vpr_ros.nets.export import card_of, write_model
from vpr_ros.nets.model_folder import default_model_folder, MANIFEST, read_card
from vpr_ros.nets.network import build_network
from vpr_ros.tools.bench import bench_models
from vpr_ros.tools.bench_records import Bench, BenchConfig

SIDE_PX = 320
SAME_BAR, ALL_BAR = 0.55, 0.05
PLACES = 10_000
PAPERS = {
    'ResNet34-ConvAP': ('layer4', 'convap', {'channels': 1024, 'grid': 2}),
    'ResNet34-GeM': ('layer4', 'gem', {'dim': 2048}),
    'ResNet34-MixVPR': ('layer3', 'mixvpr', {'channels': 1024, 'rows': 4, 'depth': 4,
                                             'height': 20, 'width': 20}),
    'ResNet34-NetVLAD': ('layer3', 'netvlad', {'clusters': 64, 'channels': 128}),
}


@dataclass(frozen=True)
class Saved:
    """Ratios of a network, and the bytes of it and of its map."""

    name: str
    same_fp32: float | None
    same_bf16: float | None
    all_int8: float | None
    match: float
    memory: float
    parameters: float


def paper_network(name: str, work: Path) -> Path:
    """Return the folder of one of PAPERS, made where it is not there."""
    folder = work / name
    if not (folder / MANIFEST).is_file():
        cut, aggregator, args = PAPERS[name]
        torch.manual_seed(0)
        network = build_network('resnet34', cut, aggregator, args)
        write_model(folder, network, card_of(
            network, name, 'resnet34', cut, aggregator, args,
            Preprocessing(SIDE_PX, SIDE_PX, Resize.SMOOTH_BILINEAR), 'random weights'))
    return folder


def made(dense: Path, work: Path, config: PruneConfig) -> tuple[Path, Path]:
    """Return the pruned folder and the pruned one in int8."""
    name = read_card(dense).name
    pruned, small = work / f'{name}-pruned', work / f'{name}-pruned-int8'
    if not (pruned / MANIFEST).is_file():
        trial = Trial.of(dense, config)
        trial.write(trial.at(config.sparsity), pruned)
    if not (small / MANIFEST).is_file():
        pictures = list(training_images(7, 28))
        form = next(form for form, engines in FORMATS.items()
                    if set(engines) == set(installed()) - {'torch'})
        quantize(pruned, pictures[:16], self_labelled(pictures[16:]), small, form=form,
                 source='rendered pictures', force=True)  # what was only cut recalls little
    return pruned, small


def saved(dense: Path, pruned: Path, small: Path, rounds: int) -> tuple[Saved, Bench]:
    """Measure one network."""
    bench = bench_models([dense, pruned, small], dense, (), BenchConfig(rounds=rounds))
    names = [bench.dense, read_card(pruned).name, read_card(small).name]

    def best(model: str, precision: str) -> float | None:
        return min((row.one.cpu_ms_p50 for row in bench.rows if row.model == model
                    and row.precision == precision and row.engine != 'torch'), default=None)

    def ratio(precision: str) -> float | None:
        a, b = best(names[1], precision), best(names[0], precision)
        return a / b if a and b else None

    cards = read_card(dense), read_card(pruned)
    first, last = medians_ms([_search(cards[0].dim, Precision.FLOAT32),
                              _search(cards[1].dim, Precision.INT8)])
    eager = next(row.one.cpu_ms_p50 for row in bench.rows if row.engine == 'torch')
    int8 = best(names[2], 'int8')
    weights = [sum(file.stat().st_size for file in folder.glob('weights.safetensors'))
               for folder in (dense, pruned)]
    memory = ((weights[1] / 4 + descriptor_bytes(PLACES, cards[1].dim, Precision.INT8))
              / (weights[0] + descriptor_bytes(PLACES, cards[0].dim, Precision.FLOAT32)))
    return Saved(names[0], ratio('fp32'), ratio('bf16'),
                 None if int8 is None else (int8 + last) / (eager + first), last / first, memory,
                 weights[1] / weights[0]), bench


def _search(dim: int, precision: Precision) -> Callable[[], object]:
    rows = np.random.default_rng(0).standard_normal((PLACES, dim), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    query, index = rows[0].copy(), PlaceIndex(stored(rows, precision))
    return lambda: index.search(query, 10)


def table_of(found: list[Saved], config: PruneConfig) -> Table:
    """Return the ratios beside what was promised."""
    table = Table(title=f'{config.sparsity:.0%} of the channels cut, gamma {config.gamma:g}',
                  box=None, padding=(0, 2, 0, 0))
    for name in ('network', 'weights', f'fp32 / fp32 (bar {SAME_BAR})', 'bf16 / bf16',
                 f'int8 + int8 map / torch fp32 + fp32 map (bar {ALL_BAR})', 'search',
                 'memory, int8 both'):
        table.add_column(name, justify='left' if name == 'network' else 'right')
    for each in found:
        table.add_row(each.name, *('-' if value is None else f'{value:.3f}' for value in (
            each.parameters, each.same_fp32, each.same_bf16, each.all_int8, each.match,
            each.memory)))
    return table


def main() -> None:
    """Build what is missing, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--sparsity', type=float, default=0.5)
    parser.add_argument('--gamma', type=float, default=1.0)
    parser.add_argument('--model', type=Path, action='append', default=[])
    parser.add_argument('--work', type=Path, help='keep the networks here')
    parser.add_argument('--rounds', type=int, default=BenchConfig.rounds)
    parser.add_argument('--json', type=Path)
    flags = parser.parse_args()
    config = PruneConfig(sparsity=flags.sparsity, gamma=flags.gamma)
    with TemporaryDirectory() as scratch:
        work, found = flags.work or Path(scratch), []
        dense = [*flags.model, default_model_folder(), *(paper_network(name, work)
                                                         for name in PAPERS)]
        for folder in dense:
            found.append(saved(folder, *made(folder, work, config), flags.rounds)[0])
            Console().print(table_of(found[-1:], config))
    Console().print(table_of(found, config))
    Console().print(f'search and memory: a map of {PLACES} places; memory counts weights (a '
                    'quarter of float32 in int8) and descriptors', style='dim')
    if flags.json:
        flags.json.write_text(json.dumps([asdict(each) for each in found], indent=2) + '\n')


if __name__ == '__main__':
    main()
