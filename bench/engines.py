# SPDX-License-Identifier: Apache-2.0
"""Four networks of the field in every engine here, held against what the project promises.

`python bench/engines.py [--work DIR] [--rounds N] [--json FILE]`

Weights are random: this measures speed and size, and no recall. Each network is compared with its
own torch eager fp32, batch 1, one thread, processor time, in turns.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table
import torch

from vpr_ros.compress.quantize import FORMATS, quantize
from vpr_ros.compress.self_labelled import self_labelled
from vpr_ros.core.card import Preprocessing, Resize
from vpr_ros.datasets.world import training_images
from vpr_ros.nets.engines import installed
from vpr_ros.nets.export import card_of, write_model
from vpr_ros.nets.machine import Machine, this_machine
from vpr_ros.nets.model_folder import MANIFEST
from vpr_ros.nets.network import build_network
from vpr_ros.tools.bench import bench_models
from vpr_ros.tools.bench_records import Bench, BenchConfig
from vpr_ros.tools.bench_tables import print_bench

SIDE_PX = 320
FLOAT_BAR, BF16_BAR, INT8_BAR = 0.45, 0.25, 0.16


@dataclass(frozen=True)
class Recipe:
    """A network as its source publishes it."""

    name: str
    backbone: str
    cut: str
    aggregator: str
    args: dict[str, float]


RECIPES = (
    Recipe('ResNet50-ConvAP', 'resnet50', 'layer4', 'convap', {'channels': 512, 'grid': 2}),
    Recipe('ResNet50-MixVPR', 'resnet50', 'layer3', 'mixvpr', {
        'channels': 1024, 'rows': 4, 'depth': 4, 'height': 20, 'width': 20}),
    Recipe('ResNet34-NetVLAD', 'resnet34', 'layer3', 'netvlad', {'clusters': 64}),
    Recipe('ResNet18-GeM', 'resnet18', 'layer4', 'gem', {'dim': 512, 'unit_positions': 1}),
)


def built(recipe: Recipe, work: Path) -> tuple[Path, Path]:
    """Return the float and the int8 folder of a network, made where they are not there."""
    dense, small = work / recipe.name, work / f'{recipe.name}-int8'
    if not (dense / MANIFEST).is_file():
        torch.manual_seed(0)
        network = build_network(recipe.backbone, recipe.cut, recipe.aggregator, recipe.args)
        write_model(dense, network, card_of(
            network, recipe.name, recipe.backbone, recipe.cut, recipe.aggregator, recipe.args,
            Preprocessing(SIDE_PX, SIDE_PX, Resize.SMOOTH_BILINEAR), 'random weights'))
    if not (small / MANIFEST).is_file():
        pictures = list(training_images(7, 28))
        form = next(name for name, engines in FORMATS.items()
                    if set(engines) == set(installed()) - {'torch'})
        quantize(dense, pictures[:16], self_labelled(pictures[16:]), small, form=form,
                 source='rendered pictures', force=True)  # random weights recall nothing
    return dense, small


def bars_table(benches: list[Bench], machine: Machine) -> Table:
    """Return the best ratios beside what was promised."""
    bar = BF16_BAR if machine.bf16 else FLOAT_BAR
    table = Table(title='ratios to torch eager fp32, one image, one thread, processor time',
                  box=None, padding=(0, 2, 0, 0))
    for name in ('network', 'GMAC', 'torch ms', 'fp32', 'bf16', f'best float (bar {bar})',
                 f'int8 (bar {INT8_BAR})', 'torch of product', 'fp32', 'bf16', 'int8'):
        table.add_column(name, justify='left' if name == 'network' else 'right')
    for bench in benches:
        rows = {precision: min((row for row in bench.rows if row.precision == precision
                                and row.engine != 'torch'), key=lambda row: row.ratio or 0.0,
                               default=None) for precision in ('fp32', 'bf16', 'int8')}
        plain = next(row for row in bench.rows if row.engine == 'torch')
        ratio = {name: row.ratio for name, row in rows.items() if row is not None and row.ratio}
        best = min(value for name, value in ratio.items() if name != 'int8')
        shares = [plain.share_of_product, *(row and row.share_of_product
                                            for row in rows.values())]
        table.add_row(
            bench.dense, f'{bench.gmacs[bench.dense]:.2f}', f'{plain.one.cpu_ms_p50:.1f}',
            *(f'{ratio[name]:.3f}' if name in ratio else '-' for name in ('fp32', 'bf16')),
            _held(best, bar), _held(ratio.get('int8'), INT8_BAR if machine.int8 else None),
            *('-' if share is None else f'{share:.2f}' for share in shares))
    return table


def _held(ratio: float | None, bar: float | None) -> str:
    if ratio is None:
        return '-'
    if bar is None:
        return f'{ratio:.3f} (no bar: no VNNI)'
    return f'{ratio:.3f} ' + ('met' if ratio <= bar else f'missed by {ratio - bar:.3f}')


def main() -> None:
    """Build what is missing, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work', type=Path, help='keep the networks here')
    parser.add_argument('--rounds', type=int, default=BenchConfig.rounds)
    parser.add_argument('--json', type=Path)
    flags = parser.parse_args()
    console, machine = Console(), this_machine()
    with TemporaryDirectory() as scratch:
        benches = []
        for recipe in RECIPES:
            dense, small = built(recipe, flags.work or Path(scratch))
            benches.append(bench_models([dense, small], dense, (),
                                        BenchConfig(rounds=flags.rounds)))
            print_bench(benches[-1], console)
    console.print(bars_table(benches, machine))
    if flags.json:
        flags.json.write_text(json.dumps([asdict(bench) for bench in benches], indent=2) + '\n')


if __name__ == '__main__':
    main()
