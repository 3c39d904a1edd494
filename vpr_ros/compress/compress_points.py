# SPDX-License-Identifier: Apache-2.0
"""What each step of a compression came to: how small the file is, and what is still recalled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
import json
from pathlib import Path
from typing import Any

from vpr_ros.compress.prune_points import Recalled, replace_tables
from vpr_ros.errors import ModelError

POINTS, TABLE = 'compression.json', 'compression.csv'


@dataclass(frozen=True)
class LayerNow:
    """The weights of one layer: how many, how many of them are zero, how many values they take.

    `packed_bytes`: about what of the packed file is theirs.
    """

    name: str
    weights: int
    zeros: int
    values: int
    bits: int
    packed_bytes: float


@dataclass(frozen=True)
class Parts:
    """Where the bytes of a packed file went; `plain`: numbers that share no values, `rest`: graph.

    `indices` say which value a weight takes, `gaps` where weights are that are not zero.
    """

    codebooks: int
    indices: int
    gaps: int
    plain: int
    rest: int


@dataclass(frozen=True)
class Point:
    """One step; step 0 is the dense network.

    `kind`: dense, pruned, shared. `weights_bytes`: weights.safetensors, in float32;
    `folder_bytes`: the model folder; `packed_bytes`: that folder as one .vprz file.
    `layers`: those that are compressed.
    """

    step: int
    kind: str
    parameters: int
    dim: int
    weights_bytes: int
    folder_bytes: int
    packed_bytes: int
    parts: Parts
    loss: float | None
    recalls: tuple[Recalled, ...]
    layers: tuple[LayerNow, ...]
    folder: str

    @property
    def sparsity(self) -> float:
        """The share of the compressed layers' weights that is zero."""
        return (sum(each.zeros for each in self.layers)
                / max(sum(each.weights for each in self.layers), 1))

    @property
    def ratio(self) -> float:
        """How many times the packed file is smaller than the weights in float32."""
        return self.weights_bytes / max(self.packed_bytes, 1)

    def chosen_by(self) -> float:
        """Return the mean recall@1 over the sets by which one chooses."""
        found = [each.at_1 for each in self.recalls if each.chooses]
        return sum(found) / len(found)


def write_points(points: Sequence[Point], settings: dict[str, Any], folder: Path) -> None:
    """Replace the two tables of a run, JSON with all and CSV with a line a step and set.

    Raises ModelError when they cannot be written; then they are what they were.
    """
    replace_tables(folder / POINTS, {'settings': settings,
                                     'points': [asdict(point) for point in points]},
                   folder / TABLE, [_row(point, recalled) for point in points
                                    for recalled in point.recalls], 'step')


def read_points(folder: Path) -> tuple[list[Point], dict[str, Any]]:
    """Return the points and settings of a run; raises ModelError where there are none."""
    try:
        record = json.loads((folder / POINTS).read_text(encoding='utf-8'))
        return [point_of(each) for each in record['points']], dict(record['settings'])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f'{folder / POINTS} is no table of a compression ({error}); name the '
                         'folder that vpr compress wrote') from error


def point_of(record: dict[str, Any]) -> Point:
    """Return the point that `dataclasses.asdict` made this record of."""
    return Point(**{**record,
                    'recalls': tuple(Recalled(**each) for each in record['recalls']),
                    'parts': Parts(**record['parts']),
                    'layers': tuple(LayerNow(**each) for each in record['layers'])})


def _row(point: Point, recalled: Recalled) -> dict[str, Any]:
    return {
        'step': point.step, 'kind': point.kind, 'sparsity': round(point.sparsity, 4),
        'parameters': point.parameters, 'dim': point.dim, 'weights_bytes': point.weights_bytes,
        'folder_bytes': point.folder_bytes, 'packed_bytes': point.packed_bytes,
        'smaller_by': round(point.ratio, 3), 'loss': point.loss, 'set': recalled.pair,
        'chooses': recalled.chooses, 'queries': recalled.queries,
        'recall_at_1': round(recalled.at_1, 5), 'recall_at_5': round(recalled.at_5, 5),
        'recall_at_1_on_parents_map': recalled.on_parents_map_at_1, 'model': point.folder,
    }
