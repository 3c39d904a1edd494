# SPDX-License-Identifier: Apache-2.0
"""How wide each layer is, and giving it another width: what cards and pruned networks need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from torch import nn, Tensor

from vpr_ros.errors import ModelError
from vpr_ros.nets.vectors import Vectors


def widths_of(network: nn.Module) -> dict[str, tuple[int, int]]:
    """Return (in, out) channels of every layer with weights, by name.

    Convolutions, batch and layer norms, linears; of learnt vectors, their channels and count.
    """
    widths = {}
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            widths[name] = (layer.in_channels, layer.out_channels)
        elif isinstance(layer, nn.BatchNorm2d):
            widths[name] = (layer.num_features, layer.num_features)
        elif isinstance(layer, nn.Linear):
            widths[name] = (layer.in_features, layer.out_features)
        elif isinstance(layer, nn.LayerNorm):
            widths[name] = (layer.normalized_shape[0], layer.normalized_shape[0])
        elif isinstance(layer, Vectors):
            count, channels = layer.weight.shape
            widths[name] = (channels, count)
    return widths


def is_depthwise(layer: nn.Module) -> bool:
    """Say whether a layer is a convolution that filters each channel by itself."""
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1


def set_widths(network: nn.Module, widths: Mapping[str, tuple[int, int]]) -> None:
    """Replace, with random weights, each layer whose (in, out) channels differ from `widths`.

    A depthwise convolution keeps one group a channel.  Raises ModelError for widths that a layer
    cannot have; whether neighbours fit together shows in a forward pass only.
    """
    dense = widths_of(network)
    for name, (n_in, n_out) in widths.items():
        if dense[name] != (n_in, n_out):
            _replace(network, name, n_in, n_out)


def _replace(network: nn.Module, name: str, n_in: int, n_out: int) -> None:
    """Put a layer of other widths, and else alike, in the place of layer `name`."""
    parent_name, _, child = name.rpartition('.')
    parent, old = network.get_submodule(parent_name), network.get_submodule(name)
    new: nn.Module
    if isinstance(old, nn.Conv2d):
        groups = n_in if is_depthwise(old) else old.groups
        if min(n_in, n_out) < 1 or n_in % groups or n_out % groups:
            raise ModelError(f'layer {name} cannot have {n_in} inputs, {n_out} outputs and '
                             f'{groups} groups')
        new = nn.Conv2d(n_in, n_out, cast('tuple[int, int]', old.kernel_size),
                        cast('tuple[int, int]', old.stride),
                        cast('tuple[int, int]', old.padding),
                        cast('tuple[int, int]', old.dilation), groups, old.bias is not None)
    elif isinstance(old, nn.BatchNorm2d):
        if n_in != n_out:
            raise ModelError(f'batch norm {name} cannot turn {n_in} channels into {n_out}')
        new = nn.BatchNorm2d(n_out, old.eps, old.momentum)
    elif isinstance(old, nn.LayerNorm):
        if n_in != n_out:
            raise ModelError(f'layer norm {name} cannot turn {n_in} channels into {n_out}')
        new = nn.LayerNorm(n_out, old.eps)
    elif isinstance(old, Vectors):
        new = Vectors(n_in, n_out)
    else:
        new = nn.Linear(n_in, n_out, cast(nn.Linear, old).bias is not None)
    weight = cast(Tensor, old.weight)
    setattr(parent, child, new.to(weight.device, weight.dtype).train(old.training))
