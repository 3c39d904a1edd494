# SPDX-License-Identifier: Apache-2.0
"""A model, something to learn from and a target -> a row of smaller models and their numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from vpr_ros.compress.finetune_ranks import ranks
from vpr_ros.compress.prune_choice import choice
from vpr_ros.compress.prune_config import PruneConfig, RunConfig
from vpr_ros.compress.prune_controls import Control, controls_of
from vpr_ros.compress.prune_int8_control import int8_controls
from vpr_ros.compress.prune_judge import Judge
from vpr_ros.compress.prune_points import Point, POINTS, read_points
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
    """What came out: the points, which of them to take, with the reason, and the controls.

    `by_first`: this is the first process of `torchrun`, or the only one.
    """

    points: tuple[Point, ...]
    chosen: Point
    why: str
    controls: tuple[Control, ...] = ()
    by_first: bool = True


def prune_model(parent: Path, out: Path, source: LessonSource, judges: Judges, config: RunConfig,
                target: Target, *, teacher: Path | None = None,
                max_drop_points: float | None = None, device: str = 'auto',
                force: bool = False, controls: bool = True, int8_control: bool = False,
                say: Say = print) -> Pruned:
    """Prune a model folder until a target is met, and say which step to take.

    `controls`: what the dense network with a smaller map recalls is measured as well, and with
    `int8_control` what it recalls in int8.

    Raises VprError for what cannot be read, learned or met; finished steps stay whole.
    """
    with ranks(device) as place:
        speak: Say = say if place.is_first else _silent
        chosen_by = judging_pairs(judges.validate)
        lessons, held = source.lessons(config.learn.views_per_place, bool(chosen_by))
        chosen_by += held
        judge = Judge([*chosen_by, *judging_pairs(judges.test)], len(chosen_by))
        sparsity, saved_ms = place.by_first(partial(
            _measured, parent, out, config.prune, target, force, speak))
        if sparsity != config.prune.sparsity:
            speak(f'pruning {sparsity:.0%} of the channels')
            config = replace(config, prune=replace(config.prune, sparsity=sparsity))
        points = prune_and_learn(
            parent, lessons, judge, config,
            Goal(max_drop_points, target.map_places, target.map_precision, target.engine,
                 asked=target.asked), out, teacher=teacher, ranks=place, force=force,
            saved_ms=saved_ms, say=speak)
        many, kept = target.map_places, target.map_precision
        int8 = partial(int8_controls, parent, lessons, judge, points[0], many, kept, speak)
        beside = place.by_first(partial(
            controls_of, parent, lessons, judge, points, many, kept, out,
            more=int8 if int8_control else None, device=place.device,
            say=speak)) if controls or int8_control else []
    chosen, why = choice(points, max_drop_points, target.asks)
    return Pruned(tuple(points), chosen, why, tuple(beside), place.is_first)


def _measured(parent: Path, out: Path, config: PruneConfig, target: Target, force: bool, say: Say
              ) -> tuple[float, dict[str, float] | None]:
    """Return the sparsity that meets a target, and what each group costs where that counts.

    A run that is gone on with keeps what it measured first: times differ from call to call.
    """
    if (out / POINTS).is_file() and not force:
        settings = read_points(out)[1]
        if all(settings['goal'].get(name) == value for name, value in (
                ('asked', list(target.asked)), ('map_places', target.map_places),
                ('map_precision', target.map_precision.value), ('engine', target.engine))):
            known = settings['prune']['sparsity'] if target.asks else config.sparsity
            return known, None
    trial = Trial.of(parent, config)
    if config.allocation == 'latency':
        trial = replace(trial, saved_ms=trial.prices(target, say))
    return sparsity_for(trial, target, say), trial.saved_ms


def _silent(text: str) -> None:
    """Say nothing: another process does."""
