# SPDX-License-Identifier: Apache-2.0
"""A shorter descriptor by principal axes, folded into the last linear layer of the network.

To delete channels is to take the axes that a network happens to have; turned into its principal
axes first, as many tell more. Compare Jegou and Chum, Negative evidences and co-occurrences in
image retrieval: the benefit of PCA and whitening, ECCV 2012; here the axes are those of vectors
that are not yet of unit length, nor averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn, Tensor

from vpr_ros.core.card import ModelCard
from vpr_ros.errors import ModelError
from vpr_ros.nets.aggregators import build_aggregator, ConvAP, GeM, Grid, NetVLAD
from vpr_ros.nets.network import channels_of, Network
from vpr_ros.nets.widths import set_widths, widths_of

Args = dict[str, float]


@dataclass(frozen=True)
class Axes:
    """Principal axes of what a layer gives: `(y - mean) @ turn`, strongest first.

    `mean` (C,), `turn` (C, k): each column scaled by its variance to the power -whitening / 2.
    `share` of all variance that the k axes have.
    """

    mean: Tensor
    turn: Tensor
    share: float

    @classmethod
    def of(cls, rows: Tensor, count: int, whitening: float = 0.0) -> Axes:
        """Return the `count` strongest axes of `rows` (N, C); raises ModelError for too few."""
        if not 0.0 <= whitening <= 1.0:
            raise ModelError(f'whitening must be between 0 and 1, not {whitening}')
        if count >= len(rows):
            raise ModelError(f'{len(rows)} vectors have no {count} axes; give more views')
        mean = rows.mean(dim=0)
        apart = (rows - mean).double()
        variances, axes = torch.linalg.eigh(apart.T @ apart / len(rows))
        best = variances.argsort(descending=True)[:count]
        floor = 1e-6 * float(variances.mean().clamp(min=1e-30))
        scale = variances[best].clamp(min=floor).pow(-whitening / 2)
        share = float(variances[best].sum() / variances.sum().clamp(min=1e-30))
        return cls(mean, (axes[:, best] * scale).float(), share)


def with_last_linear(network: Network, card: ModelCard) -> tuple[Network, str, Args]:
    """Return a copy that does the same and ends in a linear layer, with its aggregator and args.

    A grid becomes ConvAP, GeM gets a linear, both the identity at first.
    Raises ModelError for aggregators whose descriptor cannot be turned.
    """
    ending, name, args = copy.deepcopy(network), card.aggregator, dict(card.aggregator_args)
    channels = channels_of(network.backbone)
    if isinstance(network.aggregator, Grid):
        name, args = 'convap', {**args, 'channels': channels}
        ending.aggregator = _beginning_as_identity(build_aggregator(name, args, channels))
    elif isinstance(network.aggregator, GeM) and network.aggregator.linear is None:
        args = {**args, 'dim': channels}
        made = build_aggregator(name, args, channels)
        made.load_state_dict(network.aggregator.state_dict(), strict=False)
        ending.aggregator = _beginning_as_identity(made)
    last_linear(ending.aggregator)
    return ending.eval(), name, args


def last_linear(aggregator: nn.Module) -> Any:
    """Return the layer whose outputs may be turned; raises ModelError where there is none.

    Behind it are only lengths and averages, which no rotation changes.
    """
    found = (aggregator.conv if isinstance(aggregator, ConvAP) else
             aggregator.linear if isinstance(aggregator, GeM) else
             aggregator.whiten if isinstance(aggregator, NetVLAD) else None)
    if found is None:
        raise ModelError(f'the descriptor of {type(aggregator).__name__} does not come from one '
                         'linear layer, so that it has no axes to choose; shrink it by vpr prune '
                         '--gamma')
    return found


def given_by(network: Network, batches: Sequence[Tensor]) -> Tensor:
    """Return what the last linear gives for preprocessed images (B, 3, H, W), as rows (N, C)."""
    rows: list[Tensor] = []

    def look(_: nn.Module, __: object, result: Tensor) -> None:
        rows.append(result.movedim(1, -1).flatten(0, -2) if result.ndim == 4 else result)

    handle = last_linear(network.aggregator).register_forward_hook(look)
    try:
        with torch.inference_mode():
            for batch in batches:
                network.eval()(batch)
    finally:
        handle.remove()
    return torch.cat(rows).float().clone()


def turned(network: Network, axes: Axes) -> Network:
    """Return a copy whose last linear gives the axes of what it gave; others are as they were."""
    short = copy.deepcopy(network)
    old = last_linear(network.aggregator)
    name = next(name for name, layer in network.named_modules() if layer is old)
    turn = axes.turn.T
    set_widths(short, {name: (widths_of(network)[name][0], len(turn))})
    new = last_linear(short.aggregator)
    with torch.no_grad():
        new.weight.copy_(torch.tensordot(turn, old.weight, dims=1))
        new.bias.copy_(turn @ (old.bias - axes.mean))
    return short.eval()


def channels_for(network: Network, dim: int, wanted: int) -> int:
    """Return how many outputs of the last linear make a descriptor of `wanted` numbers.

    `dim` are those of the network as it is. Raises ModelError where no count does.
    """
    outputs = len(last_linear(network.aggregator).weight)
    each = dim // outputs
    if not 0 < wanted <= dim or wanted % each:
        raise ModelError(f'a descriptor of {wanted} numbers cannot be had: {dim} now, {each} for '
                         f'each of {outputs} channels; give a multiple of {each} up to {dim}')
    return wanted // each


def _beginning_as_identity(aggregator: nn.Module) -> nn.Module:
    layer = last_linear(aggregator)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(len(layer.weight)).view_as(layer.weight))
        layer.bias.zero_()
    return aggregator

