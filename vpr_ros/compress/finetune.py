# SPDX-License-Identifier: Apache-2.0
"""Teach a pruned network to do again what it did: one epoch, top to bottom.

It learns from its parent (be as the dense network) and, where places are labelled, from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast, TypeVar

import numpy as np
from numpy.typing import NDArray
import torch
from torch import nn, Tensor

from vpr_ros.compress.distill import rate
from vpr_ros.compress.finetune_data import Lessons, Size, Views
from vpr_ros.compress.finetune_losses import as_parent, Similarity
from vpr_ros.compress.finetune_ranks import Ranks
from vpr_ros.compress.finetune_state import State
from vpr_ros.compress.prune_config import LearnConfig
from vpr_ros.core.card import Preprocessing
from vpr_ros.errors import ModelError
from vpr_ros.nets.machine import this_machine
from vpr_ros.nets.network import Network

_BATCH = 64   # images that the parent describes at once
_SETTLED = 128   # views (or places) that norms are settled on
_A_STEP = 100_000   # numbers of lessons: those of different steps are different
T = TypeVar('T')


@dataclass(frozen=True, eq=False)
class Lesson:
    """Views and what the parent says of them, (V, dim)."""

    views: Views
    wanted: Tensor


@dataclass(frozen=True, eq=False)
class Teaching:
    """All that does not change while a network learns."""

    parent: Network
    preprocessing: Preprocessing
    lessons: Lessons
    config: LearnConfig
    ranks: Ranks
    whole: bool = True   # the child's descriptor is to stay in the parent's space

    def __post_init__(self) -> None:
        config, together = self.config, self.lessons.together
        for name, parts in (('views', 1), ('batch', config.accumulate)):
            share = self.ranks.world * together * parts
            if (count := getattr(config, name)) % share:
                raise ModelError(
                    f'{name} {count} cannot be shared equally by {self.ranks.world} processes '
                    f'with {together} views of a place together and {parts} parts of a batch; '
                    f'choose a multiple of {share}')
        if config.distill == 0.0 and (config.similarity == 0.0 or together == 1):
            raise ModelError('there is nothing to learn: distill is 0, and similarity needs '
                             'labelled places; raise distill')

    @property
    def autocast(self) -> bool:
        """Whether products are computed in bfloat16."""
        if self.config.amp != 'auto':
            return self.config.amp == 'on'
        if self.ranks.device.type == 'cuda':
            return bool(torch.cuda.is_bf16_supported())
        return this_machine().bf16

    def lesson(self, number: int, views: int, is_small: bool = False) -> Lesson:
        """Return lesson `number` of this rank, its share of `views`, described by the parent."""
        ranks = self.ranks
        made = self.lessons.views(number * ranks.world + ranks.rank, views // ranks.world,
                                  self.size(is_small), self.config.seed)
        rows = []
        with torch.inference_mode(), self.precision():
            for start in range(0, len(made.pixels), _BATCH):
                rows.append(self.parent(self.as_input(made.pixels[start:start + _BATCH])).float())
        return Lesson(made, torch.cat(rows))

    def size(self, is_small: bool) -> Size:
        """Return (height, width) of views; small ones have a shorter side of `size_px`."""
        size = self.preprocessing.height_px, self.preprocessing.width_px
        if not is_small or not self.config.size_px:
            return size
        share = self.config.size_px / min(size)
        return round(size[0] * share), round(size[1] * share)

    def pictures(self, count: int) -> Tensor:
        """Return up to `count` pictures as they are, ready for a network on the processor."""
        pixels = np.stack(self.lessons.unchanged(count, self.size(is_small=False)))
        return self.as_input(pixels).cpu()

    def batches(self, step: int) -> Iterator[Tensor]:
        """Yield some views as they will be learned from, ready for a network on the processor.

        The same on every rank.
        """
        views = self.lessons.views((step + 1) * _A_STEP - 2, _SETTLED * self.lessons.together,
                                   self.size(self.config.size_px > 0), self.config.seed)
        for start in range(0, len(views.pixels), _BATCH):
            yield self.as_input(views.pixels[start:start + _BATCH]).cpu()

    def as_input(self, pixels: NDArray[np.uint8]) -> Tensor:
        """(B, H, W, 3) uint8 -> (B, 3, H, W) as the card has it, channels last in memory."""
        pre, device = self.preprocessing, self.ranks.device
        mean, std = (torch.tensor(each, device=device).view(1, 3, 1, 1)
                     for each in (pre.mean, pre.std))
        x = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float()
        return ((x / pre.scale - mean) / std).contiguous(memory_format=torch.channels_last)

    def precision(self) -> torch.autocast:
        """Return the context in which networks run."""
        return torch.autocast(self.ranks.device.type, torch.bfloat16, enabled=self.autocast)


def learn(teaching: Teaching, state: State, epochs: int, small: int = 0) -> Iterator[float]:
    """Bring `state.network` from epoch `state.epoch` of its step to the end of `epochs`.

    The learning rate warms up after each cut and falls to zero by half a cosine; the first `small`
    epochs see small views. Yields the mean loss of each epoch when it is done and the state can
    be saved; then all processes have the same.
    Raises ModelError when loss or weights are not finite; the state is of no use then.
    """
    if state.epoch >= epochs:
        return
    config, ranks = teaching.config, teaching.ranks
    network = state.network.to(ranks.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = state.average and state.average.to(ranks.device)
    optimizer = torch.optim.AdamW(_groups(network, config.weight_decay), config.learning_rate)
    if state.optimizer is not None:
        optimizer.load_state_dict(state.optimizer)
    wrapped = ranks.wrapped(network)
    similarity = Similarity() if config.similarity > 0.0 else None

    # 1. Lessons: views that are made, and described by the parent, one epoch ahead.
    first = state.step * _A_STEP
    numbers = range(first + state.epoch, first + epochs)
    lessons = _made_ahead(
        lambda number: teaching.lesson(number, config.views, number - first < small), numbers)
    for number, lesson in zip(numbers, lessons, strict=True):
        rng = np.random.default_rng((config.seed, number, ranks.rank, 7))
        torch.manual_seed(int(rng.integers(1 << 31)))   # of layers that drop some at random
        batches = list(_batches(lesson.views, teaching, rng))
        losses = torch.zeros((), device=ranks.device)
        _set_training(network)
        for i, rows in enumerate(batches):
            # 2. The rate by how far the step is.
            done = state.epoch * len(batches) + i
            for group in optimizer.param_groups:
                group['lr'] = config.learning_rate * rate(done / (epochs * len(batches)),
                                                          config.warmup)
            # 3. Gradients, part by part of the batch.
            optimizer.zero_grad(set_to_none=True)
            for part in np.split(rows, config.accumulate):
                loss = _loss(teaching, wrapped, lesson, part, state.kept, similarity)
                (loss / config.accumulate).backward()  # type: ignore[no-untyped-call]
                losses += loss.detach() / (config.accumulate * len(batches))
            optimizer.step()
            # 4. A slow average follows, faster at first: what was cut is no good start.
            if average is not None:
                _follow(average, network, min(config.ema, (1 + done) / (10 + done)))
        # 5. What a kill would lose is at most one epoch.
        ranks.average([losses, *_statistics(network), *_statistics(average)])
        state.epoch, state.loss = state.epoch + 1, losses.item()
        state.optimizer = optimizer.state_dict()
        if not all(torch.isfinite(x).all() for x in (losses, *network.state_dict().values())):
            raise ModelError(
                f'the loss is not finite in step {state.step}, epoch {state.epoch}; lower '
                'learning_rate, or look for damaged images. The steps that were finished are '
                'whole')
        yield state.loss


def gradients_of(teaching: Teaching, state: State, batches: int = 8) -> dict[str, Tensor]:
    """Return the mean gradient of each weight, by name, over some batches of a lesson."""
    network = state.network.to(teaching.ranks.device)
    lesson = teaching.lesson(state.step * _A_STEP + _A_STEP - 1, batches * teaching.config.batch)
    network.eval()
    network.zero_grad(set_to_none=True)
    similarity = Similarity() if teaching.config.similarity > 0.0 else None
    for rows in np.split(np.arange(len(lesson.views.pixels)), batches):
        loss = _loss(teaching, network, lesson, rows, state.kept, similarity)
        (loss / batches).backward()  # type: ignore[no-untyped-call]
    found = {name: parameter.grad for name, parameter in network.named_parameters()
             if parameter.grad is not None}
    teaching.ranks.average(found.values())
    return {name: gradient.cpu() for name, gradient in found.items()}


def _loss(teaching: Teaching, network: nn.Module, lesson: Lesson, rows: NDArray[np.intp],
          kept: NDArray[np.intp], similarity: Similarity | None) -> Tensor:
    """Return the loss of the views `rows` of a lesson."""
    config = teaching.config
    with teaching.precision():
        said = cast(Tensor, network(teaching.as_input(lesson.views.pixels[rows]))).float()
    index = torch.from_numpy(rows)
    loss = said.new_zeros(())
    if config.distill > 0.0:
        wanted = lesson.wanted[index.to(lesson.wanted.device)]
        loss = loss + config.distill * as_parent(said, wanted,
                                                 None if teaching.whole else kept)
    if similarity is not None and lesson.views.places is not None:
        places = torch.from_numpy(lesson.views.places[rows]).to(said.device)
        loss = loss + config.similarity * similarity(said, places)
    return loss


def _batches(views: Views, teaching: Teaching, rng: np.random.Generator
             ) -> Iterator[NDArray[np.intp]]:
    """Yield the rows of each batch of this rank; views of one place stay together."""
    config = teaching.config
    rows = np.arange(len(views.pixels)).reshape(-1, teaching.lessons.together)
    order = np.concatenate([rows[rng.permutation(len(rows))].ravel()
                            for _ in range(config.reuse)])
    size = config.batch // teaching.ranks.world
    for start in range(0, len(order) - size + 1, size):
        yield order[start:start + size]


def _made_ahead(make: Callable[[int], T], numbers: range) -> Iterator[T]:
    """Yield what is made of each number, while the next is made in a thread with one core."""
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as ahead:
        upcoming: Future[T] | None = None
        for number in numbers:
            current = upcoming or ahead.submit(make, number)
            upcoming = ahead.submit(make, number + 1) if number + 1 in numbers else None
            yield current.result()


def _set_training(network: nn.Module) -> None:
    """Let a network learn; norms that are frozen keep their statistics as well."""
    network.train()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d) and not layer.weight.requires_grad:
            layer.eval()


def _statistics(network: nn.Module | None) -> list[Tensor]:
    """Return what a network has counted, and not learned: each process saw other images."""
    return [] if network is None else [x for x in network.buffers() if x.is_floating_point()]


def _groups(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Return optimizer groups: weights of layers decay, norms and biases do not."""
    learnt = [p for p in network.parameters() if p.requires_grad]
    if not learnt:
        raise ModelError('all layers are frozen, there is nothing to learn; freeze fewer')
    return [{'params': [p for p in learnt if p.ndim > 1], 'weight_decay': decay},
            {'params': [p for p in learnt if p.ndim <= 1], 'weight_decay': 0.0}]


def _follow(slow: nn.Module, fast: nn.Module, keep: float) -> None:
    with torch.no_grad():
        for old, new in zip(slow.state_dict().values(), fast.state_dict().values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new.to(old.device), 1.0 - keep)
            else:
                old.copy_(new)
