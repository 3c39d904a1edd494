# SPDX-License-Identifier: Apache-2.0
"""Batch norms that know what they will see, before a network learns again.

While it learns, a norm divides by the mean and variance of the batch. Where these are not what its
weights stand for, the network is another one from the first step on: after a cut, on other
pictures than it was trained with, and above all for weights that came with their norms folded into
the convolutions (mean 0, variance 1).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn, Tensor


def settle(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Give norms the mean and variance that they see in `batches`, and change nothing else.

    Factor and shift make up for it, so that in evaluation the network does what it did. Frozen
    norms are left alone.
    """
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)
             and layer.weight.requires_grad and layer.running_mean is not None]
    sums = {norm: torch.zeros(2, norm.num_features, dtype=torch.float64) for norm in norms}
    count = dict.fromkeys(norms, 0)

    def look(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        x = inputs[0]
        variance, mean = (each.double().cpu() for each in torch.var_mean(
            x.float(), (0, 2, 3), correction=0))
        numbers = x.numel() // x.shape[1]
        sums[norm] += numbers * torch.stack([mean, variance + mean.square()])
        count[norm] += numbers

    hooks = [norm.register_forward_pre_hook(look) for norm in norms]
    try:
        with torch.no_grad():
            for batch in batches:
                network.eval()(batch)
    finally:
        for hook in hooks:
            hook.remove()
    for norm in norms:
        if count[norm]:
            mean, squared = sums[norm] / count[norm]
            _restate(norm, mean, (squared - mean.square()).clamp(min=0.0))


def _restate(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Say `(x - old mean) / old deviation * weight + bias` with another mean and deviation."""
    old_mean, old_variance = norm.running_mean, norm.running_var
    assert old_mean is not None
    assert old_variance is not None
    with torch.no_grad():
        gain = norm.weight.double() / (old_variance.double() + norm.eps).sqrt()
        norm.bias.copy_(norm.bias.double() + gain * (mean - old_mean.double()))
        norm.weight.copy_(gain * (variance + norm.eps).sqrt())
        old_mean.copy_(mean)
        old_variance.copy_(variance)
