# SPDX-License-Identifier: Apache-2.0
"""Numbers rounded to int8 as an engine would, through which gradients pass.

The gradient of rounding is taken for one (the straight-through estimator: Bengio, Leonard,
Courville 2013), so that of a scale is that of Esser et al., Learned step size quantization,
ICLR 2020: `round(x/s) - x/s` within the range, and its ends beyond.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor


def as_activation(x: Tensor, scale: Tensor, zero: int, low: int, high: int) -> Tensor:
    """Return `x` as the integers from `low` to `high` stand for it, of which `zero` is 0.0."""
    return cast(Tensor, _Rounded.apply(x, scale, low - zero, high - zero))  # type: ignore[no-untyped-call]


def as_weight(weight: Tensor, scale: Tensor) -> Tensor:
    """Return a weight as the integers of `scale`, which broadcasts, stand for it."""
    steps = weight / scale
    return scale * (steps + (torch.round(steps) - steps).detach())


def weight_scale(weight: Tensor, axis: int | None, most: int) -> Tensor:
    """Return the scale by which the largest weight is `most`: of each channel, or (None) of all.

    It broadcasts over the weight and passes no gradient. Channels of zeros get that of the
    largest one, since their bias is rounded by it as well.
    """
    size = weight.detach().abs()
    largest = size.amax() if axis is None else size.amax(
        [i for i in range(weight.ndim) if i != axis], keepdim=True)
    of_all = torch.where(size.amax() > 0.0, size.amax(), float(most))
    return torch.where(largest > 0.0, largest, of_all) / most


class _Rounded(torch.autograd.Function):
    """`scale * round(clamp(x / scale, low, high))`; keeps `x` alone until the way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, low: int, high: int) -> Tensor:
        ctx.save_for_backward(x, scale)
        ctx.limits = low, high
        return torch.round(torch.clamp(x / scale, low, high)) * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (x, scale), (low, high), gradient = ctx.saved_tensors, ctx.limits, gradients[0]
        steps = x / scale
        within = (steps >= low) & (steps <= high)
        of_x = gradient * within
        whole = torch.round(torch.clamp(steps, low, high))
        of_scale = (gradient * whole).sum() - (of_x * steps).sum()
        return of_x, of_scale.reshape(scale.shape), None, None
