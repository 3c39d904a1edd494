# SPDX-License-Identifier: Apache-2.0
"""How much each layer alone can be compressed before descriptors turn, and what that proposes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import copy
from dataclasses import asdict, dataclass
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from vpr_ros.compress.compress_layers import LayerPlan, weight_of
from vpr_ros.compress.prune_points import replaced
from vpr_ros.compress.sparse_weights import largest
from vpr_ros.compress.weight_sharing import shared
from vpr_ros.errors import ModelError
from vpr_ros.nets.network import Network

SHARES = (0.3, 0.5, 0.7, 0.8, 0.9)
BITS = (2, 3, 4, 5, 6, 8)
_BATCH = 16
_LEVELS = 16            # disagreements that a budget chooses among
_LEAST, _MOST = 1e-5, 0.5
_HALVINGS = 60
Say = Callable[[str], object]


@dataclass(frozen=True)
class LayerScan:
    """One layer alone, compressed at once, without learning; what it does to the descriptors.

    `pruned` by share and `shared` by bits: the mean of 1 - cosine with the dense descriptors.
    """

    name: str
    weights: int
    pruned: tuple[float, ...]
    shared: tuple[float, ...]

    def turned(self, prune: float, bits: int) -> float:
        """Return the disagreement of both together, which adds up as long as it is small."""
        return ((self.pruned[SHARES.index(prune)] if prune else 0.0)
                + self.shared[BITS.index(bits)])

    def turned_by_half(self) -> float:
        """Return the disagreement when half of its weights are zero."""
        return self.turned(0.5, BITS[-1])

    def bits_taken(self, prune: float, bits: int) -> float:
        """Return about how many bits of a file its weights take: where zeros are, and indices."""
        where = 0.0 if prune == 0.0 else -(prune * math.log2(prune)
                                           + (1.0 - prune) * math.log2(1.0 - prune))
        return self.weights * (where + (1.0 - prune) * bits)


@dataclass(frozen=True)
class Proposed:
    """What was proposed for a budget, at which disagreement."""

    budget_points: float
    disagreement: float
    plans: tuple[LayerPlan, ...]


@dataclass(frozen=True)
class Scanned:
    """What a scan of the run with this fingerprint has found so far, on so many pictures."""

    run: str
    pictures: int = 0
    layers: tuple[LayerScan, ...] = ()
    proposed: Proposed | None = None


def scan(plain: Network, plans: Sequence[LayerPlan], pictures: Tensor, rounds: int, coarse: float
         ) -> Iterator[LayerScan]:
    """Yield what each layer of the plans bears, one after the other.

    `pictures` (B, 3, H, W) are ready for the network, which is left as it is.
    """
    network = copy.deepcopy(plain).eval().requires_grad_(False)
    wanted = _descriptors(network, pictures)

    def disagreement(weight: Tensor, changed: NDArray[np.float32]) -> float:
        before = weight.clone()
        weight.copy_(torch.from_numpy(changed).view_as(weight))
        found = float((1.0 - (_descriptors(network, pictures) * wanted).sum(1)).mean())
        weight.copy_(before)
        return max(found, 0.0)

    for plan in plans:
        weight = weight_of(network.get_submodule(plan.name))
        values = weight.cpu().contiguous().numpy().copy()
        zeroed = tuple(disagreement(weight, np.where(largest(values, share), values, 0.0)
                                    .astype(np.float32)) for share in SHARES)
        rounded = []
        for bits in BITS:
            book, which = shared(values, 2 ** bits, rounds, coarse)
            rounded.append(disagreement(weight, book[which]))
        yield LayerScan(plan.name, values.size, zeroed, tuple(rounded))


def proposal(scans: Sequence[LayerScan], disagreement: float) -> list[LayerPlan]:
    """Return plans whose disagreements add up to no more than that, and that take few bits.

    Each layer takes the option of least `bits + price * disagreement`; the price is the lowest
    that stays within (Lagrange: at the best spread of a budget, the next bit saved costs as much
    in every layer).
    """
    options = [(prune, bits) for prune in (0.0, *SHARES) for bits in BITS]
    tables = [(np.array([one.bits_taken(*option) for option in options]),
               np.array([one.turned(*option) for option in options])) for one in scans]

    def chosen(price: float) -> list[int]:
        return [int(np.argmin(bits + price * turned)) for bits, turned in tables]

    def total(rows: Sequence[int]) -> float:
        return float(sum(turned[row] for (_, turned), row in zip(tables, rows, strict=True)))

    low, high = -20.0, 120.0     # log2 of the price: anything goes, nothing does
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        if total(chosen(2.0 ** middle)) <= disagreement:
            high = middle
        else:
            low = middle
    return [LayerPlan(one.name, *options[row])
            for one, row in zip(scans, chosen(2.0 ** high), strict=True)]


def proposal_for_recall(scans: Sequence[LayerScan], budget_points: float, dense_at_1: float,
                        recall_at_1: Callable[[Sequence[LayerPlan]], float], say: Say = print
                        ) -> tuple[list[LayerPlan], float]:
    """Return the smallest proposal that loses no more points of recall@1, and its disagreement.

    `recall_at_1` measures a network that is compressed by plans at once and has not learned;
    proposals of growing disagreement are tried by halving. Raises ModelError where even the most
    cautious one loses more.
    """
    levels = np.geomspace(_LEAST, _MOST, _LEVELS)
    best: tuple[list[LayerPlan], float] | None = None
    low, high = 0, len(levels)
    while low < high:
        middle = (low + high) // 2
        plans = proposal(scans, float(levels[middle]))
        lost = 100.0 * (dense_at_1 - recall_at_1(plans))
        say(f'disagreement {levels[middle]:.5f}: about {_average_bits(scans, plans):.2f} bits a '
            f'weight, {lost:.1f} points of recall@1 lost before learning')
        if lost <= budget_points + 1e-9:
            best, low = (plans, float(levels[middle])), middle + 1
        else:
            high = middle
    if best is None:
        raise ModelError(f'even the most cautious proposal loses more than {budget_points:g} '
                         'points of recall@1 before learning; raise --budget, or say with --prune '
                         'and --bits how far to go')
    return best


def write_scan(path: Path, found: Scanned) -> None:
    """Replace the table of a scan; raises ModelError when it cannot be written."""
    with replaced(path) as stream:
        stream.write((json.dumps({'shares': SHARES, 'bits': BITS, **asdict(found)}, indent=1)
                      + '\n').encode())


def read_scan(path: Path, run: str) -> Scanned:
    """Return what a scan of the same run has found; nothing where there is none, or of another."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
        if (record.pop('shares'), record.pop('bits')) != (list(SHARES), list(BITS)):
            return Scanned(run)
        proposed = record['proposed']
        found = Scanned(
            record['run'], record['pictures'],
            tuple(LayerScan(each['name'], each['weights'], tuple(each['pruned']),
                            tuple(each['shared'])) for each in record['layers']),
            None if proposed is None else Proposed(**{
                **proposed, 'plans': tuple(LayerPlan(**each) for each in proposed['plans'])}))
        return found if found.run == run else Scanned(run)
    except (OSError, ValueError, KeyError, TypeError):
        return Scanned(run)


def _average_bits(scans: Sequence[LayerScan], plans: Sequence[LayerPlan]) -> float:
    taken = sum(one.bits_taken(plan.prune, plan.bits)
                for one, plan in zip(scans, plans, strict=True))
    return taken / sum(one.weights for one in scans)


def _descriptors(network: Network, pictures: Tensor) -> Tensor:
    with torch.inference_mode():
        return torch.cat([network(part) for part in torch.split(pictures, _BATCH)])
