# SPDX-License-Identifier: Apache-2.0
"""Prune a model folder step by step: cut, learn, judge, write; a model folder for each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import copy
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
import shutil
import time
from typing import Any

import numpy as np
import torch

from vpr_ros.compress.finetune import gradients_of, learn, Teaching
from vpr_ros.compress.finetune_data import Lessons
from vpr_ros.compress.finetune_ranks import ALONE, Ranks
from vpr_ros.compress.finetune_state import fingerprint, remove_parts, resume, save, STATE, State
from vpr_ros.compress.prune import cut, freeze, prunable_card
from vpr_ros.compress.prune_config import RunConfig
from vpr_ros.compress.prune_descriptor import numbers_left, variances
from vpr_ros.compress.prune_graph import groups_of
from vpr_ros.compress.prune_groups import Group, Part
from vpr_ros.compress.prune_judge import Judge, speed_of
from vpr_ros.compress.prune_norms import settle
from vpr_ros.compress.prune_points import Point, POINTS, read_points, TABLE, write_points
from vpr_ros.compress.prune_refit import refit
from vpr_ros.compress.prune_scores import scores_of
from vpr_ros.compress.prune_widths import channels_left, strongest
from vpr_ros.core.card import ModelCard
from vpr_ros.core.map_memory import descriptor_bytes
from vpr_ros.core.precision import Precision
from vpr_ros.errors import ModelError
from vpr_ros.nets.export import card_of, weights_of, write_model
from vpr_ros.nets.model_folder import read_card, seal_model
from vpr_ros.nets.network import Network
from vpr_ros.nets.torch_describer import load_network
from vpr_ros.nets.widths import widths_of

Say = Callable[[str], object]


@dataclass(frozen=True, eq=False)
class Goal:
    """Where a run may end early, and what its numbers are for.

    `max_drop_points`: once recall@1 of the choosing sets has fallen by more, no further step is
    made. `map_places` descriptors in `map_precision` make the map; `measure_speed`: how fast
    each step is beside the parent, on `engine`. `asked`: the latency_ms and memory_bytes that the
    sparsity was chosen for.
    """

    max_drop_points: float | None = None
    map_places: int = 10_000
    map_precision: Precision = Precision.FLOAT32
    engine: str = 'auto'
    measure_speed: bool = True
    asked: tuple[float | None, float | None] = (None, None)


def prune_and_learn(parent: Path, lessons: Lessons, judge: Judge, config: RunConfig, goal: Goal,
                    out: Path, *, teacher: Path | None = None, ranks: Ranks = ALONE,
                    force: bool = False, saved_ms: dict[str, float] | None = None,
                    say: Say = print) -> list[Point]:
    """Return the points of a run over a model folder; step k is written to `out/step_kk`.

    `teacher`: another model folder to learn from than the parent, which describes in its place.

    What is there of the same run is gone on from: after a kill at any moment, the same call ends
    with the same networks. Under `torchrun` all processes call this and the first one judges,
    writes and says; all return the points.
    Raises ModelError for a parent that cannot be pruned, an `out` with another run, a loss that
    is not finite and a full disk; finished steps stay whole.
    """
    card = prunable_card(parent)
    dense = load_network(parent, card)
    freeze(dense, config.prune.freeze)
    groups = groups_of(dense)
    settings = {**asdict(config), 'parent': card.digest, 'learns_from': lessons.what,
                'judged_on': judge.names, 'world': ranks.world}
    taught_by, taught = card, dense
    if teacher is not None:
        taught_by = teacher_card(teacher, card)
        taught = load_network(teacher, taught_by)
        settings['teacher'] = taught_by.digest
    teaching = Teaching(still_copy(taught, ranks), card.preprocessing, lessons, config.learn,
                        ranks, whole=not _shrinks(groups, config))
    state = State(copy.deepcopy(dense), copy.deepcopy(dense) if config.learn.ema else None,
                  np.arange(card.dim), saved_ms=saved_ms)
    run = _Run(parent, card, taught_by, config, goal, judge, out, settings, teaching.whole)
    resume(ranks.by_first(lambda: run.opened(state, force)), out / STATE, state, run.digest)
    say = say if ranks.is_first else _nothing
    say(f'step {state.step}, epoch {state.epoch + 1} is next')
    ranks.by_first(partial(judge.takes_for_parent, dense, card))
    clock = _Clock(config, state)

    while state.step <= config.prune.steps:
        if _has_dropped(state.points, goal):
            say(f'recall@1 fell by more than {goal.max_drop_points:g} points; no further step')
            break
        torch.set_num_threads(config.learn.threads)   # results depend on it; engines may set it
        # 1. Cut.
        if state.epoch == 0 and state.step > 0:
            state = _cut(state, groups, config, teaching)
        # 2. Learn.
        epochs, last = _epochs(config, state.step)
        for loss in learn(teaching, state, epochs, epochs - last):
            ranks.by_first(partial(save, out / STATE, state, run.digest))
            clock.epoch_done()
            say(f'step {state.step}/{config.prune.steps}  epoch {state.epoch}/{epochs}  '
                f'loss {loss:.4f}  {clock}')
        # 3. Judge, and write.
        state.points.append(ranks.by_first(partial(run.point, state)))
        say(line_of(state.points[-1]))
        state.step, state.epoch, state.optimizer = state.step + 1, 0, None
        ranks.by_first(partial(run.write, state))
    return state.points


def line_of(point: Point) -> str:
    """Return a point as a line of the live table."""
    recalls = '  '.join(f'{each.pair} {each.at_1:.3f}' for each in point.recalls)
    speed = '' if point.speed is None else (
        f'  {point.speed.describe_ms:.2f} ms ({point.speed.ratio:.2f} of the parent)')
    return (f'step {point.step}  {point.sparsity:.0%} of channels  '
            f'{point.parameters / 1e6:.2f} M weights  {point.dim}-d{speed}  recall@1: {recalls}')


def _cut(state: State, groups: Sequence[Group], config: RunConfig, teaching: Teaching) -> State:
    """Return the state with the channels of its step gone, ready to learn."""
    network = state.judged.cpu()
    present = groups_of(network)
    gradients = None
    if config.prune.criterion == 'taylor':
        gradients = gradients_of(teaching, replace(state, network=copy.deepcopy(network)))
    scores = scores_of(network, present, config.prune.criterion, gradients, config.learn.seed)
    pictures = teaching.pictures(config.prune.refit) if config.prune.refit else None
    if pictures is not None and config.prune.criterion != 'random':
        scores |= variances(network, present, pictures)
    plan = config.prune.plan(config.prune.sparsity_at(state.step))
    left = channels_left(groups, scores, plan, state.saved_ms)
    masks = {group.name: strongest(scores[group.name], left[group.name]) for group in present}
    smaller = cut(network, present, masks)
    if pictures is not None:
        refit(smaller, network, present, masks, pictures, config.learn.seed)
    settle(smaller, teaching.batches(state.step))
    return replace(state, network=smaller,
                   average=None if state.average is None else copy.deepcopy(smaller),
                   kept=state.kept[numbers_left(present, masks, len(state.kept))], loss=None)


def teacher_card(teacher: Path, parent: ModelCard) -> ModelCard:
    """Return the card of a teacher; raises ModelError for one that describes otherwise."""
    card = read_card(teacher)
    for what in ('dim', 'preprocessing'):
        if getattr(card, what) != getattr(parent, what):
            raise ModelError(f'{teacher} cannot teach a child of {parent.name}: its {what} is '
                             f'{getattr(card, what)}, not {getattr(parent, what)}')
    return card


def still_copy(network: Network, ranks: Ranks) -> Network:
    """Return a network that does not learn, where the processes of a run compute."""
    still = copy.deepcopy(network).eval().requires_grad_(False)
    return still.to(ranks.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _shrinks(groups: Sequence[Group], config: RunConfig) -> bool:
    return config.prune.gamma * config.prune.sparsity > 0.0 and any(
        group.part is Part.DESCRIPTOR for group in groups)


def _epochs(config: RunConfig, step: int) -> tuple[int, int]:
    """Return after how many epochs a step is done, and how many of these are the last."""
    if step == 0:
        return 0, 0
    last = config.learn.last_epochs if step == config.prune.steps else 0
    return config.learn.epochs + last, last


def _has_dropped(points: Sequence[Point], goal: Goal) -> bool:
    if goal.max_drop_points is None or not points:
        return False
    return 100.0 * (points[0].chosen_by() - points[-1].chosen_by()) > goal.max_drop_points + 1e-9


def _nothing(_: str) -> None:
    """Say nothing: the first process speaks."""


@dataclass(frozen=True, eq=False)
class _Run:
    """What the first process does: the folder, the judging."""

    parent: Path
    card: ModelCard
    taught_by: ModelCard
    config: RunConfig
    goal: Goal
    judge: Judge
    out: Path
    settings: dict[str, Any]
    whole: bool   # children describe in the parent's space

    @property
    def digest(self) -> str:
        """By which the state of this run is known from those of others."""
        return fingerprint(self.settings)

    def opened(self, fresh: State, force: bool) -> bytes:
        """Return the state of the run in the folder, begun there with `fresh` where it is new."""
        out, saved = self.out, self.out / STATE
        try:
            if force and (saved.exists() or (out / POINTS).exists()):
                shutil.rmtree(out)
            out.mkdir(parents=True, exist_ok=True)
            remove_parts(out)
            if not saved.exists():
                if any(out.iterdir()) and not _is_just_begun(out):
                    raise ModelError(f'{out} exists and holds no run to go on with; choose '
                                     'another name')
                self.write(fresh)
            return saved.read_bytes()
        except OSError as error:
            raise ModelError(f'cannot write {out} ({error.strerror}); choose another '
                             'place') from error

    def point(self, state: State) -> Point:
        """Judge the network of a step and write its model folder."""
        network = copy.deepcopy(state.judged).cpu().eval()
        recalls, goal, dim = self.judge.recalls(network, self.card), self.goal, len(state.kept)
        sparsity, speed = self.config.prune.sparsity_at(state.step), None
        folder, child = self.parent, None
        if state.step > 0:
            folder = self.out / f'step_{state.step:02d}'
            child = self._card_of(network, folder.name, {
                'made_by': 'vpr prune', 'step': state.step, 'sparsity': sparsity,
                'settings': self.settings, 'recall': [asdict(each) for each in recalls]})
            write_model(folder, network, child, force=True)
        if goal.measure_speed:
            speed = speed_of(folder, self.parent, goal.map_places, goal.engine,
                             goal.map_precision)
        if speed and child:
            seal_model(folder, replace(child, notes={**child.notes, 'speed': asdict(speed)}))
        return Point(
            state.step, sparsity, self.config.prune.gamma,
            sum(p.numel() for p in network.parameters()), dim, len(weights_of(network)),
            descriptor_bytes(goal.map_places, dim, goal.map_precision), state.loss, recalls, speed,
            widths_of(network), '' if child is None else folder.name)

    def write(self, state: State) -> None:
        """Write the tables, and only then that the step is done or, at first, to be done."""
        goal = {**asdict(self.goal), 'map_precision': self.goal.map_precision.value}
        write_points(state.points, {**self.settings, 'goal': goal}, self.out)
        save(self.out / STATE, state, self.digest)

    def _card_of(self, network: Network, step: str, notes: dict[str, Any]) -> ModelCard:
        card, of = self.card, self.taught_by
        made = card_of(network, f'{card.name}-{step}', card.backbone, card.cut, card.aggregator,
                       card.aggregator_args, card.preprocessing, card.licence,
                       parent=card.digest, notes=notes)
        in_its_space = self.whole and self.config.learn.distill > 0.0
        return replace(made, queries_maps_of=(of.digest, *of.queries_maps_of)
                       if in_its_space else ())


def _is_just_begun(out: Path) -> bool:
    """Say whether a run was stopped between its first files: tables that hold nothing yet."""
    return {path.name for path in out.iterdir()} <= {POINTS, TABLE} and not read_points(out)[0]


class _Clock:
    """How long the rest will take."""

    def __init__(self, config: RunConfig, state: State) -> None:
        self._left = sum(_epochs(config, step)[0] for step in range(
            state.step, config.prune.steps + 1)) - state.epoch
        self._start, self._done = time.monotonic(), 0

    def epoch_done(self) -> None:
        self._done += 1

    def __str__(self) -> str:
        spent_s = time.monotonic() - self._start
        left_s = (self._left - self._done) * spent_s / max(self._done, 1)
        return f'{spent_s / 60:.1f} min, about {left_s / 60:.0f} to go'
