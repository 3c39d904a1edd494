# SPDX-License-Identifier: Apache-2.0
"""Channels that vary about what they did before: how a network is set right before it learns.

A layer that lost small weights gives outputs of another mean and of less spread, and through many
layers that adds up to another network, although what it has learned is still there. Means and
spreads are put right by a few pictures. Compare Nagel et al., Data-free quantization through
weight equalization and bias correction, ICCV 2019; Jordan et al., REPAIR, ICLR 2023.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import nn, Tensor
from torch.nn.utils import parametrize

from vpr_ros.compress.sparse_weights import Masked

_MOST = 2.0          # times that a channel is made larger or smaller
_LEAST_SPREAD = 1e-6


def match_outputs(network: nn.Module, dense: nn.Module, pictures: Tensor) -> None:
    """Give each channel of a network the mean and spread that it has in the dense one, in place.

    `pictures` (B, 3, H, W) are seen by both at once; layers are put right in the order in which
    they run, each on what those before it give by then. Means go into biases, of layers and of
    norms. Spreads go into weights that are masked; shared ones and plain ones are left alone, and
    so is what is frozen.
    """
    before = _seen(dense, pictures)
    hooks = [layer.register_forward_hook(_matching(*before[name]))
             for name, layer in network.named_modules() if name in before]
    try:
        with torch.no_grad():
            network.eval()(pictures)
    finally:
        for hook in hooks:
            hook.remove()


def _seen(dense: nn.Module, pictures: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Return (mean, spread) of each channel of the layers, by name, that run once a picture."""
    found: dict[str, tuple[Tensor, Tensor]] = {}
    again: set[str] = set()

    def look(name: str, output: Tensor) -> None:
        again.update({name} & set(found))
        found[name] = _moments(output)

    with _hooked(dense, look), torch.no_grad():
        dense.eval()(pictures)
    return {name: moments for name, moments in found.items() if name not in again}


@contextmanager
def _hooked(network: nn.Module, look: Any) -> Iterator[None]:
    hooks = [layer.register_forward_hook(lambda _, inputs, output, name=name: look(name, output))
             for name, layer in network.named_modules()
             if isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm2d)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _matching(mean: Tensor, spread: Tensor) -> Any:
    """Return a hook that puts a layer right and returns what it gives then."""
    def match(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        bias = cast('Tensor | None', layer.bias)
        if learned := _masked(layer):
            now = _moments(output)[1]
            factor = torch.where((now > _LEAST_SPREAD) & (spread > _LEAST_SPREAD),
                                 spread / now.clamp(min=_LEAST_SPREAD), 1.0)
            factor = factor.clamp(1.0 / _MOST, _MOST)
            learned[0].mul_(factor.view(-1, *(1 for _ in learned[0].shape[1:])))
            output = output * _along(factor, output)
            if bias is not None:
                bias.mul_(factor)
        if bias is not None and bias.requires_grad:
            shift = mean - _moments(output)[0]
            bias.add_(shift)
            output = output + _along(shift, output)
        return output
    return match


def _masked(layer: nn.Module) -> list[Tensor]:
    """Return what is learned of a layer's masked weights, where it learns."""
    if not parametrize.is_parametrized(layer, 'weight'):
        return []
    part = cast(Any, layer).parametrizations.weight
    return [part.original] if isinstance(part[0], Masked) and part.original.requires_grad else []


def _moments(output: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (C,) of (B, C, H, W), or of (..., C)."""
    axes = (0, 2, 3) if output.ndim == 4 else tuple(range(output.ndim - 1))
    variance, mean = torch.var_mean(output.float(), axes, correction=0)
    return mean, variance.sqrt()


def _along(channels: Tensor, output: Tensor) -> Tensor:
    return channels.view(1, -1, 1, 1) if output.ndim == 4 else channels
