# SPDX-License-Identifier: Apache-2.0
"""Averages over a coarse grid, which keep the layout that one average forgets."""

from __future__ import annotations

import math

import torch
from torch import nn, Tensor

from vpr_ros.nets.unit_length import unit


class Grid(nn.Module):
    """ConvAP without its convolution, for backbones used as they come; dim = C * s * s."""

    def __init__(self, grid: int, unit_positions: bool = False) -> None:
        super().__init__()
        self.grid, self.unit_positions = grid, unit_positions

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C * s * s)."""
        x = unit(x) if self.unit_positions else x
        return unit(grid_average(x, self.grid).flatten(1))


def grid_average(x: Tensor, grid: int) -> Tensor:
    """Return the means over a grid of windows, (B, C, H, W) -> (B, C, grid, grid).

    Equal to `adaptive_avg_pool2d`, whose windows overlap where H is no multiple of `grid`.
    Written as two matrix products with constants, since the exporter to ONNX has no such pooling.
    """
    rows = _windows(x.shape[2], grid).to(x)
    columns = _windows(x.shape[3], grid).to(x)
    return rows @ x @ columns.T


def _windows(size: int, grid: int) -> Tensor:
    """Return (grid, size): row i averages the pixels floor(i s/g) up to ceil((i+1) s/g)."""
    rows = []
    for i in range(grid):
        start, stop = i * size // grid, math.ceil((i + 1) * size / grid)
        rows.append([1.0 / (stop - start) if start <= x < stop else 0.0 for x in range(size)])
    return torch.tensor(rows)
