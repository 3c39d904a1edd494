# SPDX-License-Identifier: Apache-2.0
"""Statistics of batch norms, measured anew: what a pruned network needs before all learning."""

from __future__ import annotations

from collections.abc import Sequence
import copy

import torch
from torch import nn, Tensor

from vpr_ros.nets.network import Network


def measured_anew(network: Network, batches: Sequence[Tensor]) -> Network:
    """Return a copy whose norms have the mean and variance that they see in `batches`.

    Of each batch by itself, and of all the average: the norms before have them as well already.
    """
    measured = copy.deepcopy(network)
    for norm in norms_of(measured):
        norm.reset_running_stats()
        norm.momentum = None   # the plain average
    measured.train()
    with torch.no_grad():
        for batch in batches:
            measured(batch)
    return measured.eval()


def unfolded(network: Network, batches: Sequence[Tensor]) -> Network:
    """Return the same function with statistics in its norms, measured on `batches`.

    Weights that came through another format often have their norms folded into the convolutions:
    mean 0, variance 1, from which nothing can be measured anew.
    """
    same = copy.deepcopy(network).eval()
    norms = norms_of(same)
    sums = {norm: torch.zeros(2, norm.num_features, dtype=torch.float64) for norm in norms}
    count = dict.fromkeys(norms, 0)

    def look(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        x = inputs[0]
        variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
        numbers = x.numel() // x.shape[1]
        sums[norm] += numbers * torch.stack([mean.double(),
                                             variance.double() + mean.double().square()])
        count[norm] += numbers

    hooks = [norm.register_forward_pre_hook(look) for norm in norms]
    with torch.no_grad():
        for batch in batches:
            same(batch)
        for norm in norms:
            mean, squared = sums[norm] / count[norm]
            variance = (squared - mean.square()).clamp(min=0.0)
            old_mean, old_variance = norm.running_mean, norm.running_var
            assert old_mean is not None
            assert old_variance is not None
            # gain (x - old) / old deviation + bias, said with another mean and deviation
            gain = norm.weight.double() / (old_variance.double() + norm.eps).sqrt()
            norm.bias.copy_(norm.bias.double() + gain * (mean - old_mean.double()))
            norm.weight.copy_(gain * (variance + norm.eps).sqrt())
            old_mean.copy_(mean)
            old_variance.copy_(variance)
    for hook in hooks:
        hook.remove()
    return same


def norms_of(network: nn.Module) -> list[nn.BatchNorm2d]:
    """Return the batch norms of a network."""
    return [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
