# SPDX-License-Identifier: Apache-2.0
"""A model, something to learn from and a target -> a row of smaller models and their numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from vpr_ros.compress.finetune_ranks import ranks
from vpr_ros.compress.prune_config import RunConfig
from vpr_ros.compress.prune_judge import Judge
from vpr_ros.compress.prune_points import Point
from vpr_ros.compress.prune_run import Goal, prune_and_learn
from vpr_ros.compress.prune_trial import sparsity_for, Target, Trial
from vpr_ros.tools.lesson_source import judging_pairs, LessonSource

Say = Callable[[str], object]


@dataclass(frozen=True)
class Judges:
    """By which sets to choose, and on which to report only, as layout=folder."""

    validate: tuple[str, ...] = ()
    test: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pruned:
    """What came out: the points, and which of them to take, with the reason."""

    points: tuple[Point, ...]
    chosen: Point
    why: str


def prune_model(parent: Path, out: Path, source: LessonSource, judges: Judges, config: RunConfig,
                target: Target, *, max_drop_points: float | None = None, device: str = 'auto',
                force: bool = False, say: Say = print) -> Pruned:
    """Prune a model folder until a target is met, and say which step to take.

    Raises VprError for what cannot be read, learned or met; finished steps stay whole.
    """
    with ranks(device) as place:
        speak: Say = say if place.is_first else _silent
        trial = Trial.of(parent, config.prune)
        if config.prune.allocation == 'latency':
            trial = replace(trial, saved_ms=place.by_first(partial(trial.prices, target, speak)))
        sparsity = place.by_first(partial(sparsity_for, trial, target, speak))
        if sparsity != config.prune.sparsity:
            speak(f'pruning {sparsity:.0%} of the channels')
            config = replace(config, prune=replace(config.prune, sparsity=sparsity))
        chosen_by = judging_pairs(judges.validate)
        lessons, held = source.lessons(config.learn.views_per_place, bool(chosen_by))
        chosen_by += held
        judge = Judge([*chosen_by, *judging_pairs(judges.test)], len(chosen_by))
        points = prune_and_learn(
            parent, lessons, judge, config,
            Goal(max_drop_points, target.map_places, target.map_precision, target.engine),
            out, ranks=place, force=force, saved_ms=trial.saved_ms, say=speak)
    chosen, why = choice(points, target, max_drop_points)
    return Pruned(tuple(points), chosen, why)


def choice(points: Sequence[Point], target: Target, max_drop_points: float | None
           ) -> tuple[Point, str]:
    """Return the step to take: the smallest that recalls enough, by the choosing sets alone.

    Without a limit, the last one, which is what was asked for.
    """
    dense, last = points[0], points[-1]
    if max_drop_points is None:
        return last, 'as pruned as was asked for'
    fit = [point for point in points if 100.0 * (dense.chosen_by() - point.chosen_by())
           <= max_drop_points + 1e-9]
    chosen = max(fit, key=lambda point: point.sparsity)
    if chosen is last or chosen.sparsity >= last.sparsity:
        return chosen, f'the smallest whose recall@1 fell by {max_drop_points:g} points or less'
    wanted = ' and the target is not met' if target.asks else ''
    return chosen, (f'recall@1 of the next step fell by more than {max_drop_points:g} points'
                    f'{wanted}: learn longer (epochs, last_epochs), give more images, or prune '
                    'less')


def _silent(text: str) -> None:
    """Say nothing: another process does."""
