# SPDX-License-Identifier: Apache-2.0
"""What a pruned network is asked for: to describe as its parent does, and to tell places apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor
import torch.nn.functional as F

_ALPHA, _BETA, _BASE, _MARGIN = 1.0, 50.0, 0.0, 0.1   # as GSV-Cities has them
_LEAST_SPREAD = 0.01


def same_descriptors(child: Tensor, parent: Tensor) -> Tensor:
    """Return the mean of 1 - cosine; (B, dim) unit rows each, in one space."""
    return (1.0 - F.cosine_similarity(child, parent, dim=1)).mean()


def same_relations(child: Tensor, parent: Tensor) -> Tensor:
    """Return how far the similarities within a batch are from the parent's, whatever the sizes.

    `mean (S_c - S_p)^2 / mean (S_p - mean)^2` over all pairs of different images: 0 is the same, 1
    is no better than saying the mean. (B, dim_c), (B, dim_p) unit rows. Compare Park et al.,
    Relational knowledge distillation, CVPR 2019. A parent that finds all alike says nothing:
    below a spread of .01 of its similarities, differences count no more.
    """
    apart = ~torch.eye(len(child), dtype=torch.bool, device=child.device)
    similar, wanted = (child @ child.T)[apart], (parent @ parent.T)[apart]
    spread = (wanted - wanted.mean()).square().mean().clamp(min=_LEAST_SPREAD ** 2)
    return (similar - wanted).square().mean() / spread


def as_parent(child: Tensor, parent: Tensor, kept: NDArray[np.intp] | None) -> Tensor:
    """Return the distillation loss of a batch.

    `kept` None: the child's descriptor is of the parent's space, and the loss is their cosine.
    Else it is of the parent's dimensions `kept` only; then similarities count as well, which say
    what the lost ones said.
    """
    if kept is None:
        return same_descriptors(child, parent)
    part = parent[:, torch.from_numpy(kept).to(parent.device)]
    return same_descriptors(child, part) + same_relations(child, parent)


class Similarity:
    """MultiSimilarity loss over the pairs that its miner finds (Wang et al., CVPR 2019)."""

    def __init__(self) -> None:
        from pytorch_metric_learning import distances, losses, miners
        cosine = distances.CosineSimilarity()
        self._miner: Any = miners.MultiSimilarityMiner(epsilon=_MARGIN, distance=cosine)
        self._loss: Any = losses.MultiSimilarityLoss(_ALPHA, _BETA, _BASE, distance=cosine)

    def __call__(self, descriptors: Tensor, places: Tensor) -> Tensor:
        """Return the loss of a batch (B, dim) whose rows show `places` (B,)."""
        loss: Tensor = self._loss(descriptors, places, self._miner(descriptors, places))
        return loss
