# SPDX-License-Identifier: Apache-2.0
"""How small the files of VGG16-NetVLAD with PCA 4096 become, measured on disk, and its rivals.

`python bench/vgg_netvlad_sizes.py [--clusters K] [--dim D] [--work DIR] [--json FILE] [--only ..]`

The network of Saha, Varma, Jawahar (ACPR 2017): VGG16 up to conv5_3, 64 clusters, a whitened PCA
to 4096, which has nine tenths of the weights. All weights are random (normal) and compressed in
one go without learning: this measures sizes and says nothing of recall. Heavier tails, as trained
weights have them, leave fewer bits. The graph is exported for small images: its size is the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
import json
from pathlib import Path
import sys
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
from rich.console import Console
from rich.table import Table
import safetensors.torch
import torch

from vpr_ros.compress.compress_config import CompressConfig, CompressRun
from vpr_ros.compress.compress_run import compressed_once
from vpr_ros.compress.prune import cut
from vpr_ros.compress.prune_graph import groups_of
from vpr_ros.compress.prune_scores import scores_of
from vpr_ros.compress.prune_widths import channels_left, Plan, strongest
from vpr_ros.compress.quantize_onnx import quantize_onnx
from vpr_ros.core.card import Preprocessing
from vpr_ros.nets.export import card_of, export_onnx, weights_of, write_model
from vpr_ros.nets.network import build_network, Network
from vpr_ros.nets.pack import pack

SMALL = Preprocessing(64, 64)
CUT, AGGREGATOR = 'features.28', 'netvlad'
BAR_OF, BAR = '50 %, 5 bit', 10.0
SHARED = {'50 %, 8 bit': (0.5, 8), '70 %, 8 bit': (0.7, 8), BAR_OF: (0.5, 5)}
BOTH = '50 %, 8 bit'   # beside fewer axes or channels
_PICTURES = 8      # for the scales of int8; of noise, since only the size counts


@dataclass(frozen=True)
class Row:
    """A file that a robot would be sent; `ratio`: how often it goes into the float32 weights."""

    name: str
    file: str
    parameters: int
    file_bytes: int
    ratio: float


@dataclass(frozen=True)
class Size:
    """A network of some size, and where its files are written."""

    clusters: int
    dim: int
    work: Path

    @property
    def args(self) -> dict[str, float]:
        """Return the aggregator's arguments."""
        return {'clusters': self.clusters, 'dim': self.dim}

    def dense(self) -> Network:
        """Return the network, the same on every call."""
        network = build_network('vgg16', CUT, AGGREGATOR, self.args)
        draw = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for weight in network.parameters():
                fan_in = weight[0].numel() if weight.ndim > 1 else 1000
                weight.normal_(0.0, fan_in ** -0.5, generator=draw)
        return network

    def folder(self, network: Network, name: str) -> Path:
        """Write a network as a model folder."""
        card = card_of(network, name, 'vgg16', CUT, AGGREGATOR, self.args, SMALL, 'random weights')
        write_model(self.work / name, network, card, force=True)
        return self.work / name

    def packed_bytes(self, network: Network, name: str) -> int:
        """Return the bytes of a network as one packed file."""
        folder = self.folder(network, name)
        return pack(folder, self.work / f'{name}.vprz', force=True).file_bytes


def shared(size: Size, network: Network, how: tuple[float, int], name: str) -> int:
    """Return the bytes of a network of which a share is pruned, and the rest have so many bits."""
    run = CompressRun(CompressConfig(prune=how[0], bits=how[1]))
    return size.packed_bytes(compressed_once(network, run), name)


def fewer_axes(network: Network, dim: int) -> Network:
    """Return a network whose PCA keeps the first axes: what a smaller PCA would have been."""
    kept = np.arange(cast(Any, network.aggregator).whiten.out_features) < dim
    return cut(network, groups_of(network), {'aggregator.whiten': kept})


def narrower(network: Network, sparsity: float, gamma: float) -> Network:
    """Return a network without the weakest channels and clusters."""
    groups = groups_of(network)
    scores = scores_of(network, groups, 'l2')
    left = channels_left(groups, scores, Plan(sparsity, gamma))
    return cut(network, groups, {name: strongest(scores[name], count)
                                 for name, count in left.items()})


def as_file(size: Size, network: Network, kind: torch.dtype) -> int:
    """Return the bytes of a weights file."""
    file = size.work / 'weights.safetensors'
    if kind is torch.float32:
        file.write_bytes(weights_of(network))
    else:
        safetensors.torch.save_file({name: weight.to(kind).contiguous() for name, weight
                                     in network.state_dict().items()}, file)
    found = file.stat().st_size
    file.unlink()
    return found


def int8_graph(size: Size, network: Network) -> int:
    """Return the bytes of the int8 graph; the last linear, the PCA, stays in float."""
    rng = np.random.default_rng(0)
    noise = [rng.standard_normal((1, 3, SMALL.height_px, SMALL.width_px), np.float32)
             for _ in range(_PICTURES)]
    graph, small = size.work / 'graph.onnx', size.work / 'int8.onnx'
    export_onnx(network, SMALL, graph)
    quantize_onnx(graph, small, noise)
    return small.stat().st_size


def rows(size: Size, only: list[str]) -> Iterator[Row]:
    """Yield the sizes of all files, one after another."""
    dense = size.dense()
    whole = as_file(size, dense, torch.float32)
    half = size.dim // 2
    channels = partial(narrower, dense, 0.5)
    once = partial(shared, size)
    plain = partial(as_file, size, kind=torch.float32)
    fp16 = partial(as_file, size, kind=torch.float16)
    # what it is called, what is done to the network, what is written of it
    tasks: list[tuple[str, Callable[[], Network], Callable[[Network], int], str]] = [
        ('float32', lambda: dense, plain, 'safetensors'),
        ('float32, packed', lambda: dense, partial(size.packed_bytes, name='dense'), 'vprz'),
        *((name, lambda: dense, partial(once, how=how, name=name), 'vprz')
          for name, how in SHARED.items()),
        *((f'PCA to {dim}', partial(fewer_axes, dense, dim), plain, 'safetensors')
          for dim in (half, half // 2, half // 4)),
        ('50 % of channels', partial(channels, gamma=0.0), plain, 'safetensors'),
        ('50 % of channels, of PCA', partial(channels, gamma=1.0), plain, 'safetensors'),
        ('float16', lambda: dense, fp16, 'safetensors'),
        ('int8', lambda: dense, partial(int8_graph, size), 'onnx'),
        (f'PCA to {half // 2}, {BOTH}', partial(fewer_axes, dense, half // 2),
         partial(once, how=SHARED[BOTH], name='fewer'), 'vprz'),
        (f'50 % of channels, {BOTH}', partial(channels, gamma=0.0),
         partial(once, how=SHARED[BOTH], name='narrower'), 'vprz')]
    for name, make, written, file in tasks:
        if not only or name in only:
            network = make()
            found = written(network)
            yield Row(name, file, sum(each.numel() for each in network.parameters()), found,
                      whole / found)


def main() -> int:
    """Print the table; return 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--clusters', type=int, default=64)
    parser.add_argument('--dim', type=int, default=4096)
    parser.add_argument('--work', type=Path, help='where files are written, some GB; they stay')
    parser.add_argument('--json', type=Path)
    parser.add_argument('--only', nargs='*', default=[], help='names of rows')
    given = parser.parse_args()
    torch.set_num_threads(1)
    table = Table('network', 'file', 'million weights', 'MB on disk', 'of the float32 file')
    found = []
    with TemporaryDirectory() as scratch:
        work = given.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        for row in rows(Size(given.clusters, given.dim, work), given.only):
            found.append(row)
            print(f'{row.name}: {row.file_bytes / 1e6:.2f} MB', file=sys.stderr, flush=True)
            table.add_row(row.name, row.file, f'{row.parameters / 1e6:.1f}',
                          f'{row.file_bytes / 1e6:.2f}', f'1/{row.ratio:.1f}')
    Console().print(table)
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in found], indent=2) + '\n')
    missed = [row for row in found if row.name == BAR_OF and row.ratio < BAR]
    for row in missed:
        print(f'{row.name}: 1/{row.ratio:.1f}, the bar is 1/{BAR:g}')
    return int(bool(missed))


if __name__ == '__main__':
    raise SystemExit(main())
