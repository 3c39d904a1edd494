# SPDX-License-Identifier: Apache-2.0
"""What a killed run goes on from: one file, replaced after every epoch."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, field
import hashlib
import io
import json
from pathlib import Path
import shutil
from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch

from vpr_ros.compress.prune_points import part_of, Point, point_of, POINTS, replaced, TABLE
from vpr_ros.errors import ModelError
from vpr_ros.nets.network import Network
from vpr_ros.nets.widths import set_widths, widths_of

STATE = 'state.pt'
_DIGEST_BYTES = 32   # SHA-256 of what follows


@dataclass
class State:
    """How far a run is: `epoch` epochs of `step` are done; the step's cut was made before them.

    `kept` are the parent's descriptor dimensions that are left, `loss` the mean of the last epoch,
    `saved_ms` what cutting each group saves, as measured when the run began.
    """

    network: Network
    average: Network | None
    kept: NDArray[np.intp]
    step: int = 0
    epoch: int = 0
    loss: float | None = None
    saved_ms: dict[str, float] | None = None
    optimizer: dict[str, Any] | None = None
    points: list[Point] = field(default_factory=list)

    @property
    def judged(self) -> Network:
        """The network that is judged and written."""
        return self.network if self.average is None else self.average


def fingerprint(settings: dict[str, Any]) -> str:
    """Return a digest of what a run must have in common with the one that it goes on from."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


def save(path: Path, state: State, run: str) -> None:
    """Replace the file in one rename; raises ModelError when it cannot be written."""
    write_state(path, {
        'run': run, 'step': state.step, 'epoch': state.epoch, 'loss': state.loss,
        'widths': {name: list(width) for name, width in widths_of(state.network).items()},
        'network': state.network.state_dict(),
        'average': None if state.average is None else state.average.state_dict(),
        'kept': torch.from_numpy(state.kept), 'optimizer': state.optimizer,
        'saved_ms': state.saved_ms,
        'points': json.dumps([asdict(point) for point in state.points])})


def write_state(path: Path, record: dict[str, Any]) -> None:
    """Replace a file by plain values and tensors; raises ModelError when it cannot be written."""
    part = io.BytesIO()
    torch.save(record, part)
    content = part.getvalue()
    with replaced(path) as stream:
        stream.write(hashlib.sha256(content).digest() + content)


def read_state(saved: bytes, path: Path, run: str) -> dict[str, Any]:
    """Return what `write_state` wrote of the run with this fingerprint, as `record['run']` says.

    Raises ModelError for damaged bytes and for those of another run; `path` names them.
    """
    digest, content = saved[:_DIGEST_BYTES], saved[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:  # torch would load most damage unnoticed
        raise ModelError(f'{path} is damaged; pass --force to start again, or name another folder')
    found: dict[str, Any] = torch.load(io.BytesIO(content), weights_only=True, map_location='cpu')
    if found['run'] != run:
        raise ModelError(f'{path} is of a run with other settings; repeat these to go on with it, '
                         'pass --force to start again, or name another folder')
    return found


def resume(saved: bytes, path: Path, state: State, run: str) -> None:
    """Bring a fresh state to where the bytes of `path` say.

    Raises ModelError for damaged bytes and for those of another run.
    """
    found = read_state(saved, path, run)
    learns = {name: p.requires_grad for name, p in state.network.named_parameters()}
    set_widths(state.network, {name: (int(i), int(o)) for name, (i, o) in found['widths'].items()})
    for name, parameter in state.network.named_parameters():
        parameter.requires_grad_(learns[name])   # set_widths makes layers anew
    if state.average is not None:
        state.average = copy.deepcopy(state.network)
        state.average.load_state_dict(found['average'])
    state.network.load_state_dict(found['network'])
    state.kept = found['kept'].numpy()
    state.step, state.epoch, state.loss = found['step'], found['epoch'], found['loss']
    state.optimizer, state.saved_ms = found['optimizer'], found['saved_ms']
    state.points = [point_of(each) for each in json.loads(found['points'])]


def remove_parts(folder: Path) -> None:
    """Remove what a killed run was just writing; raises OSError."""
    for name in (STATE, POINTS, TABLE):
        part_of(folder / name).unlink(missing_ok=True)
    for part in folder.glob('.step_*'):
        shutil.rmtree(part)
