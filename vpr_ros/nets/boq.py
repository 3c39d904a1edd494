# SPDX-License-Identifier: Apache-2.0
"""BoQ: learnt questions put to the features of an image by attention."""

from __future__ import annotations

import math

import torch
from torch import nn, Tensor
import torch.nn.functional as F

from vpr_ros.nets.unit_length import unit
from vpr_ros.nets.vectors import Vectors


class Attention(nn.Module):
    """`W_o concat_h(softmax(Q_h K_h^T / sqrt(d_h)) V_h)` with h heads; Vaswani et al., 2017.

    Projections are layers of their own, so that each width stands on the card.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, asking: Tensor, asked: Tensor) -> Tensor:
        """(B, Q, C), (B, N, C) -> (B, Q, C)."""
        query, key, value = (self._split(layer(x)) for layer, x in (
            (self.query, asking), (self.key, asked), (self.value, asked)))
        scores = query @ key.transpose(2, 3) / math.sqrt(key.shape[3])
        mixed = F.softmax(scores, dim=3) @ value                           # (B, h, Q, d_h)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, heads, N, C / heads)."""
        return x.reshape(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)


class Block(nn.Module):
    """One bag: an encoder layer over the positions, then `count` queries that attend to them."""

    def __init__(self, channels: int, hidden: int, count: int, heads: int) -> None:
        super().__init__()
        self.encode = Attention(channels, heads)
        self.norm_encoded = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, hidden)
        self.narrow = nn.Linear(hidden, channels)
        self.norm_wide = nn.LayerNorm(channels)
        self.queries = Vectors(channels, count)
        self.among_queries = Attention(channels, heads)
        self.norm_queries = nn.LayerNorm(channels)
        self.cross = Attention(channels, heads)
        self.norm_out = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, C) -> the positions for the next block (B, N, C), the answers (B, count, C)."""
        x = self.norm_encoded(x + self.encode(x, x))
        x = self.norm_wide(x + self.narrow(F.relu(self.widen(x))))
        queries = self.queries()[None]  # no image in it yet: a constant of the exported graph
        queries = self.norm_queries(queries + self.among_queries(queries, queries))
        return x, self.norm_out(self.cross(queries, x))


class BoQ(nn.Module):
    """Bag of queries: a 3x3 convolution to `channels_out`, then `blocks` bags of `queries` each.

    `O_l = norm(MHA(q_l, x_l, x_l))` with `x_l = encoder_l(x_{l-1})`, and
    `f = unit(W [O_1 ... O_L])`, where W takes all answers to R `rows`. Ali-bey, Chaib-draa,
    Giguere, BoQ: A place is worth a bag of learnable queries, CVPR 2024.
    dim = channels_out * R, channel by channel.
    """

    def __init__(self, channels: int, channels_out: int, queries: int, blocks: int, rows: int,
                 heads: int, hidden: int = 0) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, channels_out, 3, padding=1)
        self.norm_in = nn.LayerNorm(channels_out)
        self.blocks = nn.ModuleList(
            Block(channels_out, hidden or 4 * channels_out, queries, heads)
            for _ in range(blocks))
        self.rows = nn.Linear(blocks * queries, rows)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, channels_out * R)."""
        x = self.norm_in(self.project(x).flatten(2).transpose(1, 2))       # (B, N, C)
        answers = []
        for block in self.blocks:
            x, answer = block(x)
            answers.append(answer)
        out = torch.cat(answers, dim=1).transpose(1, 2)                    # (B, C, L * queries)
        return unit(self.rows(out).flatten(1))
