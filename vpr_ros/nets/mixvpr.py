# SPDX-License-Identifier: Apache-2.0
"""MixVPR: perceptrons that mix all positions of a map, for one input size."""

from __future__ import annotations

from typing import cast

from torch import nn, Tensor

from vpr_ros.errors import ModelError
from vpr_ros.nets.unit_length import unit


class Mixer(nn.Module):
    """`x + W2 relu(W1 norm(x))` over the positions of each channel; (B, C, N) -> (B, C, N)."""

    def __init__(self, positions: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(positions)
        self.widen = nn.Linear(positions, hidden)
        self.relu = nn.ReLU()
        self.narrow = nn.Linear(hidden, positions)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, N) -> (B, C, N)."""
        return x + cast(Tensor, self.narrow(self.relu(self.widen(self.norm(x)))))


class MixVPR(nn.Module):
    """`depth` mixers, then two projections: of the channels to D, of the positions to R rows.

    `f = unit(W_r (W_d Z^T)^T)` with Z the mixed map, (C, N). Ali-bey, Chaib-draa, Giguere, MixVPR:
    Feature mixing for visual place recognition, WACV 2023. dim = D * R, channel by channel.
    N = height * width of the map is learnt in: another input size is refused.
    """

    def __init__(self, channels: int, channels_out: int, rows: int, depth: int, height: int,
                 width: int, hidden: int = 0) -> None:
        super().__init__()
        positions = height * width
        self.map_size = (height, width)
        self.mixers = nn.Sequential(*(Mixer(positions, hidden or positions)
                                      for _ in range(depth)))
        self.channel_proj = nn.Linear(channels, channels_out)
        self.row_proj = nn.Linear(positions, rows)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, height, width) -> (B, D * R).  Raises ModelError for a map of another size."""
        if (got := tuple(x.shape[2:])) != self.map_size:
            raise ModelError(f'mixvpr mixes maps of {self.map_size[0]}x{self.map_size[1]}, the '
                             f'backbone gives {got[0]}x{got[1]}; choose the input size that it '
                             'was trained for')
        x = self.channel_proj(self.mixers(x.flatten(2)).transpose(1, 2))   # (B, N, D)
        return unit(self.row_proj(x.transpose(1, 2)).flatten(1))
