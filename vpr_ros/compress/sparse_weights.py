# SPDX-License-Identifier: Apache-2.0
"""Weights that are zero and stay zero, and weights that share values, while a network learns.

Each is a torch parametrization of a layer's weight, so what teaches a network needs to know
nothing of it. What is learned has the layer's own scale taken out of it, so that one learning
rate suits all layers, also those whose norms were folded into them. The scale is a power of two,
so that nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import copy
import math
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
import torch
from torch import nn, Tensor
from torch.nn.utils import parametrize

from vpr_ros.compress.compress_layers import FLOAT_BITS, LayerPlan, weight_of
from vpr_ros.compress.weight_sharing import shared
from vpr_ros.nets.network import Network

_WEIGHT = 'weight'
_PART = f'.parametrizations.{_WEIGHT}.'


class Masked(nn.Module):
    """`kept ? scale * x : 0`: weights that are pruned get no gradient and stay zero."""

    def __init__(self, kept: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer('kept', kept)
        self.register_buffer('scale', scale)

    def forward(self, x: Tensor) -> Tensor:
        """(...) what is learned -> (...) weights."""
        return torch.where(cast(Tensor, self.kept), x * cast(Tensor, self.scale), 0.0)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Weights -> what is learned."""
        return weight / cast(Tensor, self.scale)


class Shared(nn.Module):
    """`scale * book[index]`, index 0 being zero; the book learns by its members' summed gradients.

    Han et al. 2016, 3: `dL/dC_k = sum_ij dL/dW_ij [I_ij = k]`.
    """

    def __init__(self, indices: Tensor, shape: Sequence[int], scale: Tensor) -> None:
        super().__init__()
        self.register_buffer('indices', indices)          # (N,) int32
        self.register_buffer('scale', scale)
        self._shape = tuple(shape)

    def forward(self, book: Tensor) -> Tensor:
        """(K,) -> (...) weights."""
        values = torch.cat([book.new_zeros(1), book * cast(Tensor, self.scale)])
        return values.index_select(0, cast(Tensor, self.indices)).view(self._shape)


def mask_weights(network: nn.Module, plans: Sequence[LayerPlan], progress: float) -> None:
    """Set the smallest weights of each layer to zero, in place: `progress` of its plan's share.

    What is zero already stays zero, and at least one weight of a layer is left. From then on
    they stay so.
    """
    for plan in plans:
        if plan.prune > 0.0:
            layer = network.get_submodule(plan.name)
            weight = weight_of(layer).detach()
            kept = largest(weight.cpu().numpy(), plan.prune * progress)
            parametrize.register_parametrization(
                layer, _WEIGHT, Masked(torch.from_numpy(kept).to(weight.device), _scale(weight)))


def share_weights(network: nn.Module, plans: Sequence[LayerPlan], rounds: int, coarse: float
                  ) -> None:
    """Let the weights of each layer share 2**bits values, in place; zeros of pruned layers stay.

    From then on the values can learn, and which weight takes which is settled.
    Raises ModelError for weights that are not finite.
    """
    for plan in plans:
        layer = network.get_submodule(plan.name)
        weight = weight_of(layer).detach()
        if plan.bits == FLOAT_BITS:
            if plan.prune > 0.0:
                parametrize.register_parametrization(
                    layer, _WEIGHT, Masked(weight != 0.0, _scale(weight)))
            continue
        flat = weight.cpu().contiguous().numpy().ravel()
        stay = flat != 0.0 if plan.prune > 0.0 else np.ones(len(flat), bool)
        levels = 2 ** plan.bits - (plan.prune > 0.0)
        book, which = shared(flat[stay], levels, rounds, coarse)
        indices = np.zeros(len(flat), np.int32)
        indices[stay] = which + 1
        scale = _scale(weight)
        _set_shared(layer, torch.from_numpy(book) / scale.cpu(), torch.from_numpy(indices), scale)


def settled(network: Network, plain: Network) -> Network:
    """Return a copy of `plain` with the weights that a network has come to; on the processor.

    `plain` is of the same layers. A copy, since torch cannot take parametrizations off one of
    several copies of a network without harm to the others.
    """
    copied = copy.deepcopy(plain).cpu()
    state = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()
             if _PART not in name}
    for name, layer in network.named_modules():
        if parametrize.is_parametrized(layer, _WEIGHT):
            state[f'{name}.{_WEIGHT}'] = weight_of(layer).detach().cpu()
    copied.load_state_dict(state)
    return copied.eval()


def round_values(network: nn.Module, plans: Sequence[LayerPlan]) -> None:
    """Round shared values, biases, norms and small layers of a plain network to 16 bits, in place.

    They stay float32 numbers, of which bfloat16 has the first half and the rest is zeros, so that
    they take half the room in a file; in a small network they are a good part of it. Layers whose
    weights are to stay floats are left alone.
    """
    floats = {f'{plan.name}.{_WEIGHT}' for plan in plans if plan.bits == FLOAT_BITS}
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name not in floats:
                parameter.copy_(parameter.bfloat16())


def dress_like(network: nn.Module, saved: Mapping[str, Tensor]) -> None:
    """Prepare a plain network for the state of one whose weights are masked or shared."""
    for name, layer in dict(network.named_modules()).items():
        part = f'{name}{_PART}'
        scale = saved.get(f'{part}0.scale')
        if scale is None:
            continue
        if (kept := saved.get(f'{part}0.kept')) is not None:
            parametrize.register_parametrization(layer, _WEIGHT,
                                                 Masked(kept.clone(), scale.clone()))
        else:
            _set_shared(layer, saved[f'{part}original'].clone(), saved[f'{part}0.indices'].clone(),
                        scale.clone())


def largest(weight: NDArray[np.float32], share: float) -> NDArray[np.bool_]:
    """Return a mask, of the weight's shape, without the share of it that is smallest.

    Zeros are never in it; and one weight stays, unless all are zero.
    """
    size = np.abs(weight).ravel()
    gone = min(round(share * size.size), size.size - 1)
    kept = size > 0.0
    if gone > 0:
        kept[np.argpartition(size, gone - 1)[:gone]] = False
    return kept.reshape(weight.shape)


def _set_shared(layer: nn.Module, book: Tensor, indices: Tensor, scale: Tensor) -> None:
    """Put the values of a book in the place of a layer's weights."""
    weight = weight_of(layer)
    learns, shape, device = weight.requires_grad, weight.shape, weight.device
    part = Shared(indices.to(device), shape, scale.to(device))
    part.right_inverse = lambda _: book.to(device)  # type: ignore[assignment]
    parametrize.register_parametrization(layer, _WEIGHT, part, unsafe=True)
    del part.right_inverse
    cast(Any, layer).parametrizations.weight.original.requires_grad_(learns)


def _scale(weight: Tensor) -> Tensor:
    """Return the power of two at or below how far the weights that are not zero spread."""
    size = weight[weight != 0.0].double()
    spread = float(size.square().mean().sqrt()) if size.numel() else 1.0
    return torch.tensor(2.0 ** math.floor(math.log2(spread)), device=weight.device)
