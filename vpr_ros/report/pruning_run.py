# SPDX-License-Identifier: Apache-2.0
"""What `vpr prune` wrote, read back, and runs that differ by their seed taken together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import json
from pathlib import Path
from statistics import fmean, median
from typing import Any

from vpr_ros.errors import VprError

POINTS, CONTROLS = 'points.json', 'controls.json'
_POINT = {'step', 'sparsity', 'gamma', 'parameters', 'dim', 'model_bytes', 'map_bytes', 'recalls',
          'speed', 'widths', 'folder'}


@dataclass(frozen=True, eq=False)
class PruningRun:
    """One run: its steps from the dense network on, its controls, and which step to take, why."""

    path: Path
    settings: Mapping[str, Any]
    points: tuple[Mapping[str, Any], ...]
    controls: tuple[Mapping[str, Any], ...]
    fitted_on: str
    chosen: int
    why: str

    @classmethod
    def read(cls, folder: Path, chosen: int | None = None, why: str = '') -> PruningRun:
        """Return the run of a folder; `chosen` is a step, left out: the last.

        Raises VprError where there is no run, or its tables are damaged.
        """
        points = _read(folder / POINTS)
        controls = _read(folder / CONTROLS) if (folder / CONTROLS).exists() else {}
        try:
            run = cls(folder, dict(points['settings']), tuple(points['points']),
                      tuple(controls.get('controls', ())),
                      str(controls.get('of', {}).get('fitted_on', '')),
                      points['points'][-1]['step'] if chosen is None else chosen, why)
            sets = run.sets
            fits = all(set(point) >= _POINT for point in run.points) and all(
                [one['pair'] for one in each['recalls']] == sets
                for each in (*run.points, *run.controls))
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise VprError(_damaged(folder, f'misses {error}')) from error
        if not fits or not any(point['step'] == run.chosen for point in run.points):
            raise VprError(_damaged(folder, 'has points and controls that do not fit together'))
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
    def chooses(self) -> list[bool]:
        """Whether one chooses by a set, for each."""
        return [bool(one['chooses']) for one in self.points[0]['recalls']]

    @property
    def dense(self) -> Mapping[str, Any]:
        """The network that was pruned."""
        return self.points[0]

    @property
    def taken(self) -> Mapping[str, Any]:
        """The step to take."""
        return next(point for point in self.points if point['step'] == self.chosen)

    @property
    def places(self) -> int:
        """Places of the map that memory and search are counted for."""
        return int(self.settings.get('goal', {}).get('map_places', 10_000))


@dataclass(frozen=True, eq=False)
class Series:
    """Runs that differ by nothing but their seed, under one name; the first one leads."""

    name: str
    runs: tuple[PruningRun, ...]

    @property
    def lead(self) -> PruningRun:
        """The first of the runs, whose choice and layers are shown."""
        return self.runs[0]

    def at(self, step: int) -> list[Mapping[str, Any]]:
        """Return the points of a step, one a run that came so far."""
        return [point for run in self.runs for point in run.points if point['step'] == step]

    @property
    def steps(self) -> list[int]:
        """All steps that any of the runs has made."""
        return sorted({point['step'] for run in self.runs for point in run.points})


@dataclass(frozen=True)
class Spread:
    """The mean of some numbers, the least and the largest."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one number."""
        return cls(fmean(values), min(values), max(values))


def series_of(runs: Sequence[PruningRun]) -> list[Series]:
    """Return the runs, those that differ by their seed alone together, named by what differs."""
    groups: dict[str, list[PruningRun]] = {}
    for run in runs:
        groups.setdefault(json.dumps(_knobs(run), sort_keys=True), []).append(run)
    knobs = [_knobs(members[0]) for members in groups.values()]
    differ = [key for key in dict.fromkeys(key for one in knobs for key in one)
              if len({repr(one.get(key)) for one in knobs}) > 1]
    return [Series(_name(members[0], one, differ), tuple(members))
            for one, members in zip(knobs, groups.values(), strict=True)]


def milliseconds(run: PruningRun, runs: Sequence[PruningRun], point: Mapping[str, Any]
                 ) -> tuple[float, float] | None:
    """Return the ms of description and of search; None where they were not measured.

    A point is timed in turn with the dense network, so their ratio holds also where the computer
    was busy; it is told at the median of all times of the dense network on that engine.
    """
    speed = point['speed']
    if speed is None:
        return None
    dense = [other['speed'] for one in runs for other in one.points
             if one.settings.get('parent') == run.settings.get('parent') and other['speed']]
    describe, match = (median(each[key] for each in dense)
                       for key in ('parent_describe_ms', 'parent_match_ms'))
    if point.get('step') == 0:
        return describe, match   # it was timed beside itself
    return (describe * speed['describe_ms'] / speed['parent_describe_ms'],
            match * speed['match_ms'] / speed['parent_match_ms'])


def mean_recall(point: Mapping[str, Any], chooses: bool, key: str = 'at_1') -> float | None:
    """Return the mean over the sets that choose, or over those that do not; None without any."""
    found = [one[key] for one in point['recalls'] if one['chooses'] is chooses]
    return fmean(found) if found else None


def _knobs(run: PruningRun) -> dict[str, Any]:
    """Return what makes a run another one, its seed apart."""
    flat = {key: value for key, value in run.settings.items() if not isinstance(value, dict)}
    for part in ('prune', 'learn', 'goal'):
        flat.update(run.settings.get(part, {}))
    for key in ('seed', 'engine', 'measure_speed', 'threads', 'world'):
        flat.pop(key, None)
    return flat


def _name(run: PruningRun, knobs: Mapping[str, Any], differ: Sequence[str]) -> str:
    told = [run.name if key == 'parent' else str(knobs.get(key)) if key == 'learns_from'
            else f'{key.replace("_", " ")} {_plain(knobs.get(key))}' for key in differ]
    return ', '.join(told) if 0 < len(told) <= 3 else run.name


def _plain(value: Any) -> str:
    return f'{value:g}' if isinstance(value, float) else str(value)


def _read(path: Path) -> Any:
    try:
        record = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise VprError(f'{path} cannot be read ({error}); name a folder that vpr prune has '
                       'written') from error
    if not isinstance(record, dict):
        raise VprError(_damaged(path.parent, f'has no table in {path.name}'))
    return record


def _damaged(folder: Path, what: str) -> str:
    return f'{folder} {what}; give the command of vpr prune again, it goes on from what is there'
