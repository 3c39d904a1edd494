# SPDX-License-Identifier: Apache-2.0
"""A control: the inputs of a ConvAP head as the published pruning code chooses them; faulty.

Grainge et al., Structured Pruning for Efficient Visual Place Recognition, RA-L 2025: there, which
input columns the head keeps is decided by the norms of these columns, not by which channels the
backbone has lost, and they are stored by falling norm. So most columns read another channel than
they were learned for. Here only to show what that costs.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from vpr_ros.nets.aggregators import ConvAP
from vpr_ros.nets.network import Network


def with_published_inputs(pruned: Network, dense: Network, sort: bool = True) -> Network:
    """Return a rightly pruned network with the head's inputs chosen as published, equally many.

    `sort` False: chosen by norm, yet left in their order, which is half of the fault. Outputs,
    backbone and widths are those of `pruned`, whose head must have lost no outputs.
    """
    faulty = copy.deepcopy(pruned)
    head, origin = faulty.aggregator, dense.aggregator
    assert isinstance(head, ConvAP)
    assert isinstance(origin, ConvAP)
    if head.conv.in_channels == origin.conv.in_channels:
        return faulty   # nothing is lost, nothing to choose
    chosen = columns_by_norm(origin.conv.weight, head.conv.in_channels)
    with torch.no_grad():
        head.conv.weight.copy_(origin.conv.weight[:, chosen if sort else chosen.sort().values])
    return faulty


def columns_by_norm(weight: Tensor, count: int) -> Tensor:
    """Return the numbers (count,) of the columns of a weight (out, in, 1, 1), longest first."""
    norms: Tensor = torch.linalg.vector_norm(weight.detach().flatten(2), dim=(0, 2))
    return norms.argsort(descending=True)[:count]
