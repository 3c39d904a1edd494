# SPDX-License-Identifier: Apache-2.0
"""The knobs of distillation; `config/distill.yaml` holds what made the default model."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import yaml

from vpr_ros.errors import ModelError


@dataclass(frozen=True)
class DistillConfig:
    """A student's shape, how long it learns and on what."""

    # the student: a random network, its map projected by a 1x1 convolution on the teacher's
    backbone: str = 'resnet18'
    width_mult: float = 0.5
    cut: str = 'layer4'
    channels: int = 64         # of the teacher's basis, kept at the end
    grid: int = 4              # cells a side; the descriptor has channels * grid^2 dimensions
    unit_positions: bool = True  # pool vectors of length one, as the loss compares them
    whitening: float = 0.5     # 0 keeps the teacher's variances, 1 makes them all equal

    # the input size of use, and that of training: `size_px` for the first rounds, then `input_px`
    input_px: int = 224
    size_px: int = 160
    share_small: float = 0.8

    # a round makes `views` views, asks the teacher once, and learns from each `reuse` times
    rounds: int = 40
    views: int = 4096
    reuse: int = 2
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup: float = 0.04       # share of all steps
    ema: float = 0.998

    # what it learns from besides the training halves: rendered images of ever new worlds
    world_frames: int = 800
    world_height_px: int = 320
    world_width_px: int = 448

    def __post_init__(self) -> None:
        if self.channels * self.grid ** 2 > 1024:
            raise ModelError(f'channels {self.channels} x grid {self.grid} squared is above 1024 '
                             'dimensions; lower one of them')
        for name in ('rounds', 'views', 'reuse', 'batch', 'channels', 'grid'):
            if getattr(self, name) < 1:
                raise ModelError(f'{name} must be at least 1, not {getattr(self, name)}')
        for name in ('share_small', 'whitening', 'warmup', 'ema'):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ModelError(f'{name} must be between 0 and 1, not {getattr(self, name)}')
        if self.views * self.reuse < self.batch:
            raise ModelError(f'a round of {self.views} views x {self.reuse} holds no batch of '
                             f'{self.batch}; raise views or lower batch')

    @property
    def steps_per_round(self) -> int:
        """Optimizer steps in one round; what does not fill a batch is dropped."""
        return self.views * self.reuse // self.batch

    @classmethod
    def read(cls, path: Path) -> DistillConfig:
        """Return the config of a YAML file; raises ModelError for unknown keys and wrong types."""
        try:
            record = yaml.safe_load(path.read_text()) or {}
        except (OSError, yaml.YAMLError) as error:
            raise ModelError(f'{path} cannot be read as YAML ({error})') from error
        defaults = {f.name: f.default for f in fields(cls)}
        if not isinstance(record, dict) or (unknown := sorted(set(record) - set(defaults))):
            raise ModelError(f'{path} has unknown keys: {", ".join(unknown)}'
                             if isinstance(record, dict) else f'{path} is no table of keys')
        for name, value in record.items():
            wanted = type(defaults[name])
            if type(value) is not wanted and not (wanted is float and type(value) is int):
                raise ModelError(f'{path}: {name} must be {wanted.__name__}, not {value!r}')
        return cls(**record)
