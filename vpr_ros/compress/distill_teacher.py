# SPDX-License-Identifier: Apache-2.0
"""What the student shall say at every position of its map: the teacher's word, in a good basis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
import torch
from torch import nn, Tensor

from vpr_ros.core.types import Image

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) * 255.0
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1) * 255.0
BATCH = 64


@dataclass(frozen=True)
class Basis:
    """Principal axes of the teacher's map: `(x - mean) @ axes`, strongest first.

    `mean` (C,), `axes` (C, C), each column scaled by its variance to the power -whitening/2.
    """

    mean: Tensor
    axes: Tensor

    @classmethod
    def fit(cls, maps: Tensor, whitening: float) -> Basis:
        """Return the basis of `maps` (B, C, h, w)."""
        rows = maps.float().permute(0, 2, 3, 1).reshape(-1, maps.shape[1])
        mean = rows.mean(dim=0)
        variances, axes = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
        order = variances.argsort(descending=True)
        scale = variances[order].clamp(min=1e-6).pow(-whitening / 2)
        return cls(mean, axes[:, order] * scale)

    def of(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w) along the axes."""
        turned = (maps.float().permute(0, 2, 3, 1) - self.mean) @ self.axes
        return turned.permute(0, 3, 1, 2)


def as_input(views: NDArray[np.uint8]) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32, normalised, channels last in memory."""
    pixels = torch.from_numpy(views).permute(0, 3, 1, 2).float()
    return ((pixels - MEAN) / STD).contiguous(memory_format=torch.channels_last)


def teacher_maps(teacher: nn.Module, views: Sequence[Image]) -> Tensor:
    """Return the teacher's maps of equally sized views, (B, C, h, w), computed in bfloat16."""
    with torch.inference_mode(), torch.autocast('cpu', torch.bfloat16):
        maps = [cast(Tensor, teacher(as_input(np.stack(views[i:i + BATCH])))).float()
                for i in range(0, len(views), BATCH)]
    return torch.cat(maps).clone()
