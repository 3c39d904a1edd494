# SPDX-License-Identifier: Apache-2.0
"""What a benchmark of models measures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vpr_ros.errors import ModelError
from vpr_ros.nets.machine import Machine

Runs = list[tuple[float, float]]  # (processor, wall) seconds


@dataclass(frozen=True)
class BenchConfig:
    """How to measure: threads of each engine, turns, images of a batch."""

    threads: int = 1
    rounds: int = 15
    batch: int = 8

    def __post_init__(self) -> None:
        if self.threads < 1 or self.rounds < 1 or self.batch < 1:
            raise ModelError('--threads and --rounds must be 1 or more')


@dataclass(frozen=True)
class Spent:
    """Milliseconds of processor and of the wall clock: median and 95th percentile."""

    cpu_ms_p50: float
    cpu_ms_p95: float
    wall_ms_p50: float
    wall_ms_p95: float

    @classmethod
    def of(cls, runs: Runs) -> Spent:
        """Return the quantiles of (cpu, wall) seconds."""
        cpu, wall = (1e3 * np.quantile([run[i] for run in runs], (0.5, 0.95)) for i in (0, 1))
        return cls(*(float(x) for x in (*cpu, *wall)))


@dataclass(frozen=True)
class Row:
    """One engine and precision of a model.

    `ratio`: processor time of one image over that of the dense model in torch fp32; None without
    torch. `share_of_product`: multiply-adds a second over those of a large matrix product of that
    precision. `memory_mb`: most memory of the process while it described single images.
    """

    model: str
    engine: str
    precision: str
    one: Spent
    images_per_s: float
    cpu_ms_in_batch: float
    memory_mb: float
    file_mb: float
    ratio: float | None
    gmac_per_s: float | None
    share_of_product: float | None


@dataclass(frozen=True)
class Stages:
    """Where the time of one frame goes, with the model's fastest engine (processor ms)."""

    model: str
    engine: str
    decode_ms: float
    preprocess_ms: float
    network_ms: float
    search_ms: float


@dataclass(frozen=True)
class Bench:
    """All that was measured, on what, and how."""

    machine: Machine
    versions: dict[str, str]
    config: BenchConfig
    dense: str
    gmacs: dict[str, float]               # of one image, by model
    product_gmac_per_s: dict[str, float]  # of a large matrix product, by precision
    rows: tuple[Row, ...]
    stages: tuple[Stages, ...]
    protocol: str
    remarks: tuple[str, ...] = ()
