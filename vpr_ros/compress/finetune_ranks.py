# SPDX-License-Identifier: Apache-2.0
"""One process or many: who computes which part, on what, and how they stay equal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
import os
from typing import Any, cast, TypeVar

import torch
from torch import nn, Tensor
import torch.distributed as dist

from vpr_ros.errors import ModelError

T = TypeVar('T')

# While the first process judges, the others wait; one that dies is noticed by torchrun at once.
_PATIENCE = timedelta(hours=2)


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

    def wrapped(self, network: nn.Module) -> nn.Module:
        """Return the network so that its gradients are the mean over all processes.

        Its buffers are those of this process, until they are averaged.
        """
        if self.world == 1:
            return network
        return nn.parallel.DistributedDataParallel(
            network, device_ids=[self.device.index] if self.device.type == 'cuda' else None,
            broadcast_buffers=False)

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their mean over all processes."""
        if self.world > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)
                tensor /= self.world

    def by_first(self, make: Callable[[], T]) -> T:
        """Return what the first process makes; what it raises, all raise, so that none waits."""
        if self.world == 1:
            return make()
        box: list[Any] = [None, None]
        failure: Exception | None = None
        if self.is_first:
            try:
                box[0] = make()
            except Exception as error:  # whatever it is, the others must not wait for it
                failure, box[1] = error, f'{error}'
        dist.broadcast_object_list(box, src=0)
        if failure is not None:
            raise failure
        if box[1] is not None:
            raise ModelError(f'the first process failed: {box[1]}')
        return cast(T, box[0])


ALONE = Ranks(0, 1, torch.device('cpu'))


@contextmanager
def ranks(device: str = 'auto') -> Iterator[Ranks]:
    """Yield this process's place among those of `torchrun`, nccl on GPUs and gloo elsewhere.

    `device` is auto (a GPU where there is one), cpu or cuda. Raises ModelError where there is no
    such device, or fewer than processes.
    """
    if device not in ('auto', 'cpu', 'cuda'):
        raise ModelError(f'device must be auto, cpu or cuda, not {device!r}')
    gpus = torch.cuda.device_count()
    if device == 'cuda' and not gpus:
        raise ModelError('there is no CUDA device here, or this torch was built without; choose '
                         '--device cpu')
    on_gpu = gpus > 0 and device != 'cpu'
    world, local = int(os.environ.get('WORLD_SIZE', '1')), int(os.environ.get('LOCAL_RANK', '0'))
    if on_gpu and local >= gpus:
        raise ModelError(f'process {local} of this machine has no GPU of its own, there are '
                         f'{gpus}; start torchrun with --nproc_per_node {gpus}')
    if on_gpu:
        torch.cuda.set_device(local)   # where nccl puts what it sends
    place = torch.device('cuda', local) if on_gpu else torch.device('cpu')
    if world == 1:
        yield Ranks(0, 1, place)
        return
    dist.init_process_group('nccl' if on_gpu else 'gloo', timeout=_PATIENCE)
    yield Ranks(dist.get_rank(), world, place)
    # Not after an exception: it would wait for what the others never send.
    dist.destroy_process_group()
