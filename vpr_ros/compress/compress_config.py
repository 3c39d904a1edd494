# SPDX-License-Identifier: Apache-2.0
"""The knobs of `vpr compress`; `config/compress.yaml` explains each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vpr_ros.compress.compress_layers import FLOAT_BITS, LayerPlan, refuse_bits, refuse_share, Wish
from vpr_ros.compress.knob_file import read_knobs
from vpr_ros.compress.prune_config import LearnConfig, ramp, Schedule, SCHEDULES
from vpr_ros.errors import ModelError

DENSE, PRUNED, SHARED = 'dense', 'pruned', 'shared'


@dataclass(frozen=True)
class CompressConfig:
    """Which weights become zero, and how many values the rest share."""

    prune: float = 0.5
    bits: int = 8
    layers: tuple[str, ...] = ()
    fewest: int = 512
    steps: int = 3
    schedule: Schedule = 'cubic'
    rounds: int = 30
    coarse: float = 0.04
    value_bits: int = 16
    mend: int = 128
    freeze: tuple[str, ...] = ()
    scan_pictures: int = 32

    def __post_init__(self) -> None:
        refuse_share(self.prune, 'prune')
        refuse_bits(self.bits, 'bits')
        if self.schedule not in SCHEDULES:
            raise ModelError(f'schedule {self.schedule!r} is not known; choose one of '
                             f'{", ".join(SCHEDULES)}')
        for name, least in (('fewest', 1), ('steps', 1), ('scan_pictures', 1), ('rounds', 0),
                            ('mend', 0)):
            if getattr(self, name) < least:
                raise ModelError(f'{name} must be at least {least}, not {getattr(self, name)}')
        if not 0.0 <= self.coarse < float('inf'):
            raise ModelError(f'coarse must be 0 or more, not {self.coarse}')
        if self.value_bits not in (16, FLOAT_BITS):
            raise ModelError('value_bits, of shared values, biases and norms, must be 16 or '
                             f'{FLOAT_BITS}, not {self.value_bits}')
        _ = self.wishes

    @property
    def wishes(self) -> tuple[Wish, ...]:
        """What is wanted of layers by their name."""
        return tuple(Wish.parse(text) for text in self.layers)


@dataclass(frozen=True)
class ShareConfig(LearnConfig):
    """How the compressed network learns; rates are shares of each layer's spread."""

    learning_rate: float = 3e-3


@dataclass(frozen=True)
class Stage:
    """What one step of a run does before it learns, judges and writes.

    `kind`: dense, the first, does nothing; pruned, by how much of what is to go is gone
    (`progress`); shared, the last, lets what is left share values.
    """

    kind: str
    progress: float = 1.0


def stages_of(config: CompressConfig, plans: Sequence[LayerPlan]) -> list[Stage]:
    """Return the steps of a run, the dense network first.

    Raises ModelError where the plans leave nothing to do.
    """
    stages = [Stage(DENSE, 0.0)]
    if any(plan.prune > 0.0 for plan in plans):
        stages += [Stage(PRUNED, ramp(config.schedule, step, config.steps))
                   for step in range(1, config.steps + 1)]
    if any(plan.bits != FLOAT_BITS for plan in plans):
        stages.append(Stage(SHARED))
    if len(stages) == 1:
        raise ModelError('nothing is to be pruned and all weights are to stay floats '
                         f'({FLOAT_BITS} bits), so nothing becomes smaller; raise --prune or '
                         'lower --bits')
    return stages


@dataclass(frozen=True)
class CompressRun:
    """All knobs of a run."""

    compress: CompressConfig = field(default_factory=CompressConfig)
    learn: ShareConfig = field(default_factory=ShareConfig)

    @classmethod
    def read(cls, path: Path | None, **given: object) -> CompressRun:
        """Return the knobs of a YAML file (None: the defaults), changed by those `given`.

        Raises ModelError for a file that cannot be read, unknown keys and wrong types.
        """
        return read_knobs(cls, path, given)
