# SPDX-License-Identifier: Apache-2.0
"""Statistics of batch norms, measured anew: what a pruned network needs before all learning."""

from __future__ import annotations

from collections.abc import Sequence
import copy

import torch
from torch import nn, Tensor

from vpr_ros.compress.prune_norms import settle
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
    settle(same, batches)
    return same


def norms_of(network: nn.Module) -> list[nn.BatchNorm2d]:
    """Return the batch norms of a network."""
    return [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
