# SPDX-License-Identifier: Apache-2.0
"""How many channels each group keeps: the same share everywhere, or more where it is cheap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import heapq
from typing import get_args, Literal

import numpy as np

from vpr_ros.compress.prune_groups import descriptor_axes, Group, Mask, Part
from vpr_ros.compress.prune_scores import Scores
from vpr_ros.errors import ModelError

Allocation = Literal['uniform', 'global', 'latency']
ALLOCATIONS: tuple[Allocation, ...] = get_args(Allocation)
_EXACT = 1e-9   # .1 of the channels are no fewer than 1 - .9 of them


@dataclass(frozen=True)
class Plan:
    """How much is to go.

    `sparsity`: share of the channels of backbone and head; `gamma`: the descriptor loses
    gamma * sparsity of its dimensions (Grainge et al., RA-L 2025): 0 keeps it, 1 shrinks it as
    fast as the backbone, 2 twice as fast. Shares are of the *dense* network, however often it was
    pruned before.
    Widths become multiples of `multiple`, since kernels work in such steps; no group keeps less
    than `least` of its channels.
    """

    sparsity: float
    gamma: float = 0.0
    allocation: Allocation = 'uniform'
    multiple: int = 8
    least: float = 0.1

    def __post_init__(self) -> None:
        if not 0.0 <= self.sparsity < 1.0:
            raise ModelError(f'sparsity must be at least 0 and below 1, not {self.sparsity}')
        if not (self.gamma >= 0.0 and self.gamma * self.sparsity < 1.0):
            raise ModelError('gamma must be 0 or more, and gamma x sparsity below 1, not '
                             f'{self.gamma} x {self.sparsity}')
        if self.allocation not in ALLOCATIONS:
            raise ModelError(f'allocation {self.allocation!r} is not known; choose one of '
                             f'{", ".join(ALLOCATIONS)}')
        if self.multiple < 1:
            raise ModelError(f'widths are multiples of 1 or more, not of {self.multiple}')
        if not 0.0 <= self.least <= 1.0:
            raise ModelError(f'least must be between 0 and 1, not {self.least}')


def channels_left(dense: Sequence[Group], scores: Mapping[str, Scores], plan: Plan,
                  saved_ms: Mapping[str, float] | None = None) -> dict[str, int]:
    """Return how many channels each group keeps, by name.

    `dense` are the groups of the unpruned network, `scores` those of the network as it is now.
    uniform: every group loses the same share. global: the lowest scores of all groups go.
    latency: those with the least score for the time that they cost go, where `saved_ms` says what
    each group saves when it loses half of its channels; then `sparsity` is a share of the time.
    Raises ModelError where latency lacks its measurements.
    """
    inner = [group for group in dense if group.part is not Part.DESCRIPTOR]
    outer = [group for group in dense if group.part is Part.DESCRIPTOR]
    if plan.allocation == 'uniform':
        left = {group.name: (1.0 - plan.sparsity) * group.channels for group in inner}
    elif plan.allocation == 'global':
        left = _by_price(inner, scores, plan, dict.fromkeys(scores, 1.0))
    elif missing := [group.name for group in inner if group.name not in (saved_ms or {})]:
        raise ModelError('the allocation latency needs to know what each group costs, and '
                         f'{missing[0]} was not measured')
    else:
        assert saved_ms is not None
        left = _by_price(inner, scores, plan, {
            group.name: max(saved_ms[group.name], 0.0) / (0.5 * group.channels)
            for group in inner})
    # The size is a product where channels and rows make the descriptor: each gives its part.
    share = (1.0 - plan.gamma * plan.sparsity) ** (1.0 / max(len(descriptor_axes(dense)), 1))
    left |= {group.name: share * group.channels for group in outer}
    return {group.name: min(_rounded(left[group.name], group, plan), len(scores[group.name]))
            for group in dense}


def strongest(scores: Scores, count: int) -> Mask:
    """Return the mask (channels,) of the `count` highest scores; of equals the first."""
    kept = np.zeros(len(scores), dtype=bool)
    kept[np.argsort(-scores, kind='stable')[:count]] = True
    return kept


def _rounded(left: float, group: Group, plan: Plan) -> int:
    """Return a number of channels that a group can have, next to `left`."""
    step = 1 if group.few else plan.multiple
    possible = [*range(step, group.channels, step), group.channels]
    enough = [count for count in possible if count >= (plan.least - _EXACT) * group.channels]
    nearest: int = min(enough, key=lambda count: (abs(count - left), -count))
    return nearest


def _by_price(groups: Sequence[Group], scores: Mapping[str, Scores], plan: Plan,
              price: Mapping[str, float]) -> dict[str, float]:
    """Return what stays when steps of channels go, the least score for its price first."""
    dense = {group.name: group.channels for group in groups}
    left = {group.name: len(scores[group.name]) for group in groups}
    multiple = {group.name: 1 if group.few else plan.multiple for group in groups}
    rising = {group.name: np.sort(scores[group.name]) for group in groups}
    total = sum(price[name] * dense[name] for name in dense)
    spent = sum(price[name] * left[name] for name in left)
    wanted = (1.0 - plan.sparsity + _EXACT) * total
    queue: list[tuple[float, str, int]] = []

    def offer(name: str) -> None:
        """Queue the channels down to the next lower multiple, unless too few would be left."""
        step = left[name] % multiple[name] or multiple[name]
        if left[name] - step >= max((plan.least - _EXACT) * dense[name], 1):
            gone = len(rising[name]) - left[name]
            worth = float(rising[name][gone:gone + step].sum())
            heapq.heappush(queue, (worth / max(price[name] * step, 1e-12), name, step))

    for name in left:
        offer(name)
    while queue and spent > wanted:
        _, name, step = heapq.heappop(queue)
        left[name] -= step
        spent -= price[name] * step
        offer(name)
    return {name: float(count) for name, count in left.items()}
