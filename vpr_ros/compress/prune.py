# SPDX-License-Identifier: Apache-2.0
"""A network and the channels that stay -> a smaller network that does the same with these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import copy
from pathlib import Path

import numpy as np
import torch
from torch import nn, Tensor

from vpr_ros.compress.prune_groups import Group, kept_rows, Mask, Side
from vpr_ros.core.card import ModelCard
from vpr_ros.errors import ModelError
from vpr_ros.nets.model_folder import read_card
from vpr_ros.nets.network import Network
from vpr_ros.nets.widths import is_depthwise, set_widths, widths_of

Axes = Mapping[tuple[str, Side], Mask]


def cut(network: Network, groups: Sequence[Group], kept: Mapping[str, Mask]) -> Network:
    """Return a copy of a network without the channels that `kept` (by group) does not keep.

    Every remaining weight is bit-equal to its origin, so a channel whose weights are zero leaves
    without a trace. What was frozen stays frozen. The given network is left as it is.
    Raises ModelError when a group would lose its last channel, and for a mask that does not fit or
    is of no group.
    """
    if unknown := sorted(set(kept) - {group.name for group in groups}):
        raise ModelError(f'the network has no group of channels {unknown[0]}; take the groups of '
                         'the network that is cut')
    for group in groups:
        mask = kept.get(group.name)
        if mask is not None and (mask.shape != (group.channels,) or not mask.any()):
            raise ModelError(f'{group.name} has {group.channels} channels; a mask of '
                             f'{mask.shape} that keeps {int(mask.sum())} cannot be applied')
    axes = kept_rows(groups, kept)
    smaller = copy.deepcopy(network)
    set_widths(smaller, _widths_left(network, axes))
    smaller.load_state_dict({name: _left_of(tensor, axes, name)
                             for name, tensor in network.state_dict().items()})
    trained = {name: parameter.requires_grad for name, parameter in network.named_parameters()}
    for name, parameter in smaller.named_parameters():
        parameter.requires_grad_(trained[name])
    return smaller


def prunable_card(folder: Path) -> ModelCard:
    """Return the card of a model folder; raises ModelError where its network cannot be cut."""
    card = read_card(folder)
    if card.precision == 'int8':
        raise ModelError(f'{folder} is int8; prune the float model that it was made from, and '
                         'quantize the result')
    return card


def freeze(network: nn.Module, patterns: Sequence[str]) -> tuple[str, ...]:
    """Freeze all weights of the layers and blocks called `patterns`; return which layers.

    'backbone.layer1' is the block with all that is in it, and not 'backbone.layer10'.
    Raises ModelError for a name that has no layers.
    """
    layers = list(widths_of(network))
    for pattern in patterns:
        if not any(_is_within(layer, pattern) for layer in layers):
            raise ModelError(f'no layer or block is called {pattern}; there are '
                             f'{", ".join(layers[:4])}, ...')
    for name, parameter in network.named_parameters():
        if any(_is_within(name, pattern) for pattern in patterns):
            parameter.requires_grad_(False)
    return tuple(layer for layer in layers
                 if any(_is_within(layer, pattern) for pattern in patterns))


def _is_within(name: str, block: str) -> bool:
    return f'{name}.'.startswith(f'{block}.')


def _widths_left(network: nn.Module, axes: Axes) -> dict[str, tuple[int, int]]:
    """Return (in, out) of each layer that loses channels."""
    left = {}
    for layer, (n_in, n_out) in widths_of(network).items():
        ins, outs = axes.get((layer, 'in')), axes.get((layer, 'out'))
        if outs is not None and _is_one_sided(network.get_submodule(layer)):
            ins = outs
        left[layer] = (n_in if ins is None else int(ins.sum()),
                       n_out if outs is None else int(outs.sum()))
    return left


def _is_one_sided(layer: nn.Module) -> bool:
    """Say whether what goes in comes out, channel by channel: norms, depthwise convolutions."""
    return is_depthwise(layer) or isinstance(layer, nn.BatchNorm2d | nn.LayerNorm)


def _left_of(tensor: Tensor, axes: Axes, name: str) -> Tensor:
    """Return what stays of one tensor of a state dict."""
    layer, _, kind = name.rpartition('.')
    if tensor.ndim == 0:
        return tensor
    out, inputs = axes.get((layer, 'out')), axes.get((layer, 'in'))
    if out is not None:
        tensor = tensor[torch.from_numpy(np.flatnonzero(out))]
    if inputs is not None and kind == 'weight':
        tensor = tensor[:, torch.from_numpy(np.flatnonzero(inputs))]
    return tensor
