# SPDX-License-Identifier: Apache-2.0
"""The folder of a compression: what was begun, judged, written; and going on from there."""

from __future__ import annotations

from collections.abc import Sequence
import copy
from dataclasses import asdict, dataclass, field, replace
import json
from pathlib import Path
import shutil
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from vpr_ros.compress.compress_config import CompressRun, Stage
from vpr_ros.compress.compress_layers import LayerPlan, weight_of
from vpr_ros.compress.compress_points import (
    LayerNow,
    Parts,
    Point,
    point_of,
    POINTS,
    read_points,
    TABLE,
    write_points,
)
from vpr_ros.compress.finetune_state import fingerprint, read_state, STATE, State, write_state
from vpr_ros.compress.prune_judge import Judge
from vpr_ros.compress.prune_points import part_of
from vpr_ros.compress.sparse_weights import dress_like
from vpr_ros.core.card import ModelCard
from vpr_ros.errors import ModelError
from vpr_ros.nets.export import card_of, write_model
from vpr_ros.nets.network import Network
from vpr_ros.nets.pack import pack
from vpr_ros.nets.packed_sizes import PackedSizes

PACKED, SCAN = 'model.vprz', 'scan.json'


@dataclass(frozen=True, eq=False)
class RunFolder:
    """The run as its folder has it: what was begun, judged, written."""

    parent: Path
    card: ModelCard
    taught_by: ModelCard
    plain: Network                     # the dense network, norms folded
    plans: Sequence[LayerPlan]
    stages: Sequence[Stage]
    config: CompressRun
    judge: Judge
    out: Path
    settings: dict[str, Any]
    points: list[Point] = field(default_factory=list)

    def opened(self, force: bool) -> bytes:
        """Return the state of the run in the folder, begun there where it is new."""
        make_ready(self.out, force)
        saved = self.out / STATE
        try:
            if not saved.exists():
                self.write(State(copy.deepcopy(self.plain), None, np.arange(self.card.dim)))
            return saved.read_bytes()
        except OSError as error:
            raise _unwritable(self.out, error) from error

    def resumed(self, saved: bytes) -> State:
        """Return the state that the bytes say, and take the points of its finished steps."""
        found = read_state(saved, self.out / STATE, fingerprint(self.settings))
        network, average = (self._dressed(found[name]) for name in ('network', 'average'))
        assert network is not None
        self.points[:] = [point_of(each) for each in json.loads(found['points'])]
        return State(network, average, np.arange(self.card.dim), found['step'], found['epoch'],
                     found['loss'], optimizer=found['optimizer'])

    def point(self, state: State, network: Network) -> Point:
        """Judge the network of a step, write its model folder and pack it."""
        recalls, kind = self.judge.recalls(network, self.card), self.stages[state.step].kind
        folder = self.parent
        if state.step > 0:
            folder = self.out / f'step_{state.step:02d}'
            write_model(folder, network, self._card_of(network, folder.name, {
                'made_by': 'vpr compress', 'parent_made_by': self.card.notes.get('made_by'),
                'step': state.step, 'kind': kind, 'settings': self.settings,
                'recall': [asdict(each) for each in recalls]}), force=True)
        packed = self._packed(folder)
        return Point(
            state.step, kind, sum(p.numel() for p in network.parameters()), self.card.dim,
            packed.weights_bytes, packed.folder_bytes, packed.file_bytes,
            Parts(packed.codebook_bytes, packed.index_bytes, packed.gap_bytes, packed.plain_bytes,
                  packed.rest_bytes),
            state.loss, recalls, layers_now(network, self.plans, packed),
            folder.name if state.step else '')

    def save(self, state: State) -> None:
        """Write what a kill would lose."""
        write_state(self.out / STATE, {
            'run': fingerprint(self.settings), 'step': state.step, 'epoch': state.epoch,
            'loss': state.loss, 'network': state.network.state_dict(),
            'average': None if state.average is None else state.average.state_dict(),
            'optimizer': state.optimizer,
            'points': json.dumps([asdict(point) for point in self.points])})

    def write(self, state: State) -> None:
        """Write the tables, and only then that the step is done or, at first, to be done."""
        write_points(self.points, self.settings, self.out)
        self.save(state)

    def _dressed(self, saved: dict[str, torch.Tensor] | None) -> Network | None:
        if saved is None:
            return None
        network = copy.deepcopy(self.plain)
        dress_like(network, saved)
        network.load_state_dict(saved)
        return network

    def _packed(self, folder: Path) -> PackedSizes:
        """Pack a model folder beside it, the parent somewhere else; return where bytes went."""
        if folder != self.parent:
            return pack(folder, self.out / f'{folder.name}.vprz', force=True)
        with TemporaryDirectory() as aside:
            return pack(folder, Path(aside) / PACKED)

    def _card_of(self, network: Network, step: str, notes: dict[str, Any]) -> ModelCard:
        card, of = self.card, self.taught_by
        made = card_of(network, f'{card.name}-{step}', card.backbone, card.cut, card.aggregator,
                       card.aggregator_args, card.preprocessing, card.licence,
                       parent=card.digest, notes=notes)
        return replace(made, queries_maps_of=(of.digest, *of.queries_maps_of)
                       if self.config.learn.distill > 0.0 else ())


def layers_now(network: Network, plans: Sequence[LayerPlan], packed: PackedSizes
               ) -> tuple[LayerNow, ...]:
    """Return what became of the weights of each layer of a plain network that was packed."""
    taken = {each.name: each.packed_bytes for each in packed.arrays}
    found = []
    for plan in plans:
        weight = weight_of(network.get_submodule(plan.name)).detach().cpu().numpy()
        found.append(LayerNow(plan.name, weight.size, int((weight == 0.0).sum()),
                              int(np.unique(weight).size), plan.bits,
                              taken.get(f'{plan.name}.weight', 0.0)))
    return tuple(found)


def make_ready(out: Path, force: bool) -> None:
    """Make the folder of a run where there is none, and take away what a killed one left half.

    `force` takes a run away that is there. Raises ModelError for a folder with something else in
    it, and where nothing can be written.
    """
    saved = out / STATE
    try:
        if force and (saved.exists() or (out / POINTS).exists()):
            shutil.rmtree(out)
        out.mkdir(parents=True, exist_ok=True)
        _remove_parts(out)
        if not saved.exists() and any(out.iterdir()) and not _is_just_begun(out):
            raise ModelError(f'{out} exists and holds no run to go on with; choose another name')
    except OSError as error:
        raise _unwritable(out, error) from error


def _is_just_begun(out: Path) -> bool:
    """Say whether a run was stopped between its first files."""
    names = {path.name for path in out.iterdir()}
    return names <= {POINTS, TABLE, SCAN} and (POINTS not in names or not read_points(out)[0])


def _remove_parts(folder: Path) -> None:
    """Remove what a killed run was just writing; raises OSError."""
    for name in (STATE, POINTS, TABLE, SCAN):
        part_of(folder / name).unlink(missing_ok=True)
    for part in (*folder.glob('.step_*'), *folder.glob(f'.{PACKED}*')):
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink()


def _unwritable(out: Path, error: OSError) -> ModelError:
    return ModelError(f'cannot write {out} ({error.strerror}); choose another place')
