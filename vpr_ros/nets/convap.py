# SPDX-License-Identifier: Apache-2.0
"""ConvAP: fewer channels, then a coarse grid of averages."""

from __future__ import annotations

from torch import nn, Tensor

from vpr_ros.nets.grid import grid_average
from vpr_ros.nets.unit_length import unit


class ConvAP(nn.Module):
    """A 1x1 convolution to `channels_out`, then the average of each cell of an s x s grid.

    `f = unit(AAP_sxs(W * x + b))`. Ali-bey, Chaib-draa, Giguere, GSV-Cities: Toward appropriate
    supervised visual place recognition, Neurocomputing 2022.
    dim = channels_out * s * s, channel by channel.
    """

    def __init__(self, channels: int, channels_out: int, grid: int,
                 unit_positions: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels_out, 1)
        self.grid, self.unit_positions = grid, unit_positions

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, channels_out * s * s)."""
        x = unit(self.conv(x)) if self.unit_positions else self.conv(x)
        return unit(grid_average(x, self.grid).flatten(1))
