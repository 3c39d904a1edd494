# SPDX-License-Identifier: Apache-2.0
"""What `vpr compress` wrote, read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

from vpr_ros.errors import VprError

POINTS, MODELS, SCAN = 'compression.json', 'models.json', 'scan.json'
_POINT = {'step', 'kind', 'parameters', 'dim', 'weights_bytes', 'folder_bytes', 'packed_bytes',
          'parts', 'loss', 'recalls', 'layers', 'folder'}
Record = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class CompressionRun:
    """One run: its steps from the dense network on, models beside it, and which step to take."""

    path: Path
    settings: Record
    points: tuple[Record, ...]
    models: tuple[Record, ...]
    scan: Record
    chosen: int
    why: str

    @classmethod
    def read(cls, folder: Path, chosen: int | None = None, why: str = '') -> CompressionRun:
        """Return the run of a folder; `chosen` is a step, left out: the last.

        Raises VprError where there is no run, or its tables are damaged.
        """
        points = _read(folder / POINTS)
        models = _read(folder / MODELS) if (folder / MODELS).exists() else {}
        scan = _read(folder / SCAN) if (folder / SCAN).exists() else {}
        try:
            run = cls(folder, dict(points['settings']), tuple(points['points']),
                      tuple(models.get('models', ())), scan,
                      points['points'][-1]['step'] if chosen is None else chosen, why)
            fits = all(set(point) >= _POINT for point in run.points) and all(
                [one['pair'] for one in each['recalls']] == run.sets
                for each in (*run.points, *run.models))
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise VprError(_damaged(folder, f'misses {error}')) from error
        if not fits or not any(point['step'] == run.chosen for point in run.points):
            raise VprError(_damaged(folder, 'has steps and models that do not fit together'))
        return run

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @property
    def sets(self) -> list[str]:
        """Names of the sets that judge."""
        return [one['pair'] for one in self.points[0]['recalls']]

    @property
    def dense(self) -> Record:
        """The network that was compressed."""
        return self.points[0]

    @property
    def taken(self) -> Record:
        """The step to take."""
        return next(point for point in self.points if point['step'] == self.chosen)


def sparsity(point: Record) -> float:
    """Return the share of the compressed layers' weights that is zero."""
    layers = point['layers']
    return float(sum(one['zeros'] for one in layers)
                 / max(sum(one['weights'] for one in layers), 1))


def smaller_by(run: CompressionRun, point: Record) -> float:
    """Return how many times a packed file is smaller than the dense network's float weights."""
    return float(run.dense['weights_bytes'] / point['packed_bytes'])


def _read(path: Path) -> Any:
    try:
        record = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise VprError(f'{path} cannot be read ({error}); name a folder that vpr compress has '
                       'written') from error
    if not isinstance(record, dict):
        raise VprError(_damaged(path.parent, f'has no table in {path.name}'))
    return record


def _damaged(folder: Path, what: str) -> str:
    return (f'{folder} {what}; give the command of vpr compress again, it goes on from what is '
            'there')
