# SPDX-License-Identifier: Apache-2.0
"""The knobs of pruning and of learning after it; `config/prune.yaml` explains each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args, Literal

from vpr_ros.compress.knob_file import read_knobs
from vpr_ros.compress.prune_scores import CRITERIA, Criterion
from vpr_ros.compress.prune_widths import Allocation, Plan
from vpr_ros.errors import ModelError

Schedule = Literal['linear', 'cubic', 'one-shot']
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)


def ramp(schedule: Schedule, step: int, steps: int) -> float:
    """Return the share of all that is to go that is gone after step 1 ... `steps`.

    linear: `e / E`. cubic: `1 - (1 - e / E)^3`, much at first and little at the end (Zhu and
    Gupta, To prune, or not to prune, 2017). one-shot: all at once; what is left of the steps
    only learns.
    """
    share = min(step / steps, 1.0)
    if schedule == 'one-shot':
        return float(step > 0)
    return 1.0 - (1.0 - share) ** 3 if schedule == 'cubic' else share


@dataclass(frozen=True)
class PruneConfig:
    """What is cut, and in how many steps."""

    sparsity: float = 0.5
    gamma: float = 0.0
    steps: int = 5
    schedule: Schedule = 'cubic'
    criterion: Criterion = 'l2'
    allocation: Allocation = 'uniform'
    multiple: int = 8
    least: float = 0.1
    refit: int = 256
    freeze: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, known in (('schedule', SCHEDULES), ('criterion', CRITERIA)):
            if getattr(self, name) not in known:
                raise ModelError(f'{name} {getattr(self, name)!r} is not known; choose one of '
                                 f'{", ".join(known)}')
        if self.steps < 1:
            raise ModelError(f'steps must be at least 1, not {self.steps}')
        if self.refit < 0:
            raise ModelError(f'refit must not be negative, not {self.refit}')
        self.plan(self.sparsity)

    def plan(self, sparsity: float) -> Plan:
        """Return how much is to go at a sparsity."""
        return Plan(sparsity, self.gamma, self.allocation, self.multiple, self.least)

    def sparsity_at(self, step: int) -> float:
        """Return the sparsity after step 1 ... `steps`."""
        return self.sparsity * ramp(self.schedule, step, self.steps)


@dataclass(frozen=True)
class LearnConfig:
    """How the pruned network learns to do again what the dense one does."""

    epochs: int = 2              # after each step
    last_epochs: int = 4         # after the last one
    size_px: int = 0             # shorter side of views before the last epochs; 0: the input's
    views: int = 2048            # pictures of an epoch, all ranks together
    reuse: int = 2               # times that each is learned from
    batch: int = 64              # of all ranks together
    accumulate: int = 1          # parts in which a batch is computed
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.1          # share of the batches after a cut
    distill: float = 1.0         # weight of: be as the dense network
    similarity: float = 1.0      # weight of: MultiSimilarity, where places are labelled
    views_per_place: int = 4
    ema: float = 0.0
    amp: Literal['auto', 'on', 'off'] = 'auto'
    threads: int = 1             # of processors that learn; another one makes the next views
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ('views', 'reuse', 'batch', 'accumulate', 'threads'):
            if getattr(self, name) < 1:
                raise ModelError(f'{name} must be at least 1, not {getattr(self, name)}')
        for name in ('epochs', 'last_epochs', 'size_px', 'learning_rate', 'weight_decay',
                     'distill', 'similarity', 'seed'):
            if not getattr(self, name) >= 0:
                raise ModelError(f'{name} must not be negative, not {getattr(self, name)}')
        if not (0.0 <= self.warmup <= 1.0 and 0.0 <= self.ema < 1.0):
            raise ModelError('warmup must be between 0 and 1, ema at least 0 and below 1')
        if self.views * self.reuse < self.batch:
            raise ModelError(f'an epoch of {self.views} views x {self.reuse} holds no batch of '
                             f'{self.batch}; raise views or lower batch')
        if self.batch % self.accumulate:
            raise ModelError(f'a batch of {self.batch} cannot be computed in {self.accumulate} '
                             'equal parts')
        if self.views_per_place < 2:
            raise ModelError('views_per_place must be at least 2: what is alike is learned from '
                             f'pairs, not {self.views_per_place}')
        if self.amp not in ('auto', 'on', 'off'):
            raise ModelError(f'amp must be auto, on or off, not {self.amp!r}')


@dataclass(frozen=True)
class RunConfig:
    """All knobs of a run."""

    prune: PruneConfig = field(default_factory=PruneConfig)
    learn: LearnConfig = field(default_factory=LearnConfig)

    @classmethod
    def read(cls, path: Path | None, **given: object) -> RunConfig:
        """Return the knobs of a YAML file (None: the defaults), changed by those `given`.

        Raises ModelError for a file that cannot be read, unknown keys and wrong types.
        """
        return read_knobs(cls, path, given)
