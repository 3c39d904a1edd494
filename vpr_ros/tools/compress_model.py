# SPDX-License-Identifier: Apache-2.0
"""A model and something to learn from -> a small file, its steps and its place among others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
import shutil

from vpr_ros.compress.compress_choice import choice, deliver
from vpr_ros.compress.compress_config import CompressRun
from vpr_ros.compress.compress_folder import make_ready
from vpr_ros.compress.compress_points import Point, read_points, write_points
from vpr_ros.compress.compress_run import compress_and_learn
from vpr_ros.compress.compress_scan import Budget, scanned_plans
from vpr_ros.compress.finetune_data import Lessons
from vpr_ros.compress.finetune_ranks import ranks
from vpr_ros.compress.prune_judge import Judge
from vpr_ros.compress.quantize import MAX_RECALL_DROP_POINTS, quantize
from vpr_ros.errors import ModelError, VprError
from vpr_ros.nets.model_folder import read_card
from vpr_ros.nets.opened_model import opened
from vpr_ros.tools.compression_table import (
    Entry,
    kind_of,
    ModelRow,
    models_table,
    refuse_unreadable,
    write_table,
)
from vpr_ros.tools.lesson_source import judging_pairs, LessonSource
from vpr_ros.tools.prune_model import Judges

INT8 = 'int8'
_INT8_IMAGES = 256
Say = Callable[[str], object]


@dataclass(frozen=True)
class Wanted:
    """What else a run is to do and to end in.

    `budget`: the scan chooses how far each layer goes. `scan`: a scan is made in any case.
    `int8`: what comes out becomes an int8 model as well. `beside`: models for the table.
    """

    budget: Budget | None = None
    scan: bool = False
    int8: bool = False
    beside: tuple[Path, ...] = ()
    max_drop_points: float | None = None
    engine: str = 'auto'


@dataclass(frozen=True)
class Compressed:
    """What came out: the steps, which of them to take and why, its file, and the table.

    `by_first`: this is the first process of `torchrun`, or the only one.
    """

    points: tuple[Point, ...]
    chosen: Point
    why: str
    file: Path | None
    rows: tuple[ModelRow, ...] = ()
    remarks: tuple[str, ...] = ()
    by_first: bool = True


@dataclass
class _Remarks:
    """What a person should know in the end, said at once as well."""

    say: Say
    said: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        self.said.append(text)
        self.say(text)


def compress_model(parent: Path, out: Path, source: LessonSource, judges: Judges,
                   config: CompressRun, wanted: Wanted, *, teacher: Path | None = None,
                   device: str = 'auto', force: bool = False, say: Say = print) -> Compressed:
    """Compress a model folder, or a packed one, and set what came out beside others.

    Raises VprError for what cannot be read or learned, and a budget that cannot be met; finished
    steps stay whole.
    """
    refuse_unreadable(wanted.beside)
    dense = opened(parent)
    with ranks(device) as place:
        speak: Say = say if place.is_first else _silent
        chosen_by = judging_pairs(judges.validate)
        lessons, held = source.lessons(config.learn.views_per_place, bool(chosen_by))
        chosen_by += held
        judge = Judge([*chosen_by, *judging_pairs(judges.test)], len(chosen_by))
        plans = None
        if wanted.scan or wanted.budget is not None:
            plans = place.by_first(partial(
                scanned_plans, dense, lessons, judge, config, out, budget=wanted.budget,
                force=force, say=speak))
        elif force:
            place.by_first(partial(make_ready, out, force))
        points = compress_and_learn(dense, lessons, judge, config, out, plans=plans,
                                    teacher=teacher, ranks=place, say=speak)
        chosen, why = choice(points, wanted.max_drop_points)
        done = place.by_first(partial(_delivered, parent, points, chosen, why, out, lessons, judge,
                                      wanted, speak))
    return replace(done, by_first=place.is_first)


def _delivered(parent: Path, points: Sequence[Point], chosen: Point, why: str, out: Path,
               lessons: Lessons, judge: Judge, wanted: Wanted, say: Say) -> Compressed:
    """Return the step to take as a file, in int8 where that is wanted, and beside others."""
    remarks, file = _Remarks(say), deliver(chosen, out)
    settings = {**read_points(out)[1], 'max_drop_points': wanted.max_drop_points}
    write_points(points, settings, out)   # the page of it is made by the same choice
    entries = [Entry('parent', parent, recalls=points[0].recalls)]
    entries += [Entry(path.name, path) for path in wanted.beside]
    if file is not None:
        entries.append(Entry(file.name, out / chosen.folder, recalls=chosen.recalls))
    if wanted.int8 and file is not None:
        made = _int8(out / chosen.folder, out / INT8, lessons, judge, wanted, remarks)
        kind = f'{kind_of(read_card(out / chosen.folder))}, int8'
        entries += [] if made is None else [Entry(f'{file.name}, in int8', made, kind)]
    rows = models_table(entries, judge, wanted.engine, say)
    write_table(rows, out)
    return Compressed(tuple(points), chosen, why, file, tuple(rows), tuple(remarks.said))


def _int8(folder: Path, out: Path, lessons: Lessons, judge: Judge, wanted: Wanted,
          remarks: _Remarks) -> Path | None:
    """Return an int8 model of a folder, made unless it is there; None if it recalls too little."""
    if out.exists():
        if read_card(out).parent == read_card(folder).digest:
            return out
        shutil.rmtree(out)
    pre = read_card(folder).preprocessing
    images = lessons.unchanged(_INT8_IMAGES, (pre.height_px, pre.width_px))
    limit = (MAX_RECALL_DROP_POINTS if wanted.max_drop_points is None else wanted.max_drop_points)
    try:
        quantize(folder, images, judge.pairs[0], out, max_drop_points=limit, source=lessons.what,
                 say=remarks.say)
    except ModelError as error:
        remarks.add(f'no int8 model: {error}')
        return None
    return out


def refuse_both(budget: float | None, prune: float | None, bits: int | None) -> None:
    """Raise VprError where a budget and what it is to find out are given both."""
    if budget is not None and (prune is not None or bits is not None):
        raise VprError('--budget finds out how far each layer goes, and --prune and --bits say '
                       'it; give one of the two (--layer holds for single layers beside both)')


def _silent(text: str) -> None:
    """Say nothing: another process does."""
