# SPDX-License-Identifier: Apache-2.0
"""Batch norms folded into the convolutions before them, as the exporter to ONNX does.

A graph holds no norms: the exporter multiplies each into its convolution. Weights that are to be
the same numbers in the graph as in the weights file, few and with zeros among them, are therefore
folded first; what is left of the norm multiplies by exactly one and adds its bias.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.fx import Tracer

from vpr_ros.nets.network import Network


def fold_norms(network: Network) -> None:
    """Fold each batch norm of the backbone into the convolution that alone feeds it, in place.

    In evaluation the network does what it did, up to rounding; folding again changes nothing. The
    norm keeps mean 0, a variance whose factor is exactly 1 in float32, and its bias. That factor
    is frozen, so that `finetune.learn` leaves the norm in evaluation, and its bias still learns.
    A norm that stands behind anything else stays as it is.
    """
    for conv, norm in norms_behind(network).items():
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None
        assert variance is not None
        with torch.no_grad():
            # In float32, as torch and the exporter compute it: 1 stays 1.
            factor = norm.weight / torch.sqrt(variance + norm.eps)
            conv.weight.mul_(factor.view(-1, 1, 1, 1))
            if conv.bias is not None:
                conv.bias.mul_(factor)
            norm.bias.sub_(mean * factor)
            norm.weight.fill_(1.0)
            mean.zero_()
            variance.fill_(1.0 - norm.eps)
        norm.weight.requires_grad_(False)


def norms_behind(network: Network) -> dict[nn.Conv2d, nn.BatchNorm2d]:
    """Return each convolution whose output goes into a norm and nowhere else, and that norm."""
    layers = dict(network.backbone.named_modules())
    found = {}
    for node in Tracer().trace(network.backbone).nodes:
        if node.op != 'call_module' or not isinstance(norm := layers[str(node.target)],
                                                      nn.BatchNorm2d):
            continue
        before = node.all_input_nodes[0]
        conv = layers.get(str(before.target)) if before.op == 'call_module' else None
        if isinstance(conv, nn.Conv2d) and len(before.users) == 1:
            found[conv] = norm
    return found
