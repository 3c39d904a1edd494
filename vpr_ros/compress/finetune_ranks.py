# SPDX-License-Identifier: Apache-2.0
"""One process or many: who computes which part, on what, and how they stay equal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import os
from typing import Any, cast, TypeVar

import torch
from torch import nn, Tensor
import torch.distributed as dist

from vpr_ros.errors import ModelError

T = TypeVar('T')


@dataclass(frozen=True)
class Ranks:
    """Which process it is among all that `torchrun` started, and what it computes on."""

    rank: int
    world: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def part(self, count: int, what: str) -> int:
        """Return this process's share of a number; raises ModelError when it leaves a rest."""
        if count % self.world:
            raise ModelError(f'{what} {count} cannot be shared equally by {self.world} processes; '
                             f'choose a multiple of {self.world}')
        return count // self.world

    def wrapped(self, network: nn.Module) -> nn.Module:
        """Return the network so that its gradients are the mean over all processes."""
        if self.world == 1:
            return network
        return nn.parallel.DistributedDataParallel(
            network, device_ids=[self.device.index] if self.device.type == 'cuda' else None)

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their mean over all processes."""
        if self.world > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)
                tensor /= self.world

    def agree(self, value: T) -> T:
        """Return what the first process has."""
        if self.world == 1:
            return value
        box: list[Any] = [value]
        dist.broadcast_object_list(box, src=0)
        return cast(T, box[0])


ALONE = Ranks(0, 1, torch.device('cpu'))


@contextmanager
def ranks(device: str = 'auto') -> Iterator[Ranks]:
    """Yield this process's place among those of `torchrun`, nccl on GPUs and gloo elsewhere.

    `device` is auto (a GPU where there is one), cpu or cuda. Raises ModelError where there is no
    such device.
    """
    if device not in ('auto', 'cpu', 'cuda'):
        raise ModelError(f'device must be auto, cpu or cuda, not {device!r}')
    has_gpu = torch.cuda.is_available()
    if device == 'cuda' and not has_gpu:
        raise ModelError('there is no CUDA device here, or this torch was built without; choose '
                         '--device cpu')
    on_gpu = has_gpu and device != 'cpu'
    world, local = int(os.environ.get('WORLD_SIZE', '1')), int(os.environ.get('LOCAL_RANK', '0'))
    place = torch.device('cuda', local) if on_gpu else torch.device('cpu')
    if world == 1:
        yield Ranks(0, 1, place)
        return
    dist.init_process_group('nccl' if on_gpu else 'gloo')
    try:
        yield Ranks(dist.get_rank(), world, place)
    finally:
        dist.destroy_process_group()
