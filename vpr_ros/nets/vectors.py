# SPDX-License-Identifier: Apache-2.0
"""Learnt vectors as a layer of their own, so that a card knows them and pruning can cut them."""

from __future__ import annotations

import torch
from torch import nn, Tensor


class Vectors(nn.Module):
    """`count` learnt vectors of `channels`: NetVLAD's centroids, BoQ's queries."""

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(count, channels))

    def forward(self) -> Tensor:
        """Return the vectors, (count, channels)."""
        return self.weight
