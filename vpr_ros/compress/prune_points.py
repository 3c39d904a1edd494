# SPDX-License-Identifier: Apache-2.0
"""What each step of a run came to: the points of its curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
import csv
from dataclasses import asdict, dataclass
import io
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

from vpr_ros.errors import ModelError

POINTS, TABLE = 'points.json', 'points.csv'


@dataclass(frozen=True)
class Recalled:
    """Recall on one set, over its `queries` that have a positive; `chooses`: by which one chooses.

    Map and query are described by the same network; `on_parents_map_at_1` has the map described
    by the parent, None where the descriptors are of another size.
    """

    pair: str
    chooses: bool
    queries: int
    at_1: float
    at_5: float
    on_parents_map_at_1: float | None
    protocol: str


@dataclass(frozen=True)
class Speed:
    """Processor time of one image on one engine, median of interleaved rounds, beside the parent.

    `match_ms`: one query against a map of `places`.
    """

    engine: str
    describe_ms: float
    parent_describe_ms: float
    match_ms: float
    parent_match_ms: float
    places: int

    @property
    def ratio(self) -> float:
        """Description and matching together, as a share of the parent's."""
        return ((self.describe_ms + self.match_ms)
                / (self.parent_describe_ms + self.parent_match_ms))


@dataclass(frozen=True)
class Point:
    """One step: how small the network is, and what it still finds; step 0 is the dense network."""

    step: int
    sparsity: float
    gamma: float
    parameters: int
    dim: int
    model_bytes: int
    map_bytes: int
    loss: float | None
    recalls: tuple[Recalled, ...]
    speed: Speed | None
    widths: dict[str, tuple[int, int]]
    folder: str

    @property
    def total_bytes(self) -> int:
        """Model and map."""
        return self.model_bytes + self.map_bytes

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


def replace_tables(whole: Path, record: dict[str, Any], table: Path, rows: list[dict[str, Any]],
                   first: str) -> None:
    """Write a record as JSON and its rows as CSV, whose first column is `first`.

    Raises ModelError when one cannot be written; then it is what it was.
    """
    with replaced(whole) as stream:
        stream.write((json.dumps(record, indent=1) + '\n').encode())
    text = io.StringIO(newline='')
    writer = csv.DictWriter(text, list(rows[0]) if rows else [first])
    writer.writeheader()
    writer.writerows(rows)
    with replaced(table) as stream:
        stream.write(text.getvalue().encode())


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that takes the place of `path`, whole, when the block ends.

    Raises ModelError when it cannot be written; then `path` is what it was.
    """
    part = part_of(path)
    try:
        with part.open('wb') as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
    except (OSError, RuntimeError) as error:  # torch raises the latter on a full disk
        with suppress(OSError):
            part.unlink()
        raise ModelError(f'{path} cannot be written ({error}); the steps that were finished are '
                         'whole, make room and run the same command again') from error


def part_of(path: Path) -> Path:
    """Return where a file is made before it takes its place."""
    return path.with_name(f'.{path.name}.part')


def read_points(folder: Path) -> tuple[list[Point], dict[str, Any]]:
    """Return the points and settings of a run; raises ModelError where there are none."""
    try:
        record = json.loads((folder / POINTS).read_text(encoding='utf-8'))
        return [point_of(each) for each in record['points']], dict(record['settings'])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f'{folder / POINTS} is no table of a pruning run ({error}); name the '
                         'folder that vpr prune wrote') from error


def point_of(record: dict[str, Any]) -> Point:
    """Return the point that `dataclasses.asdict` made this record of."""
    speed = record['speed']
    return Point(**{**record,
                    'recalls': tuple(Recalled(**each) for each in record['recalls']),
                    'speed': None if speed is None else Speed(**speed),
                    'widths': {name: (int(i), int(o))
                               for name, (i, o) in record['widths'].items()}})


def _row(point: Point, recalled: Recalled) -> dict[str, Any]:
    speed = point.speed
    return {
        'step': point.step, 'sparsity': round(point.sparsity, 4), 'gamma': point.gamma,
        'parameters': point.parameters, 'dim': point.dim, 'model_bytes': point.model_bytes,
        'map_bytes': point.map_bytes, 'loss': point.loss,
        'describe_ms': speed and round(speed.describe_ms, 3),
        'parent_describe_ms': speed and round(speed.parent_describe_ms, 3),
        'match_ms': speed and round(speed.match_ms, 4), 'engine': speed and speed.engine,
        'set': recalled.pair, 'chooses': recalled.chooses, 'queries': recalled.queries,
        'recall_at_1': round(recalled.at_1, 5), 'recall_at_5': round(recalled.at_5, 5),
        'recall_at_1_on_parents_map': recalled.on_parents_map_at_1, 'model': point.folder,
    }
