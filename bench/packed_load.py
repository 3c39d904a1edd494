# SPDX-License-Identifier: Apache-2.0
"""Loading a packed model beside its folder: a network of 25 million parameters.

`python bench/packed_load.py [--work DIR] [--settings 0.5,8 0.7,8 0.5,5] [--rounds N]`

ResNet50 with ConvAP, of random weights, pruned and shared in one go as `vpr compress` without
learning does. In turns, each in this process: weights alone (safetensors into arrays, beside the
file's own arrays), the network in torch with all digests checked, and ONNX Runtime. The target is
at most 3 times plain safetensors. `--weights-only` takes layers of that size instead of the
network, needs no torch and is done in seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
import time

import numpy as np
from rich.console import Console
from rich.table import Table
import safetensors.numpy

from vpr_ros.core.card import ModelCard, Preprocessing, weights_digest
from vpr_ros.nets.model_folder import GRAPH, load_describer, read_card, seal_model, WEIGHTS
from vpr_ros.nets.pack import pack
from vpr_ros.nets.unpack import PackedFile, unpacked_privately

_LAYERS, _LAYER = 8, (2048, 1536)
_CHANNELS = 1024


def main() -> None:
    """Print a table for each setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work', type=Path, help='keep the models here')
    parser.add_argument('--settings', nargs='+', default=['0.5,8', '0.7,8', '0.5,5'])
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--weights-only', action='store_true')
    flags = parser.parse_args()
    console = Console(width=110)
    with TemporaryDirectory() as scratch:
        for setting in flags.settings:
            prune, bits = float(setting.split(',')[0]), int(setting.split(',')[1])
            name = f'{"layers" if flags.weights_only else "resnet50"}_{prune:g}_{bits}'
            folder = (flags.work or Path(scratch)) / name
            file = folder.with_name(f'{name}.vprz')
            if not folder.exists():
                folder.parent.mkdir(parents=True, exist_ok=True)
                (layers_of if flags.weights_only else network_of)(folder, prune, bits)
            if not file.exists():
                pack(folder, file)
            console.print(table_of(folder, file, setting, flags.rounds, flags.weights_only))


def table_of(folder: Path, file: Path, setting: str, rounds: int, weights_only: bool) -> Table:
    """Return what loading took, plain and packed, as medians over the rounds."""
    weights = (folder / WEIGHTS).stat().st_size
    table = Table(title=f'{setting}: {weights / 4e6:.1f} M parameters, {weights:,} bytes, packed '
                  f'{file.stat().st_size:,} (1/{weights / file.stat().st_size:.2f})')
    for head in ('what', 'plain cpu ms', 'packed cpu ms', 'ratio', 'plain wall ms',
                 'packed wall ms', 'ratio'):
        table.add_column(head, justify='left' if head == 'what' else 'right')
    for what, (plain, packed) in tasks(folder, file, weights_only).items():
        spent: list[list[tuple[float, float]]] = [[], []]
        for _ in range(rounds):
            for task, times in zip((plain, packed), spent, strict=True):
                cpu, wall = time.process_time(), time.perf_counter()
                task()
                times.append((time.process_time() - cpu, time.perf_counter() - wall))
        (plain_cpu, plain_wall), (cpu, wall) = (np.median(each, axis=0) * 1e3 for each in spent)
        table.add_row(what, f'{plain_cpu:.0f}', f'{cpu:.0f}', f'{cpu / plain_cpu:.2f}',
                      f'{plain_wall:.0f}', f'{wall:.0f}', f'{wall / plain_wall:.2f}')
    return table


Task = Callable[[], object]


def tasks(folder: Path, file: Path, weights_only: bool) -> dict[str, tuple[Task, Task]]:
    """Return what is loaded: from the folder, and from the packed file."""
    def arrays() -> None:
        for _ in PackedFile.read(file).arrays():
            pass

    def card_of_packed() -> None:
        private = unpacked_privately(file)
        read_card(private.path)
        private.close()

    found: dict[str, tuple[Task, Task]] = {
        'weights into arrays': (lambda: safetensors.numpy.load_file(folder / WEIGHTS), arrays),
        'all digests checked': (lambda: read_card(folder), card_of_packed)}
    if weights_only:
        return found
    from vpr_ros.nets.torch_describer import load_network

    def plain_network() -> None:
        load_network(folder, read_card(folder))

    def packed_network() -> None:
        private = unpacked_privately(file)
        load_network(private.path, read_card(private.path))
        private.close()

    return {**found, 'network in torch': (plain_network, packed_network),
            'ONNX Runtime': tuple(  # type: ignore[dict-item]
                (lambda path=path: load_describer(path, 1, 'onnxruntime', 'fp32'))
                for path in (folder, file))}


def network_of(folder: Path, prune: float, bits: int) -> None:
    """Write the model folder of a compressed ResNet50 with ConvAP."""
    from vpr_ros.compress.compress_config import CompressConfig, CompressRun
    from vpr_ros.compress.compress_run import compressed_once
    from vpr_ros.nets.export import card_of, write_model
    from vpr_ros.nets.network import build_network
    args = {'channels': _CHANNELS, 'grid': 2}
    network = compressed_once(build_network('resnet50', 'layer4', 'convap', args),
                              CompressRun(CompressConfig(prune=prune, bits=bits)))
    write_model(folder, network, card_of(
        network, folder.name, 'resnet50', 'layer4', 'convap', args, Preprocessing(224, 224),
        'Apache-2.0'))


def layers_of(folder: Path, prune: float, bits: int) -> None:
    """Write a folder that holds layers as compression leaves them, and no graph."""
    rng = np.random.default_rng(0)
    arrays = {}
    for number in range(_LAYERS):
        weights = rng.standard_normal(_LAYER, np.float32)
        step = np.float32(2.0 * np.abs(weights).max() / (2 ** bits - 1))
        shared = np.rint(weights / step) * step
        shared[np.abs(weights) < np.quantile(np.abs(weights[:64]), prune)] = 0.0
        arrays[f'layer{number}.weight'] = shared + np.float32(0.0)
    content = safetensors.numpy.save(arrays)
    folder.mkdir()
    (folder / WEIGHTS).write_bytes(content)
    (folder / GRAPH).write_bytes(b'no graph')
    widths = {name.removesuffix('.weight'): _LAYER for name in arrays}
    seal_model(folder, ModelCard(folder.name, 'none', 'none', 'grid', {}, widths, 4,
                                 Preprocessing(64, 64), weights_digest(content)))


if __name__ == '__main__':
    main()
