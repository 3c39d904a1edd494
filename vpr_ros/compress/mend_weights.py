# SPDX-License-Identifier: Apache-2.0
"""What is left of a layer's weights makes up for those that are gone, by least squares.

What a layer gave in the dense network is what it shall give from what it is given now, with the
weights that are not masked: for each output a linear problem in these alone. All of a layer are
solved at once by conjugate gradients, which need products with the inputs' second moments only
(Hestenes and Stiefel 1952). Compare Hubara et al., Accelerated sparse neural training: a provable
and efficient method to find N:M transposable masks, NeurIPS 2021 (AdaPrune).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn, Tensor
import torch.nn.functional as F
from torch.nn.utils import parametrize

from vpr_ros.compress.fold_norms import norms_behind
from vpr_ros.compress.sparse_weights import Masked
from vpr_ros.nets.network import Network

_POSITIONS = 64          # of each picture, drawn at random
_RIDGE = 1e-3            # of the mean variance of the inputs: holds on to the weights as they are
_MOST_INPUTS = 4608      # of one output: the second moments of more take too much memory and time
_ROWS_A_WEIGHT = 2       # of an output: with fewer, it would learn the pictures by heart
_STEPS = 60
_SOLVED = 1e-8           # of what was to be mended, squared
_LEAST = 1e-30


def mend_weights(network: Network, dense: Network, pictures: Tensor, seed: int = 0) -> None:
    """Change the weights of a network in place, so that its layers do as those of the dense one.

    `pictures` (P, 3, H, W) are preprocessed and seen by both at once; `dense` has the same layers,
    its norms folded. Layers are mended as the pictures reach them, each on what those before it
    give by then. Zeros of masked weights stay. Frozen layers, those whose weights are shared and
    those with very many inputs, or more than the pictures can tell, are left as they are. Shifts
    go into biases, of layers and norms.
    """
    wanted = _wanted(dense, pictures, seed)
    norms = _names_of_norms(dense)
    hooks = []
    for name, layer in network.named_modules():
        learned = _learned(layer)
        if name in wanted and learned is not None and layer.weight[0].numel() <= _MOST_INPUTS:
            norm = norms.get(name)
            hooks.append(layer.register_forward_pre_hook(_mending(
                learned, wanted[name], norm and network.get_submodule(norm),
                norm and dense.get_submodule(norm))))
    _run(network, pictures, hooks)


@dataclass(frozen=True, eq=False)
class _Wanted:
    """What a layer gave at some positions (P, K) of each picture: (P, K, C)."""

    at: Tensor
    rows: Tensor


@dataclass(frozen=True, eq=False)
class _Learned:
    """The weights of a layer as they are learned, plain or masked."""

    tensor: Tensor
    mask: Masked | None

    @property
    def kept(self) -> Tensor:
        """Which weights may be other than zero, (O, I)."""
        if self.mask is None:
            return torch.ones_like(self.tensor, dtype=torch.bool).flatten(1)
        return cast(Tensor, self.mask.kept).flatten(1)

    def put(self, weight: Tensor) -> None:
        """Let the weights be these where they are not masked."""
        self.tensor.copy_(weight if self.mask is None else self.mask.right_inverse(weight))


def _learned(layer: Any) -> _Learned | None:
    """Return the weights of a layer, unless they are shared or frozen."""
    if not isinstance(layer, nn.Conv2d | nn.Linear):
        return None
    if not parametrize.is_parametrized(layer, 'weight'):
        return _Learned(layer.weight, None) if layer.weight.requires_grad else None
    part = cast(Any, layer).parametrizations.weight
    if isinstance(part[0], Masked) and part.original.requires_grad:
        return _Learned(part.original, part[0])
    return None


def _wanted(dense: Network, pictures: Tensor, seed: int) -> dict[str, _Wanted]:
    """Return what the convolutions and linears gave that run once a picture, by name."""
    draw = torch.Generator().manual_seed(seed)
    found: dict[str, _Wanted] = {}
    again: set[str] = set()

    def look(name: str) -> Callable[..., None]:
        def take(layer: nn.Module, inputs: Any, output: Tensor) -> None:
            again.update({name} & set(found))
            rows = (output.reshape(len(output), -1, output.shape[-1])
                    if isinstance(layer, nn.Linear) else output.flatten(2).transpose(1, 2))
            many = rows.shape[1]
            at = torch.rand(len(rows), many, generator=draw).argsort(1)[:, :_POSITIONS]
            found[name] = _Wanted(at, rows.gather(
                1, at[:, :, None].expand(-1, -1, rows.shape[2])).float())
        return take

    _run(dense, pictures, [layer.register_forward_hook(look(name))
                           for name, layer in dense.named_modules()
                           if isinstance(layer, nn.Conv2d | nn.Linear)])
    return {name: wanted for name, wanted in found.items() if name not in again}


def _run(network: Network, pictures: Tensor, hooks: list[Any]) -> None:
    try:
        with torch.no_grad():
            network.eval()(pictures)
    finally:
        for hook in hooks:
            hook.remove()


def _names_of_norms(dense: Network) -> dict[str, str]:
    """Return the norm behind each convolution of the backbone, by their names."""
    names = {layer: name for name, layer in dense.named_modules()}
    return {names[conv]: names[norm] for conv, norm in norms_behind(dense).items()}


def _mending(learned: _Learned, wanted: _Wanted, norm: Any, dense_norm: Any) -> Any:
    """Return a hook that mends a layer by what it is about to be given."""
    def mend(layer: Any, inputs: tuple[Tensor, ...]) -> None:
        bias = layer.bias if layer.bias is not None else None if norm is None else norm.bias
        if bias is not None and not bias.requires_grad:
            bias = None
        if wanted.at.numel() < _ROWS_A_WEIGHT * int(learned.kept.sum(1).max()):
            return
        given = _met(layer, inputs[0], wanted.at)
        weight, shift = _solved(layer, learned.kept, given, wanted.rows.flatten(0, 1),
                                has_shift=bias is not None)
        if not bool(torch.isfinite(weight).all() and torch.isfinite(shift).all()):
            return
        learned.put(weight)
        if bias is not None:   # a norm adds its own to what the layer is to give
            bias.copy_(shift if bias is layer.bias else dense_norm.bias + shift)
    return mend


def _met(layer: Any, x: Tensor, at: Tensor) -> Tensor:
    """Return what a layer's weights meet at positions (P, K) of its output, (P * K, inputs)."""
    if isinstance(layer, nn.Linear):
        rows = x.reshape(len(x), -1, x.shape[-1])
        return rows.gather(1, at[:, :, None].expand(-1, -1, rows.shape[2])).flatten(0, 1).float()
    (high, wide), (down, right) = layer.kernel_size, layer.stride
    width = (x.shape[3] + 2 * layer.padding[1] - layer.dilation[1] * (wide - 1) - 1) // right + 1
    rows_of = (at // width * down)[:, :, None] + torch.arange(high) * layer.dilation[0]
    columns = (at % width * right)[:, :, None] + torch.arange(wide) * layer.dilation[1]
    padded = F.pad(x, (layer.padding[1], layer.padding[1], layer.padding[0], layer.padding[0]))
    parts = [one[:, rows[:, :, None], cols[:, None, :]].permute(1, 0, 2, 3).flatten(1)
             for one, rows, cols in zip(padded, rows_of, columns, strict=True)]
    return torch.cat(parts).float()


def _solved(layer: Any, kept: Tensor, given: Tensor, wanted: Tensor, has_shift: bool
            ) -> tuple[Tensor, Tensor]:
    """Return the weights that make most of `wanted`, zero where they are not kept, and a shift.

    The shift (C,) is what they leave of the mean, where something takes it.
    """
    groups, outputs = getattr(layer, 'groups', 1), len(layer.weight)
    x_mean, y_mean = (each.mean(dim=0) if has_shift else each.new_zeros(each.shape[1])
                      for each in (given, wanted))
    x, y = ((each - mean).reshape(len(each), groups, -1).transpose(0, 1)   # (G, n, I), (G, n, O)
            for each, mean in ((given, x_mean), (wanted, y_mean)))
    old, mask = (each.detach().reshape(groups, outputs // groups, -1)      # (G, O, I)
                 for each in (layer.weight, kept))
    gram = x.transpose(1, 2) @ x / len(given)                              # (G, I, I)
    ridge = _RIDGE * gram.diagonal(dim1=1, dim2=2).mean().clamp(min=1e-12)
    gram.diagonal(dim1=1, dim2=2).add_(ridge)
    goal = y.transpose(1, 2) @ x / len(given) + ridge * old
    new = _conjugate_gradients(gram, goal, old, mask)
    means = (new @ x_mean.reshape(groups, -1, 1)).flatten()
    return new.reshape(layer.weight.shape), y_mean - means


def _conjugate_gradients(gram: Tensor, goal: Tensor, start: Tensor, mask: Tensor) -> Tensor:
    """Return W (G, O, I), zero where `mask` is not, with `W gram = goal` where it is."""
    diagonal = gram.diagonal(dim1=1, dim2=2)[:, None]
    found = start * mask
    rest = (goal - found @ gram) * mask
    along = rest / diagonal
    size = (rest * along).sum(2, keepdim=True)
    first = size.clamp(min=_LEAST)
    for _ in range(_STEPS):
        ahead = (along @ gram) * mask
        length = size / (along * ahead).sum(2, keepdim=True).clamp(min=_LEAST)
        found, rest = found + length * along, rest - length * ahead
        scaled = rest / diagonal
        now = (rest * scaled).sum(2, keepdim=True)
        if bool((now <= _SOLVED * first).all()):
            break
        along, size = scaled + now / size.clamp(min=_LEAST) * along, now
    return found
