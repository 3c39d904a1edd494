# SPDX-License-Identifier: Apache-2.0
"""From a feature map to one unit vector.

Shapes: (B, C, H, W) in, (B, dim) of unit length out.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
import math

import torch
from torch import nn, Tensor
import torch.nn.functional as F

from vpr_ros.errors import ModelError

_NEEDED: Mapping[str, Set[str]] = {
    'gem': set(), 'convap': {'channels', 'grid'}, 'grid': {'grid'}}
_OPTIONAL: Mapping[str, Set[str]] = {
    'gem': {'dim', 'p', 'unit_positions'}, 'convap': {'unit_positions'},
    'grid': {'unit_positions'}}


class GeM(nn.Module):
    """Generalised mean over positions, `(mean x^p)^(1/p)` per channel, then an optional linear.

    p is learnt: 1 is the average, infinity the maximum. Radenovic et al., Fine-tuning CNN image
    retrieval with no human annotation, PAMI 2019. dim = C, or the linear's output.
    """

    def __init__(self, channels: int, dim: int = 0, p: float = 3.0,
                 unit_positions: bool = False, eps: float = 1e-6) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor(float(p)))
        self.unit_positions, self.eps = unit_positions, eps
        self.linear = nn.Linear(channels, dim) if dim else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, dim)."""
        x = unit(x) if self.unit_positions else x
        pooled = x.clamp(min=self.eps).pow(self.p).mean((2, 3)).pow(1.0 / self.p)
        return unit(pooled if self.linear is None else self.linear(pooled))


class ConvAP(nn.Module):
    """A 1x1 convolution to `channels_out`, then the average of each cell of an s x s grid.

    Ali-bey, Chaib-draa, Giguere, GSV-Cities: Toward appropriate supervised visual place
    recognition, Neurocomputing 2022. dim = channels_out * s * s, channel by channel.
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


class Grid(nn.Module):
    """ConvAP without its convolution, for backbones used as they come; dim = C * s * s."""

    def __init__(self, grid: int, unit_positions: bool = False) -> None:
        super().__init__()
        self.grid, self.unit_positions = grid, unit_positions

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C * s * s)."""
        x = unit(x) if self.unit_positions else x
        return unit(grid_average(x, self.grid).flatten(1))


def unit(x: Tensor) -> Tensor:
    """Return `x` with its vectors along dimension 1 (of rows, or of positions) at length one."""
    return F.normalize(x, dim=1)


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


def build_aggregator(name: str, args: Mapping[str, float], channels: int) -> nn.Module:
    """Return the aggregator `name` over `channels` input channels.

    gem: `dim` (0 keeps the channels), `p`; convap: `channels`, `grid`; grid: `grid`.  All:
    `unit_positions`, 1 to pool unit vectors, so that no position outweighs the others (as
    Berton, Masone, Caputo, Rethinking visual geo-localization, CVPR 2022, before GeM).
    Raises ModelError for another name, and for arguments that are missing, unknown or below one.
    """
    if name not in _NEEDED:
        raise ModelError(f'aggregator {name!r} is not known; choose one of {", ".join(_NEEDED)}')
    needed, known = _NEEDED[name], {*_NEEDED[name], *_OPTIONAL[name]}
    if set(args) - known or needed - set(args):
        raise ModelError(f'aggregator {name} takes {", ".join(sorted(known))}; '
                         f'the card gives {", ".join(sorted(args)) or "nothing"}')
    if any(args[key] < 1 for key in needed):
        raise ModelError(f'aggregator {name} needs {", ".join(sorted(needed))} of at least 1, '
                         f'not {dict(args)}')
    unit_positions = bool(args.get('unit_positions', 0))
    if name == 'gem':
        return GeM(channels, int(args.get('dim', 0)), args.get('p', 3.0), unit_positions)
    if name == 'convap':
        return ConvAP(channels, int(args['channels']), int(args['grid']), unit_positions)
    return Grid(int(args['grid']), unit_positions)
