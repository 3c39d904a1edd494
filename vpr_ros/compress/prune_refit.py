# SPDX-License-Identifier: Apache-2.0
"""After a cut, each layer makes up for the inputs that it lost, by least squares.

What a layer gave before is what it shall give from the inputs that are left: a linear problem,
solved layer by layer in the order of flow, so that each also mends what the ones before could not.
It needs some pictures, no labels and no gradients. Compare He, Zhang, Sun, Channel pruning for
accelerating very deep neural networks, ICCV 2017, and Luo, Wu, Lin, ThiNet, ICCV 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn, Tensor
import torch.nn.functional as F

from vpr_ros.compress.prune_groups import Group, kept_rows, Mask
from vpr_ros.nets.network import Network

_POSITIONS = 64    # of each picture, drawn at random
_BATCH = 16
_RIDGE = 1e-3      # of the mean variance of the inputs: holds on to the weights as they were
_MOST_ROWS = 40_000


def refit(network: Network, before: Network, groups: Sequence[Group], kept: Mapping[str, Mask],
          pictures: Tensor, seed: int = 0) -> None:
    """Change the weights of a cut `network` in place, so that its layers do as those of `before`.

    `groups` are of the network before the cut and `kept` what stayed; `pictures` (P, 3, H, W) are
    preprocessed. Convolutions and linears that mix channels are refitted, those with frozen
    weights are not; depthwise ones stay as they are. Shifts go to a layer's bias or to the mean
    of the batch norm behind it, unless that is frozen.
    """
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    before = copy.deepcopy(before).to(  # type: ignore[call-overload]
        memory_format=torch.channels_last)   # several times faster on processors
    axes = kept_rows(groups, kept)
    norms = _norm_behind(network)
    for name, layer in network.named_modules():
        if (name, 'in') not in axes or not _mixes(layer) or not layer.weight.requires_grad:
            continue
        out = axes.get((name, 'out'))
        rows = _rows_of(network, before, name, pictures, seed)
        wanted = rows.wanted if out is None else rows.wanted[:, torch.from_numpy(
            np.flatnonzero(out))]
        _solve(layer, norms.get(name), rows.given, wanted)


@dataclass(frozen=True, eq=False)
class _Rows:
    """What goes into a layer now (n, inputs), and what came out of it before (n, outputs)."""

    given: Tensor
    wanted: Tensor


class _EnoughError(Exception):
    """What is behind a layer need not be computed."""


def _rows_of(network: Network, before: Network, name: str, pictures: Tensor, seed: int) -> _Rows:
    draw = torch.Generator().manual_seed(seed)
    given, wanted = [], []
    layer = network.get_submodule(name)
    for start in range(0, len(pictures), _BATCH):
        batch = pictures[start:start + _BATCH]
        inputs = _seen(network, name, batch, lambda args, result: args[0])
        outputs = _seen(before, name, batch, lambda args, result: result)
        x, y = _by_position(layer, inputs), _channels_last(layer, outputs)
        each = min(_POSITIONS, x.shape[1], max(1, _MOST_ROWS // len(pictures)))
        at = torch.rand(x.shape[:2], generator=draw).argsort(dim=1)[:, :each, None]
        given.append(x.gather(1, at.expand(-1, -1, x.shape[2])).flatten(0, 1))
        wanted.append(y.gather(1, at.expand(-1, -1, y.shape[2])).flatten(0, 1))
    return _Rows(torch.cat(given), torch.cat(wanted))


def _seen(network: Network, name: str, batch: Tensor, what: Callable[[Any, Any], Tensor]
          ) -> Tensor:
    """Return what a layer was given or gave for a batch; nothing behind it is computed."""
    found: list[Tensor] = []

    def look(layer: nn.Module, args: Any, result: Any) -> None:
        found.append(what(args, result).detach().float())
        raise _EnoughError

    handle = network.get_submodule(name).register_forward_hook(look)
    try:
        with torch.no_grad():
            network.eval()(batch)
    except _EnoughError:
        pass
    finally:
        handle.remove()
    return found[0]


def _by_position(layer: nn.Module, x: Tensor) -> Tensor:
    """Return what a layer's weights meet at each position, (B, positions, inputs)."""
    if isinstance(layer, nn.Linear):
        return x.reshape(x.shape[0], -1, x.shape[-1])
    assert isinstance(layer, nn.Conv2d)
    return F.unfold(x, layer.kernel_size, layer.dilation, layer.padding, layer.stride  # type: ignore[arg-type]
                    ).transpose(1, 2)


def _channels_last(layer: nn.Module, y: Tensor) -> Tensor:
    if isinstance(layer, nn.Linear):
        return y.reshape(y.shape[0], -1, y.shape[-1])
    return y.flatten(2).transpose(1, 2)


def _solve(layer: Any, norm: nn.BatchNorm2d | None, given: Tensor, wanted: Tensor) -> None:
    """Give a layer the weights that make most of `wanted` (n, outputs) of `given` (n, inputs)."""
    old = layer.weight.detach().flatten(1)
    x_mean, y_mean = given.mean(dim=0), wanted.mean(dim=0)
    x, y = given - x_mean, wanted - y_mean
    gram = (x.T @ x).double()
    gram += _RIDGE * gram.diagonal().mean().clamp(min=1e-12) * torch.eye(len(gram))
    missing = (x.T @ (y - x @ old.T)).double()
    new = old + torch.linalg.solve(gram, missing).T.float()
    if not bool(torch.isfinite(new).all()):
        return
    shift = y_mean - new @ x_mean
    with torch.no_grad():
        if layer.bias is not None:
            layer.weight.copy_(new.view_as(layer.weight))
            layer.bias.copy_(shift)
        elif norm is not None and norm.running_mean is not None and norm.weight.requires_grad:
            layer.weight.copy_(new.view_as(layer.weight))
            norm.running_mean -= shift
        else:
            # Nothing takes a shift: what passes through the origin.
            gram = (given.T @ given).double()
            gram += _RIDGE * gram.diagonal().mean().clamp(min=1e-12) * torch.eye(len(gram))
            missing = (given.T @ (wanted - given @ old.T)).double()
            layer.weight.copy_((old + torch.linalg.solve(gram, missing).T.float()
                                ).view_as(layer.weight))


def _mixes(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)


def _norm_behind(network: nn.Module) -> dict[str, nn.BatchNorm2d]:
    """Return the batch norm that takes up each convolution's output: the next one of its width."""
    found: dict[str, nn.BatchNorm2d] = {}
    name, width = '', 0
    for each, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            name, width = each, layer.out_channels
        elif isinstance(layer, nn.BatchNorm2d) and name:
            if layer.num_features == width:
                found[name] = layer
            name = ''
    return found
