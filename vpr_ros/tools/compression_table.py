# SPDX-License-Identifier: Apache-2.0
"""Models side by side: size on disk, memory when loaded, time, recall."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from vpr_ros.compress.prune_judge import Judge
from vpr_ros.compress.prune_points import Recalled, replace_tables
from vpr_ros.core.card import ModelCard
from vpr_ros.errors import ModelError, VprError
from vpr_ros.tools.bench_process import Worker

JSON, CSV = 'models.json', 'models.csv'
DENSE_KERNELS = ('Zeros and shared weights make the file small. They do not make the network '
                 'faster, and once it is loaded it takes as much memory as before: every engine '
                 'here computes with all weights, zeros too. For time, delete channels (vpr '
                 'prune), or let it end in int8 (--int8).')
_ROUNDS = 20
_KINDS = {('vpr prune', None): 'channels pruned', ('vpr compress', None): 'weights compressed',
          ('vpr compress', 'vpr prune'): 'channels pruned, weights compressed'}
Say = Callable[[str], object]


@dataclass(frozen=True)
class ModelRow:
    """One model. `packed_bytes`: as one .vprz file.

    `memory_mb`: the most that a process needs that loads it and describes one image.
    `describe_ms`: processor time of one image by `engine` with one thread, in turns with all
    others.
    """

    label: str
    kind: str
    model: str
    digest: str
    dim: int
    weights_bytes: int
    folder_bytes: int
    packed_bytes: int
    memory_mb: float
    describe_ms: float
    engine: str
    recalls: tuple[Recalled, ...]


@dataclass(frozen=True)
class Entry:
    """A model for the table; `recalls` where they are known, `kind` where no card says it."""

    label: str
    model: Path
    kind: str = ''
    recalls: tuple[Recalled, ...] = ()


def kind_of(card: ModelCard) -> str:
    """Return in a few words how a model was made small, by what its card says."""
    made: Any = card.notes.get('made_by')
    before: Any = card.notes.get('parent_made_by')
    kind = _KINDS.get((made, before)) or _KINDS.get((made, None)) or 'dense'
    return f'{kind}, int8' if card.precision == 'int8' else kind


def models_table(entries: Sequence[Entry], judge: Judge, engine: str, say: Say
                 ) -> list[ModelRow]:
    """Return what each model weighs, needs, takes and recalls.

    Float models run on the engine and precision that is the fastest for the first of them.
    Raises VprError for a model that cannot be read or run.
    """
    from vpr_ros.nets.model_folder import load_describer, read_card
    from vpr_ros.nets.opened_model import opened
    folders = [opened(entry.model) for entry in entries]
    cards = [read_card(folder) for folder in folders]
    first = load_describer(folders[0], 1, engine)
    float_runs = first.engine, first.precision
    runs = [_int8_run(folder, engine) if card.precision == 'int8' else float_runs
            for folder, card in zip(folders, cards, strict=True)]
    say(f'timing {len(entries)} models in turn')
    spent = _spent(folders, runs)
    rows = []
    for entry, folder, card, run, (ms, memory_mb) in zip(entries, folders, cards, runs, spent,
                                                         strict=True):
        weights_bytes, folder_bytes, packed_bytes = _sizes(folder)
        say(f'{entry.label}: {packed_bytes / 1e6:.2f} MB packed, {ms:.1f} ms')
        rows.append(ModelRow(
            entry.label, entry.kind or kind_of(card), str(entry.model), card.digest, card.dim,
            weights_bytes, folder_bytes, packed_bytes, memory_mb, ms, ' '.join(run),
            entry.recalls or _recalls(folder, card, run, judge)))
    return rows


def write_table(rows: Sequence[ModelRow], out: Path) -> None:
    """Write the table as JSON, and as CSV with a line a model and set; raises VprError."""
    replace_tables(out / JSON, {'models': [asdict(row) for row in rows]}, out / CSV,
                   [_line(row, recalled) for row in rows for recalled in row.recalls], 'model')


def _line(row: ModelRow, recalled: Recalled) -> dict[str, Any]:
    flat = {key: value for key, value in asdict(row).items() if key != 'recalls'}
    return {**flat, 'memory_mb': round(row.memory_mb, 1), 'describe_ms': round(row.describe_ms, 3),
            'set': recalled.pair, 'chooses': recalled.chooses, 'queries': recalled.queries,
            'recall_at_1': round(recalled.at_1, 5), 'recall_at_5': round(recalled.at_5, 5)}


def _int8_run(folder: Path, engine: str) -> tuple[str, str]:
    from vpr_ros.nets.model_folder import load_describer
    describer = load_describer(folder, 1, engine, 'int8')
    return describer.engine, describer.precision


def _spent(folders: Sequence[Path], runs: Sequence[tuple[str, str]]) -> list[tuple[float, float]]:
    """Return (processor ms, MB) of each model, each in a process of its own, all in turns."""
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker({
            'kind': 'engine', 'folder': str(folder.resolve()), 'engine': engine,
            'precision': precision, 'threads': 1, 'batch': 1}))
            for folder, (engine, precision) in zip(folders, runs, strict=True)]
        times: list[list[float]] = [[] for _ in workers]
        for _ in range(_ROUNDS):
            for worker, spent in zip(workers, times, strict=True):
                spent.append(worker.run('one')[0])
        return [(1e3 * median(spent), worker.value('memory'))
                for worker, spent in zip(workers, times, strict=True)]


def _sizes(folder: Path) -> tuple[int, int, int]:
    from vpr_ros.nets.pack import pack
    with TemporaryDirectory() as aside:
        sizes = pack(folder, Path(aside) / 'model.vprz')
    return sizes.weights_bytes, sizes.folder_bytes, sizes.file_bytes


def _recalls(folder: Path, card: ModelCard, run: tuple[str, str], judge: Judge
             ) -> tuple[Recalled, ...]:
    """Return what a model recalls: a float one by torch in float32, int8 by its engine."""
    if card.precision == 'int8':
        from vpr_ros.nets.model_folder import load_describer
        return judge.recalled(judge.seen(load_describer(folder, 1, *run).describe))
    from vpr_ros.nets.torch_describer import load_network
    return judge.recalls(load_network(folder, card), card)


def refuse_unreadable(models: Sequence[Path]) -> None:
    """Raise VprError for a model that is to stand beside and cannot be read; before long work."""
    from vpr_ros.nets.model_folder import read_card
    for model in models:
        try:
            read_card(model)
        except ModelError as error:
            raise VprError(f'--beside {model}: {error}') from error
