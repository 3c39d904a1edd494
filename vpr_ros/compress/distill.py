# SPDX-License-Identifier: Apache-2.0
"""Teach a small network, from random weights, to see as a large one: one loop, top to bottom.

`python -m vpr_ros.compress.distill --config config/distill.yaml --shared ../shared --out DIR`
makes the default model (see `distill_default.py`); this file is the method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
import math
import os
from pathlib import Path
import time
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
import torch
from torch import nn, Tensor
import torch.nn.functional as F

from vpr_ros.compress.distill_augment import make_view
from vpr_ros.compress.distill_config import DistillConfig
from vpr_ros.compress.distill_student import Student
from vpr_ros.compress.distill_teacher import as_input, Basis, teacher_maps
from vpr_ros.core.types import Image
from vpr_ros.errors import ModelError
from vpr_ros.nets.network import channels_of

ModuleT = TypeVar('ModuleT', bound=nn.Module)

CHECKPOINT = 'student.pt'
_BASIS_VIEWS = 1024
_BASIS_STREAM = 1 << 30  # a round number that no round has


@dataclass(frozen=True)
class Distilled:
    """A student with its averaged weights, and what it took."""

    student: Student
    steps: int
    seconds: float


def distill(config: DistillConfig, teacher: nn.Module, images: Sequence[Image], folder: Path,
            seed: int, say: Callable[[str], None] = print) -> Distilled:
    """Return a student of `teacher` after `config.rounds` rounds over views of `images`.

    `teacher` maps (B, 3, H, W) to (B, C, h, w), as the student's backbone does in h and w.
    After each round `folder/student.pt` is replaced; a second call goes on from it and ends with
    the same weights as an uninterrupted one.  Two threads, whatever torch is set to.
    Raises ModelError for a checkpoint of another student.
    """
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / CHECKPOINT

    torch.manual_seed(seed)
    teacher = _channels_last(teacher.eval())

    # 1. The student, a slow average of it, and its optimizer.
    channels = channels_of(teacher)
    student = _channels_last(Student(config, channels))
    average = Student(config, channels)
    average.load_state_dict(student.state_dict())
    optimizer = torch.optim.AdamW(_groups(student, config.weight_decay), lr=config.learning_rate)

    # 2. The basis, axes of the teacher's answers on views; or all as a checkpoint left it.
    if checkpoint.exists():
        done, seconds, basis = _resume(checkpoint, student, average, optimizer)
        say(f'going on after round {done}')
    else:
        done, seconds = 0, 0.0
        sample = _views(images, config.input_px, min(config.views, _BASIS_VIEWS),
                        (seed, _BASIS_STREAM))
        basis = Basis.fit(teacher_maps(teacher, sample), config.whitening)

    def prepare(number: int) -> tuple[NDArray[np.uint8], Tensor]:
        """Return a round's views (V, s, s, 3) and the teacher's answers (V, C, h, w) float16."""
        small = number < config.share_small * config.rounds
        views = _views(images, config.size_px if small else config.input_px, config.views,
                       (seed, number))
        return np.stack(views), basis.of(teacher_maps(teacher, views)).half()

    total, start = config.rounds * config.steps_per_round, time.monotonic()
    # 3. Rounds: views that are made once and answered once by the teacher.
    for number, pixels, target in _made_ahead(prepare, range(done, config.rounds)):
        # 4. The student learns from each view a few times, in an order of its own.
        rng = np.random.default_rng((seed, number, 0))
        order = np.concatenate([rng.permutation(config.views) for _ in range(config.reuse)])
        student.train()
        losses = 0.0
        for i in range(config.steps_per_round):
            step = number * config.steps_per_round + i
            for group in optimizer.param_groups:
                group['lr'] = config.learning_rate * rate(step / total, config.warmup)
            rows = order[i * config.batch:(i + 1) * config.batch]
            with torch.autocast('cpu', torch.bfloat16):
                answer = student(as_input(pixels[rows]))
            loss = disagreement(answer.float(), target[torch.from_numpy(rows)].float(),
                                config.channels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            average.follow(student, min(config.ema, (1 + step) / (10 + step)))
            losses += loss.item()

        # 5. What a kill would lose is at most one round.
        seconds, start = seconds + time.monotonic() - start, time.monotonic()
        _save(checkpoint, number + 1, seconds, basis, student, average, optimizer)
        say(f'round {number + 1}/{config.rounds}  {pixels.shape[1]} px  '
            f'loss {losses / config.steps_per_round:.4f}  {seconds / 60:.1f} min')
    return Distilled(average.eval(), total, seconds)


def disagreement(answer: Tensor, target: Tensor, channels: int) -> Tensor:
    """Return 1 - cosine: at every position, and of the whole map (how strong positions are).

    Over all channels and over the first `channels`, which are those that are kept at the end.
    (B, C, h, w) each -> scalar in [0, 8].
    """
    def distance(a: Tensor, b: Tensor) -> Tensor:
        here = F.cosine_similarity(a, b, dim=1).mean()
        whole = F.cosine_similarity(a.flatten(1), b.flatten(1), dim=1).mean()
        return 2.0 - here - whole
    return distance(answer, target) + distance(answer[:, :channels], target[:, :channels])


def rate(progress: float, warmup: float) -> float:
    """Return the share of the learning rate: a linear start, then half a cosine down to zero."""
    if progress < warmup:
        return (progress + 1e-3) / (warmup + 1e-3)
    return 0.5 * (1.0 + math.cos(math.pi * (progress - warmup) / (1.0 - warmup)))


def _made_ahead(prepare: Callable[[int], tuple[NDArray[np.uint8], Tensor]], numbers: range,
                ) -> Iterator[tuple[int, NDArray[np.uint8], Tensor]]:
    """Yield each number and what is prepared for it, while the next is prepared in a thread.

    On busy cores two threads that need not wait for each other do far more than two that share
    every operation.
    """
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as ahead:
        upcoming: Future[tuple[NDArray[np.uint8], Tensor]] | None = None
        for number in numbers:
            current = upcoming or ahead.submit(prepare, number)
            more = number + 1 in numbers
            upcoming = ahead.submit(prepare, number + 1) if more else None
            yield number, *current.result()


def _views(images: Sequence[Image], size_px: int, count: int,
           stream: tuple[int, int]) -> list[Image]:
    """Return `count` views; each has a random stream of its own."""
    return [make_view(images, size_px, np.random.default_rng((*stream, 1, i)))
            for i in range(count)]


def _channels_last(module: ModuleT) -> ModuleT:
    """Return the module with the memory layout that CPUs convolve fastest in."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _groups(student: nn.Module, decay: float) -> list[dict[str, object]]:
    """Return optimizer groups: only weights of convolutions decay, no norm and no bias."""
    weights = [p for p in student.parameters() if p.ndim > 1]
    others = [p for p in student.parameters() if p.ndim <= 1]
    return [{'params': weights, 'weight_decay': decay}, {'params': others, 'weight_decay': 0.0}]


def _save(path: Path, done: int, seconds: float, basis: Basis, student: Student,
          average: Student, optimizer: torch.optim.Optimizer) -> None:
    """Replace the checkpoint in one rename, so that there always is a whole one."""
    part = path.with_suffix('.part')
    torch.save({'done': done, 'seconds': seconds, 'mean': basis.mean, 'axes': basis.axes,
                'student': student.state_dict(), 'average': average.state_dict(),
                'optimizer': optimizer.state_dict()}, part)
    os.replace(part, path)


def _resume(path: Path, student: Student, average: Student,
            optimizer: torch.optim.Optimizer) -> tuple[int, float, Basis]:
    """Load a checkpoint into the three; return rounds done, seconds spent and the basis."""
    try:
        state = torch.load(path, weights_only=True)
        student.load_state_dict(state['student'])
        average.load_state_dict(state['average'])
        optimizer.load_state_dict(state['optimizer'])
        return int(state['done']), float(state['seconds']), Basis(state['mean'], state['axes'])
    except Exception as error:  # torch raises many kinds on damaged files
        raise ModelError(f'{path} is damaged or of another student ({error}); '
                         'remove it or choose another folder') from error


if __name__ == '__main__':
    from vpr_ros.compress.distill_default import main
    main()
