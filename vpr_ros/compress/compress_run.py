# SPDX-License-Identifier: Apache-2.0
"""Compress a model folder step by step: zero small weights, share the rest; learn, judge, write.

A reconstruction, in the manner of Han, Mao, Dally (Deep compression: compressing deep neural
networks with pruning, trained quantization and Huffman coding, ICLR 2016), of what Saha, Varma,
Jawahar did to NetVLAD (ACPR 2017), of which only the abstract was at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import copy
from dataclasses import asdict
from functools import partial
from pathlib import Path
import time

import torch
from torch import Tensor

from vpr_ros.compress.compress_config import CompressRun, DENSE, PRUNED, SHARED, Stage, stages_of
from vpr_ros.compress.compress_folder import RunFolder
from vpr_ros.compress.compress_layers import FLOAT_BITS, LayerPlan, plans_of
from vpr_ros.compress.compress_points import Point
from vpr_ros.compress.finetune import learn, Teaching
from vpr_ros.compress.finetune_data import Lessons
from vpr_ros.compress.finetune_ranks import ALONE, Ranks
from vpr_ros.compress.finetune_state import State
from vpr_ros.compress.fold_norms import fold_norms
from vpr_ros.compress.match_outputs import match_outputs
from vpr_ros.compress.mend_weights import mend_weights
from vpr_ros.compress.prune import freeze, prunable_card
from vpr_ros.compress.prune_judge import Judge
from vpr_ros.compress.prune_run import still_copy, teacher_card
from vpr_ros.compress.sparse_weights import mask_weights, round_values, settled, share_weights
from vpr_ros.nets.network import Network
from vpr_ros.nets.torch_describer import load_network

Say = Callable[[str], object]


def compress_and_learn(parent: Path, lessons: Lessons, judge: Judge, config: CompressRun,
                       out: Path, *, plans: Sequence[LayerPlan] | None = None,
                       teacher: Path | None = None, ranks: Ranks = ALONE, force: bool = False,
                       say: Say = print) -> list[Point]:
    """Return the points of a run over a model folder.

    Step k is the model folder `out/step_kk` and, packed, the file `out/step_kk.vprz`. `plans`: how
    far each layer is compressed; None: as the config says. `teacher`: another model folder to
    learn from than the parent.

    What is there of the same run is gone on from: after a kill at any moment, the same call ends
    with the same networks. Under `torchrun` all processes call this and the first one judges,
    writes and says; all return the points.
    Raises ModelError for a parent that cannot be compressed, an `out` with another run, a loss
    that is not finite and a full disk; finished steps stay whole.
    """
    card = prunable_card(parent)
    dense = load_network(parent, card)
    plain, plans = prepared(dense, config, plans)
    stages = stages_of(config.compress, plans)
    settings = {**asdict(config), 'plans': [asdict(plan) for plan in plans],
                'parent': card.digest, 'learns_from': lessons.what, 'judged_on': judge.names,
                'world': ranks.world}
    taught_by, taught = card, dense
    if teacher is not None:
        taught_by = teacher_card(teacher, card)
        taught = load_network(teacher, taught_by)
        settings['teacher'] = taught_by.digest
    teaching = Teaching(still_copy(taught, ranks), card.preprocessing, lessons, config.learn,
                        ranks)
    run = RunFolder(parent, card, taught_by, plain, plans, stages, config, judge, out, settings)
    state = run.resumed(ranks.by_first(lambda: run.opened(force)))
    say = say if ranks.is_first else _nothing
    say(f'step {state.step}, epoch {state.epoch + 1} is next')
    ranks.by_first(partial(judge.takes_for_parent, dense, card))
    clock = _Clock(sum(_epochs(config, stages, step)[0]
                       for step in range(state.step, len(stages))) - state.epoch)

    while state.step < len(stages):
        torch.set_num_threads(config.learn.threads)   # results depend on it; engines may set it
        # 1. Set small weights to zero, or let what is left share values; mend by a few pictures.
        if state.epoch == 0:
            _begin(state, stages[state.step], plans, config, teaching)
        # 2. Learn with the zeros, or the sharing, as they are.
        epochs, last = _epochs(config, stages, state.step)
        for loss in learn(teaching, state, epochs, epochs - last):
            ranks.by_first(partial(run.save, state))
            clock.epoch_done()
            say(f'step {state.step}/{len(stages) - 1}  epoch {state.epoch}/{epochs}  '
                f'loss {loss:.4f}  {clock}')
        # 3. Judge, write and pack.
        network = _finished(state.judged, plain, stages[state.step], plans, config)
        run.points.append(ranks.by_first(partial(run.point, state, network)))
        say(line_of(run.points[-1]))
        state.network, state.average = network, None
        state.step, state.epoch, state.optimizer = state.step + 1, 0, None
        ranks.by_first(partial(run.write, state))
    return run.points


def prepared(dense: Network, config: CompressRun, plans: Sequence[LayerPlan] | None = None
             ) -> tuple[Network, list[LayerPlan]]:
    """Return a copy of a network whose norms are folded, ready to learn, and its layers' plans.

    Raises ModelError for plans that its layers do not allow.
    """
    compress = config.compress
    given = plans_of(dense, compress.prune, compress.bits, compress.fewest, compress.wishes)
    plain = copy.deepcopy(dense)
    fold_norms(plain)
    freeze(plain, compress.freeze)
    return plain, given if plans is None else list(plans)


def compressed_once(dense: Network, config: CompressRun, plans: Sequence[LayerPlan] | None = None,
                    pictures: Tensor | None = None) -> Network:
    """Return a network compressed in one go, without learning: what it would weigh.

    `pictures` (B, 3, H, W) mend it, as before learning. Raises ModelError as
    `compress_and_learn` does.
    """
    plain, plans = prepared(dense, config, plans)
    network = copy.deepcopy(plain)
    for stage in (Stage(PRUNED), Stage(SHARED)):
        _apply(network, stage, plans, config, pictures)
        network = _finished(network, plain, stage, plans, config)
    return network


def line_of(point: Point) -> str:
    """Return a point as a line of the live table."""
    recalls = '  '.join(f'{each.pair} {each.at_1:.3f}' for each in point.recalls)
    return (f'step {point.step}  {point.kind}  {point.sparsity:.0%} of weights zero  '
            f'{point.packed_bytes / 1e6:.2f} MB packed (1/{point.ratio:.1f} of the float weights)'
            f'  recall@1: {recalls}')


def _begin(state: State, stage: Stage, plans: Sequence[LayerPlan], config: CompressRun,
           teaching: Teaching) -> None:
    """Do to the state's plain network what its step has to do before it learns."""
    state.loss = None
    if stage.kind == DENSE:
        return
    pictures = teaching.pictures(config.compress.mend) if config.compress.mend else None
    _apply(state.network, stage, plans, config, pictures)
    state.average = copy.deepcopy(state.network) if config.learn.ema > 0.0 else None


def _apply(network: Network, stage: Stage, plans: Sequence[LayerPlan], config: CompressRun,
           pictures: Tensor | None) -> None:
    """Mask the weights of a plain network, or let them share values, in place.

    By pictures, what is left does as much as it can of what the network did before.
    """
    before = copy.deepcopy(network)
    if stage.kind == SHARED:
        share_weights(network, plans, config.compress.rounds, config.compress.coarse)
    else:
        mask_weights(network, plans, stage.progress)
    if pictures is not None:
        match_outputs(network, before, pictures)
        mend_weights(network, before, pictures, config.learn.seed)


def _finished(network: Network, plain: Network, stage: Stage, plans: Sequence[LayerPlan],
              config: CompressRun) -> Network:
    """Return the plain network that a step ends with, as it is judged and written."""
    network = settled(network, plain)
    if stage.kind == SHARED and config.compress.value_bits != FLOAT_BITS:
        round_values(network, plans)
    return network


def _epochs(config: CompressRun, stages: Sequence[Stage], step: int) -> tuple[int, int]:
    """Return after how many epochs a step is done, and how many of these are the last."""
    if stages[step].kind == DENSE:
        return 0, 0
    last = config.learn.last_epochs if step == len(stages) - 1 else 0
    return config.learn.epochs + last, last


def _nothing(_: str) -> None:
    """Say nothing: the first process speaks."""


class _Clock:
    """How long the rest will take."""

    def __init__(self, epochs: int) -> None:
        self._left, self._done, self._start = epochs, 0, time.monotonic()

    def epoch_done(self) -> None:
        self._done += 1

    def __str__(self) -> str:
        spent_s = time.monotonic() - self._start
        left_s = (self._left - self._done) * spent_s / max(self._done, 1)
        return f'{spent_s / 60:.1f} min, about {left_s / 60:.0f} to go'
