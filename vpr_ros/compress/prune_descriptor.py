# SPDX-License-Identifier: Apache-2.0
"""Which numbers of the descriptor belong to which group, and how much each group tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from vpr_ros.compress.prune_groups import descriptor_axes, Group, Mask
from vpr_ros.compress.prune_scores import Scores
from vpr_ros.nets.network import Network

_BATCH = 16


def makers_of(groups: Sequence[Group]) -> list[Group]:
    """Return the groups that make the descriptor, the one that varies slowest first."""
    return [group for axis in descriptor_axes(groups) for group in axis]


def numbers_left(groups: Sequence[Group], masks: Mapping[str, Mask], dim: int
                 ) -> NDArray[np.intp]:
    """Return which of the descriptor's `dim` numbers stay when channels do."""
    kept = np.ones(1, dtype=bool)
    for axis in descriptor_axes(groups):
        stays = np.concatenate([masks[group.name] for group in axis])
        kept = np.kron(kept, stays).astype(bool)
    return np.flatnonzero(np.repeat(kept, dim // len(kept)))


def variances(network: Network, groups: Sequence[Group], pictures: Tensor) -> dict[str, Scores]:
    """Return how much the numbers that each channel makes vary from picture to picture.

    For the groups that make the descriptor, with mean one; what does not vary tells no place from
    another. `pictures` (P, 3, H, W) are preprocessed.
    """
    axes = descriptor_axes(groups)
    if not axes:
        return {}
    with torch.inference_mode():
        rows = torch.cat([network.eval()(pictures[i:i + _BATCH])
                          for i in range(0, len(pictures), _BATCH)]).numpy()
    sizes = [sum(group.channels for group in axis) for axis in axes]
    spread = rows.var(axis=0, dtype=np.float64).reshape(*sizes, -1)
    found = {}
    for number, axis in enumerate(axes):
        others = tuple(i for i in range(spread.ndim) if i != number)
        ends = np.cumsum([group.channels for group in axis])[:-1]
        for group, scores in zip(axis, np.split(spread.sum(axis=others), ends), strict=True):
            found[group.name] = scores / max(float(scores.mean()), 1e-300)
    return found
