# SPDX-License-Identifier: Apache-2.0
"""What it costs to cut a head by its own norms: correct against as-published selection.

`python bench/prune_selection.py --shared ../shared [--model default mobilenet] [--csv FILE]`

Both arms have the same backbone, cut by the group L2 norm, and equal widths; only the inputs of
the ConvAP head differ. No fine-tuning; norms as they are, and measured anew on the training
halves, in both arms alike (the backbone is shared, so they are the same).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
import csv
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from as_published import with_published_inputs
from batch_statistics import measured_anew, unfolded
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
import torch
from torch import Tensor

from vpr_ros.compress.distill_eval import recall_at
from vpr_ros.compress.distill_teacher import Basis
from vpr_ros.compress.prune import cut
from vpr_ros.compress.prune_graph import groups_of
from vpr_ros.compress.prune_scores import scores_of
from vpr_ros.compress.prune_widths import channels_left, Plan, strongest
from vpr_ros.core.card import Preprocessing
from vpr_ros.core.types import Image
from vpr_ros.datasets import sequences
from vpr_ros.datasets.halves import restricted, training_halves
from vpr_ros.datasets.run import RunPair
from vpr_ros.nets.aggregators import ConvAP
from vpr_ros.nets.model_folder import default_model_folder, read_card
from vpr_ros.nets.model_import import backbone_from
from vpr_ros.nets.network import Network
from vpr_ros.nets.preprocess import preprocess
from vpr_ros.nets.torch_describer import load_network

SPARSITIES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
ARMS = ('correct', 'as published', 'unsorted')
INPUT = Preprocessing(224, 224)   # of both networks
CHANNELS, GRID, WHITENING = 64, 4, 0.5   # the head of the default model
WEIGHTS = 'weights/mobilenet_v2/mobilenet_v2_dequant_torchvision.pth'
NORDLAND_FRAMES = 1000
BATCH = 16


@dataclass(frozen=True)
class Row:
    """Recall@1 of one arm on one set, over its queries that have a positive.

    `at_1`: map and query by the same network; `across_at_1`: the map by the dense one.
    """

    model: str
    norms: str
    sparsity: float
    head_inputs: int
    arm: str
    pair: str
    queries: int
    at_1: float
    across_at_1: float


@dataclass(frozen=True, eq=False)
class Asked:
    """A pair, its images preprocessed."""

    pair: RunPair
    places: NDArray[np.float32]
    queries: NDArray[np.float32]

    @property
    def positives(self) -> Sequence[Sequence[int]]:
        """The places that each query shows."""
        assert self.pair.positives is not None
        return self.pair.positives


def default_model(_: Path, __: Sequence[Tensor]) -> Network:
    """Return the model that ships: ResNet18 of half width with a ConvAP head."""
    folder = default_model_folder()
    return load_network(folder, read_card(folder))


def mobilenet(shared: Path, batches: Sequence[Tensor]) -> Network:
    """Return MobileNetV2 to features.14 with a ConvAP head: the principal axes of its map.

    Fitted on the training halves, half-whitened, as those that the default model was taught.
    """
    trunk = backbone_from(shared / WEIGHTS, 'mobilenet_v2', 'features.14')
    with torch.no_grad():
        basis = Basis.fit(torch.cat([trunk(batch) for batch in batches]), WHITENING)
        axes = basis.axes[:, :CHANNELS]
        head = ConvAP(len(axes), CHANNELS, GRID, unit_positions=True)
        head.conv.weight.copy_(axes.T[..., None, None])
        head.conv.bias = torch.nn.Parameter(-basis.mean @ axes)
    return unfolded(Network(trunk, head).eval(), batches)


MODELS = {'default': default_model, 'mobilenet': mobilenet}


def sets(data: Path, frames: int) -> Iterator[Asked]:
    """Yield the sets of the table; only half of the corridor was ever trained on, by `default`."""
    pairs = [sequences.stromovka_summer_winter(data), sequences.webcam_seasons(data),
             sequences.corridor(data)]
    if frames:
        pairs.append(restricted(sequences.nordland_64x32(data), range(frames), range(frames)))
    for pair in pairs:
        yield Asked(pair, seen(pair.mapping.images), seen(pair.query.images))


def seen(images: Sequence[Image]) -> NDArray[np.float32]:
    """Return images as the networks see them, (N, 3, H, W)."""
    return np.concatenate([preprocess([images[i]], INPUT) for i in range(len(images))])


def measure(name: str, dense: Network, sparsity: float, anew: Sequence[Tensor],
            asked: Sequence[Asked], parents: dict[str, Tensor]) -> Iterator[Row]:
    """Yield the rows of one network at one sparsity; `anew`: measure its norms on these.

    `parents` gets the dense network's descriptors of each set's places.
    """
    groups = groups_of(dense)
    scores = scores_of(dense, groups, 'l2')
    left = channels_left(groups, scores, Plan(sparsity))
    network = cut(dense, groups, {group: strongest(scores[group], count)
                                  for group, count in left.items()})
    if anew:
        network = measured_anew(network, anew)
    heads = {'correct': network, 'as published': with_published_inputs(network, dense),
             'unsorted': with_published_inputs(network, dense, sort=False)}
    for each in asked:
        places, queries = (maps_of(network, images) for images in (each.places, each.queries))
        for arm in ARMS:
            with torch.no_grad():
                known, said = (heads[arm].aggregator(maps) for maps in (places, queries))
            parent = parents.setdefault(each.pair.name, known)
            at_1, across = (recall_at((said @ against.T).numpy(), each.positives, 1)
                            for against in (known, parent))
            yield Row(name, 'measured anew' if anew else 'as they are', sparsity,
                      places.shape[1], arm, each.pair.name, sum(map(bool, each.positives)), at_1,
                      across)


def maps_of(network: Network, images: NDArray[np.float32]) -> Tensor:
    """Return the maps of a network's backbone, (N, C, h, w)."""
    backbone: Any = network.backbone
    backbone = backbone.to(memory_format=torch.channels_last)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        return torch.cat([backbone(torch.from_numpy(images[i:i + BATCH]).contiguous(
            memory_format=torch.channels_last)).float() for i in range(0, len(images), BATCH)])


def table(rows: Sequence[Row], title: str, pairs: Sequence[str]) -> Table:
    """Return one table, in percent, three arms to a cell."""
    out = Table(title=title)
    for column in ('sparsity', 'head inputs', *pairs, 'all queries', "all, on the parent's map"):
        out.add_column(column, justify='right')
    for sparsity in dict.fromkeys(row.sparsity for row in rows):
        here = [row for row in rows if row.sparsity == sparsity]
        cells = [' / '.join(f'{100 * row.at_1:.0f}' for row in here if row.pair == pair)
                 for pair in pairs]
        for across in (False, True):
            cells.append(' / '.join(f'{100 * pooled(here, arm, across):.1f}' for arm in ARMS))
        out.add_row(f'{sparsity:.2f}', str(here[0].head_inputs), *cells)
    return out


def pooled(rows: Sequence[Row], arm: str, across: bool) -> float:
    """Return recall@1 over the queries of all sets; `across`: in the map of the parent."""
    own = [row for row in rows if row.arm == arm]
    return (sum((row.across_at_1 if across else row.at_1) * row.queries for row in own)
            / sum(row.queries for row in own))


def main() -> None:
    """Print the tables and whether the bar is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--shared', type=Path, default=Path('../shared'))
    parser.add_argument('--model', nargs='+', choices=list(MODELS), default=list(MODELS))
    parser.add_argument('--sparsity', type=float, nargs='+', default=list(SPARSITIES))
    parser.add_argument('--nordland', type=int, default=NORDLAND_FRAMES, metavar='FRAMES',
                        help='of the railway, from its start; 0 leaves it out')
    parser.add_argument('--csv', type=Path, help='write every number here')
    flags = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(width=150)
    training = seen(training_halves(flags.shared / 'data'))
    order = np.random.default_rng(0).permutation(len(training))
    batches = [torch.from_numpy(training[order[i:i + 2 * BATCH]]) for i in
               range(0, len(order), 2 * BATCH)]
    asked = list(sets(flags.shared / 'data', flags.nordland))
    pairs = [each.pair.name for each in asked]
    found: list[Row] = []
    for name in flags.model:
        dense = MODELS[name](flags.shared, batches)
        parents: dict[str, Tensor] = {}
        for norms, anew in (('as they are', ()), ('measured anew', batches[::2])):
            rows: list[Row] = []
            for sparsity in (0.0, *flags.sparsity):
                rows += measure(name, dense, sparsity, anew, asked, parents)
                if flags.csv:
                    write([*found, *rows], flags.csv)
            found += rows
            console.print(table(rows, f'{name}, norms {norms}', pairs))
            console.print(verdict(rows, False), verdict(rows, True), style='bold', sep='\n')
    console.print('recall@1 in percent, correct / as published / as published but unsorted, no '
                  'fine-tuning, exact search; ' + '; '.join(
                      f'{each.pair.name}: {each.pair.protocol}' for each in asked), style='dim')


def verdict(rows: Sequence[Row], across: bool) -> str:
    """Return where the correct arm is not above the published one."""
    missed = []
    for sparsity in sorted({row.sparsity for row in rows if row.sparsity > 0.0}):
        here = [row for row in rows if row.sparsity == sparsity]
        if pooled(here, 'correct', across) <= pooled(here, 'as published', across):
            missed.append(f'{sparsity:.2f}')
    where = "on the parent's map" if across else 'on its own map'
    return (f'{where}: correct is higher at every sparsity, over all queries' if not missed
            else f'{where}: correct is NOT higher at {", ".join(missed)}')


def write(rows: Sequence[Row], path: Path) -> None:
    """Write a line a number."""
    with path.open('w', newline='', encoding='utf-8') as stream:
        writer = csv.DictWriter(stream, list(asdict(rows[0])))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


if __name__ == '__main__':
    main()
