# SPDX-License-Identifier: Apache-2.0
"""Models on this computer: each engine and precision in a process of its own, run in turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vpr_ros.core.card import ModelCard
from vpr_ros.errors import ModelError
from vpr_ros.nets.engines import (
    Candidate,
    candidates,
    engine_versions,
    installed,
    refuse_unknown,
)
from vpr_ros.nets.machine import PRODUCT_SIDE, this_machine
from vpr_ros.nets.model_folder import (
    GRAPH,
    INT8_GRAPH,
    OPENVINO_BIN,
    OPENVINO_INT8,
    read_card,
    WEIGHTS,
)
from vpr_ros.nets.opened_model import opened
from vpr_ros.tools.bench_process import Worker
from vpr_ros.tools.bench_records import Bench, BenchConfig, Row, Runs, Spent, Stages
from vpr_ros.tools.progress import progress

STAGES = ('decode', 'preprocess', 'search')
_TURN = 2       # measured runs a turn, behind one that is not: caches are another's
_DENSE = Candidate('torch', 'fp32')


@dataclass
class _Subject:
    """An engine and precision of a model, its process, and what its runs took."""

    folder: Path
    card: ModelCard
    candidate: Candidate
    worker: Worker
    one: Runs = field(default_factory=list)
    batch: Runs = field(default_factory=list)
    memory_mb: float = 0.0


def bench_models(models: Sequence[Path], dense: Path, engines: Sequence[str],
                 config: BenchConfig, say: Callable[[str], object] = lambda text: None) -> Bench:
    """Return what models cost here, by engine and precision; `engines` () are all installed.

    Raises ModelError for a folder that is no model, and an engine that is unknown or not there.
    """
    for engine in engines:
        refuse_unknown(engine, 'auto')
    cards = {folder: read_card(folder) for folder in (*models, dense)}
    names = _names(list(cards), cards)
    chosen = tuple(engines) or installed()
    remarks: list[str] = []
    with ExitStack() as stack:
        subjects: list[_Subject] = []
        for folder, card in cards.items():
            for each in _to_measure(folder, card, chosen, folder == dense, folder in models):
                try:
                    worker = stack.enter_context(Worker({
                        'kind': 'engine', 'folder': str(opened(folder)), 'engine': each.engine,
                        'precision': each.precision, 'threads': config.threads,
                        'batch': config.batch}))
                except ModelError as error:
                    remarks.append(f'{names[folder]} by {each}: {error}')
                    continue
                subjects.append(_Subject(folder, card, each, worker))
        if not subjects:
            raise ModelError(f'nothing runs: {"; ".join(remarks) or "no engine is installed"}')
        stages = {folder: stack.enter_context(Worker({
            'kind': 'stages', 'folder': str(folder), 'threads': config.threads}))
            for folder in dict.fromkeys(models)}
        torch = stack.enter_context(Worker({
            'kind': 'torch', 'threads': config.threads, 'folders': [str(each) for each in cards]
        })) if 'torch' in installed() else None
        say(f'{len(subjects)} engines of {len(cards)} models, {config.rounds} rounds')
        around, products = _rounds(subjects, stages, torch, config)
        macs = {} if torch is None else {
            folder: torch.value(f'count {folder}') for folder in cards}
    fastest = {precision: _macs_per_s(runs) for precision, runs in products.items()}
    base = next((np.median([cpu for cpu, _ in each.one]) for each in subjects
                 if each.folder == dense and each.candidate == _DENSE), None)
    rows = tuple(_row(each, names, config, base, macs.get(each.folder), fastest)
                 for each in subjects)
    return Bench(this_machine(), engine_versions(), config, names[dense],
                 {names[folder]: count / 1e9 for folder, count in macs.items()}, fastest, rows,
                 tuple(_stages(folder, names, around[folder], rows) for folder in stages),
                 _protocol(config), tuple(remarks))


def _to_measure(folder: Path, card: ModelCard, engines: Sequence[str], dense: bool, listed: bool
                ) -> list[Candidate]:
    """Return int8 of an int8 model, else every float precision; torch fp32 of the dense one."""
    found: list[Candidate] = [_DENSE] if dense and 'torch' in installed() else []
    for engine in engines if listed else ():
        if card.precision == 'int8' and engine == 'torch':
            continue
        found += [each for each in candidates(folder, card, engine, 'auto')
                  if (each.precision == 'int8') == (card.precision == 'int8')
                  and each not in found]
    return found


def _rounds(subjects: Sequence[_Subject], stages: dict[Path, Worker], torch: Worker | None,
            config: BenchConfig
            ) -> tuple[dict[Path, dict[str, Runs]],
                       dict[str, Runs]]:
    """Let everything take its turn; fill the subjects, return the stages and the products."""
    around: dict[Path, dict[str, Runs]] = {
        folder: {stage: [] for stage in STAGES} for folder in stages}
    products: dict[str, Runs] = {
        task: [] for task in (torch.tasks if torch else ()) if not task.startswith('count ')}
    for _ in progress(range(config.rounds), config.rounds, 'one image'):
        for subject in subjects:
            subject.one += _turn(subject.worker, 'one')
        for folder, worker in stages.items():
            for stage, runs in around[folder].items():
                runs += _turn(worker, stage)
        for task, runs in products.items():
            assert torch is not None
            runs += _turn(torch, task)
    for subject in subjects:
        subject.memory_mb = subject.worker.value('memory')
    rounds = max(1, config.rounds // 4)
    for _ in progress(range(rounds), rounds, 'batches'):
        for subject in subjects:
            subject.batch += _turn(subject.worker, 'batch', 1)
    return around, products


def _turn(worker: Worker, task: str, runs: int = _TURN) -> Runs:
    worker.run(task)
    return [worker.run(task) for _ in range(runs)]


def _row(subject: _Subject, names: dict[Path, str], config: BenchConfig, base: float | None,
         macs: float | None, fastest: dict[str, float]) -> Row:
    one, batch = Spent.of(subject.one), Spent.of(subject.batch)
    engine, precision = subject.candidate.engine, subject.candidate.precision
    gmac_per_s = None if macs is None else macs / 1e6 / one.cpu_ms_p50
    top = fastest.get(precision)
    return Row(names[subject.folder], engine, precision, one,
               1e3 * config.batch / batch.wall_ms_p50, batch.cpu_ms_p50 / config.batch,
               subject.memory_mb, _file_mb(subject.folder, engine, precision),
               None if base is None else one.cpu_ms_p50 / 1e3 / float(base), gmac_per_s,
               None if gmac_per_s is None or top is None else gmac_per_s / top)


def _stages(folder: Path, names: dict[Path, str], runs: dict[str, Runs],
            rows: Sequence[Row]) -> Stages:
    best = min((row for row in rows if row.model == names[folder]),
               key=lambda row: row.one.cpu_ms_p50)
    spent = {stage: Spent.of(runs[stage]).cpu_ms_p50 for stage in STAGES}
    return Stages(names[folder], f'{best.engine} {best.precision}', spent['decode'],
                  spent['preprocess'], best.one.cpu_ms_p50, spent['search'])


def _macs_per_s(runs: Runs) -> float:
    """Return the billions of multiply-adds a second of the fastest large product: a limit."""
    return float(PRODUCT_SIDE ** 3 / min(cpu for cpu, _ in runs) / 1e9)


def _file_mb(folder: Path, engine: str, precision: str) -> float:
    """Return the size of what an engine reads; of a packed model, that of its file."""
    if folder.is_file():
        return folder.stat().st_size / 1e6
    files = [WEIGHTS if engine == 'torch' else GRAPH]
    if precision == 'int8':
        files = [OPENVINO_INT8, OPENVINO_BIN] if engine == 'openvino' else [INT8_GRAPH]
    return sum((folder / name).stat().st_size for name in files) / 1e6


def _names(folders: Sequence[Path], cards: dict[Path, ModelCard]) -> dict[Path, str]:
    """Return the models' names; with the folder where two share one."""
    taken = [card.name for card in cards.values()]
    return {folder: cards[folder].name if taken.count(cards[folder].name) == 1
            else f'{cards[folder].name} ({folder})' for folder in folders}


def _protocol(config: BenchConfig) -> str:
    return (f'each engine in a process of its own, {config.threads} thread(s), in turns over '
            f'{config.rounds} rounds, {_TURN} runs a turn behind one that is not counted; '
            'processor time of the process; the network alone, on preprocessed images; ratio: to '
            'the dense model in torch fp32; matrix product: the fastest one; memory: most of the '
            f'process at batch 1; throughput: batch {config.batch}, wall clock; stages: '
            '640x480 JPEG, 10,000 places, exact search')
