# SPDX-License-Identifier: Apache-2.0
"""Generalised-mean pooling, as CosPlace, EigenPlaces and most baselines use it."""

from __future__ import annotations

import torch
from torch import nn, Tensor

from vpr_ros.nets.unit_length import unit


class GeM(nn.Module):
    """Generalised mean over positions, `(mean x^p)^(1/p)` per channel, then an optional linear.

    p is learnt: 1 is the average, infinity the maximum. Radenovic et al., Fine-tuning CNN image
    retrieval with no human annotation, PAMI 2019. dim = C, or the linear's output.
    `unit_positions` takes the vector of each position to length one first (Berton, Masone,
    Caputo, Rethinking visual geo-localization, CVPR 2022: CosPlace, then EigenPlaces);
    `unit_pooled` does so with the pooled vector, before the linear.
    """

    def __init__(self, channels: int, dim: int = 0, p: float = 3.0,
                 unit_positions: bool = False, unit_pooled: bool = False,
                 eps: float = 1e-6) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor(float(p)))
        self.unit_positions, self.unit_pooled, self.eps = unit_positions, unit_pooled, eps
        self.linear = nn.Linear(channels, dim) if dim else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, dim)."""
        x = unit(x) if self.unit_positions else x
        # a mean over positions: an average pooling of full size cannot be exported
        pooled = x.clamp(min=self.eps).pow(self.p).mean((2, 3)).pow(1.0 / self.p)
        pooled = unit(pooled) if self.unit_pooled else pooled
        return unit(pooled if self.linear is None else self.linear(pooled))
