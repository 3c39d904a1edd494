# SPDX-License-Identifier: Apache-2.0
"""How much a channel matters: the criteria by which some go and others stay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import get_args, Literal

import numpy as np
from numpy.typing import NDArray
import torch
from torch import nn, Tensor

from vpr_ros.compress.prune_groups import Group, Member
from vpr_ros.errors import ModelError

Criterion = Literal['l1', 'l2', 'taylor', 'bn-scale', 'lamp', 'random']
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)
Scores = NDArray[np.float64]
Gradients = Mapping[str, Tensor]


def scores_of(network: nn.Module, groups: Sequence[Group], criterion: Criterion,
              gradients: Gradients | None = None, seed: int = 0) -> dict[str, Scores]:
    """Return for each group the scores (channels,) of its channels; the lowest go first.

    l1, l2: the norm of all that is deleted with a channel, a mean over the layers of its group
    (Li et al., Pruning filters for efficient ConvNets, ICLR 2017; Fang et al., DepGraph, CVPR
    2023). bn-scale: the batch norm's factor (Liu et al., Network slimming, ICCV 2017); l1 in
    groups that have none. lamp: the squared norm as a share of those that are no smaller (Lee et
    al., Layer-adaptive sparsity, ICLR 2021), here of channels instead of weights. taylor: how
    much the loss would change, `|sum w dL/dw|` (Molchanov et al., Importance estimation, CVPR
    2019), from `gradients` by name of weight. random: the control.
    All but lamp and random have mean one in each group, so that groups can be compared.
    Raises ModelError for an unknown criterion, missing gradients and scores that are not finite.
    """
    if criterion not in CRITERIA:
        raise ModelError(f'criterion {criterion!r} is not known; choose one of '
                         f'{", ".join(CRITERIA)}')
    if criterion == 'taylor' and gradients is None:
        raise ModelError('the criterion taylor needs gradients, and so images to learn from')
    found = {}
    for number, group in enumerate(groups):
        if criterion == 'random':
            scores = np.random.default_rng((seed, number)).random(group.channels)
        elif criterion == 'taylor':
            assert gradients is not None
            slopes = [np.abs(each) for each in _slopes(network, group, gradients)]
            if not slopes:
                raise ModelError(f'the channels of {group.name} have no gradients; were all of '
                                 'its layers frozen? freeze fewer, or choose another criterion')
            scores = _mean(slopes)
        elif criterion == 'bn-scale':
            scores = _bn_scale(network, group)
        elif criterion == 'lamp':
            scores = _lamp(_norms(network, group, 2) ** 2)
        else:
            scores = _norms(network, group, 1 if criterion == 'l1' else 2)
        if not np.isfinite(scores).all():
            raise ModelError(f'the channels of {group.name} have scores that are not finite; the '
                             'weights or gradients are damaged')
        if criterion not in ('lamp', 'random'):
            scores = scores / max(float(scores.mean()), 1e-300)
        found[group.name] = scores
    return found


def _norms(network: nn.Module, group: Group, p: int) -> Scores:
    return _mean([torch.linalg.vector_norm(part, p, dim=1).numpy().astype(np.float64)
                  for part in _weights(network, group)])


def _lamp(squared: Scores) -> Scores:
    """Return `s_u / sum of all s_v >= s_u`: 1 for the greatest."""
    order = np.argsort(squared, kind='stable')
    no_smaller = np.cumsum(squared[order][::-1])[::-1]
    scores = np.empty_like(squared)
    with np.errstate(invalid='ignore'):   # what is not finite is refused by its group's name
        scores[order] = squared[order] / np.maximum(no_smaller, 1e-300)
    return scores


def _bn_scale(network: nn.Module, group: Group) -> Scores:
    factors = [_by_channel(layer.weight.detach().abs(), group.channels, member
                           )[:, 0].double().numpy() for member in group.members
               if isinstance(layer := network.get_submodule(member.layer), nn.BatchNorm2d)]
    return _mean(factors) if factors else _norms(network, group, 1)


def _slopes(network: nn.Module, group: Group, gradients: Gradients) -> Iterator[Scores]:
    for member in group.members:
        weight = network.get_submodule(member.layer).weight
        gradient = gradients.get(f'{member.layer}.weight')
        if isinstance(weight, Tensor) and gradient is not None:
            part = _by_channel(weight.detach() * gradient, group.channels, member)
            yield part.sum(dim=1).double().numpy()


def _weights(network: nn.Module, group: Group) -> Iterator[Tensor]:
    """Yield what each layer of a group holds of each channel, (channels, rest); no norms."""
    for member in group.members:
        layer = network.get_submodule(member.layer)
        if not isinstance(layer, nn.BatchNorm2d | nn.LayerNorm) and isinstance(
                layer.weight, Tensor):
            yield _by_channel(layer.weight.detach(), group.channels, member)


def _by_channel(weight: Tensor, channels: int, member: Member) -> Tensor:
    """(rows, ...) -> (channels, rest), by the axis of a member."""
    axis = 1 if member.side == 'in' else 0
    by_row = weight.movedim(axis, 0).reshape(member.outer, member.of or channels, member.inner, -1)
    return by_row.movedim(1, 0)[member.first:member.first + channels].reshape(channels, -1)


def _mean(parts: Sequence[Scores]) -> Scores:
    mean: Scores = np.mean(parts, axis=0)
    return mean
