# SPDX-License-Identifier: Apache-2.0
"""Vectors of length one: what aggregators pool, and what they return."""

from __future__ import annotations

from torch import Tensor
import torch.nn.functional as F


def unit(x: Tensor) -> Tensor:
    """Return `x` with its vectors along dimension 1 (of rows, or of positions) at length one."""
    return F.normalize(x, dim=1)
