# SPDX-License-Identifier: Apache-2.0
"""What a killed run goes on from: one file, replaced after every epoch."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, field
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch

from vpr_ros.compress.prune_points import Point, point_of
from vpr_ros.errors import ModelError
from vpr_ros.nets.network import Network
from vpr_ros.nets.widths import set_widths, widths_of

STATE = 'state.pt'


@dataclass
class State:
    """How far a run is: `epoch` epochs of `step` are done; the step's cut was made before them.

    `kept` are the parent's descriptor dimensions that are left, `loss` the mean of the last epoch.
    """

    network: Network
    average: Network | None
    kept: NDArray[np.intp]
    step: int = 0
    epoch: int = 0
    loss: float | None = None
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
    part = path.with_suffix('.part')
    try:
        torch.save({
            'run': run, 'step': state.step, 'epoch': state.epoch, 'loss': state.loss,
            'widths': {name: list(width) for name, width in widths_of(state.network).items()},
            'network': state.network.state_dict(),
            'average': None if state.average is None else state.average.state_dict(),
            'kept': torch.from_numpy(state.kept), 'optimizer': state.optimizer,
            'points': json.dumps([asdict(point) for point in state.points])}, part)
        os.replace(part, path)
    except (OSError, RuntimeError) as error:  # torch raises the latter on a full disk
        part.unlink(missing_ok=True)
        raise ModelError(f'{path} cannot be written ({error}); the last step that was finished '
                         'is whole, make room and run the same command again') from error


def resume(path: Path, state: State, run: str) -> None:
    """Bring a fresh state to where the file says; raises ModelError for another run's file."""
    try:
        found = torch.load(path, weights_only=True, map_location='cpu')
        known = found['run']
    except Exception as error:  # torch raises many kinds on damaged files
        raise ModelError(f'{path} is damaged ({type(error).__name__}); pass --force to start '
                         'again, or name another folder') from error
    if known != run:
        raise ModelError(f'{path} is of a run with other settings; repeat these to go on with it, '
                         'pass --force to start again, or name another folder')
    set_widths(state.network, {name: (int(i), int(o)) for name, (i, o) in found['widths'].items()})
    state.network.load_state_dict(found['network'])
    if state.average is not None:
        state.average = copy.deepcopy(state.network)
        state.average.load_state_dict(found['average'])
    state.kept = found['kept'].numpy()
    state.step, state.epoch, state.loss = found['step'], found['epoch'], found['loss']
    state.optimizer = found['optimizer']
    state.points = [point_of(each) for each in json.loads(found['points'])]
