# SPDX-License-Identifier: Apache-2.0
"""NetVLAD: how the features of an image differ from learnt centers, center by center."""

from __future__ import annotations

import torch
from torch import nn, Tensor
import torch.nn.functional as F

from vpr_ros.nets.unit_length import unit
from vpr_ros.nets.vectors import Vectors


class NetVLAD(nn.Module):
    """Soft-assigned residuals to K centroids, each of unit length, then all of unit length.

    `V(k) = sum_i a_k(x_i) (x_i - c_k)` with `a_k(x_i) = softmax_k(w_k . x_i)` over the unit
    vectors x_i of all positions; w without the bias, as the published PyTorch weights have it.
    Arandjelovic et al., NetVLAD: CNN architecture for weakly supervised place recognition,
    CVPR 2016. `channels` > 0 puts a 1x1 convolution before it; `dim` > 0 a linear behind it, as
    which a PCA with whitening is written (`W (v - mean)`): dim = K * channels, or that.
    """

    def __init__(self, channels_in: int, clusters: int, channels: int = 0, dim: int = 0) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels_in, channels, 1) if channels else None
        channels = channels or channels_in
        self.assign = nn.Conv2d(channels, clusters, 1, bias=False)
        self.centroids = Vectors(channels, clusters)
        self.whiten = nn.Linear(clusters * channels, dim) if dim else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, K * C) or (B, dim)."""
        x = unit(x if self.reduce is None else self.reduce(x))
        weights = F.softmax(self.assign(x), dim=1).flatten(2)              # (B, K, N)
        # sum_i a (x - c) = sum_i a x - c sum_i a: one product, no loop over the clusters
        sums = torch.matmul(weights, x.flatten(2).transpose(1, 2))         # (B, K, C)
        vlad = sums - weights.sum(2, keepdim=True) * self.centroids()
        vlad = unit(F.normalize(vlad, dim=2).flatten(1))
        return vlad if self.whiten is None else unit(self.whiten(vlad))
