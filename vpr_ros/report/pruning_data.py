# SPDX-License-Identifier: Apache-2.0
"""Pruning runs as the records that the figures of their page are drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vpr_ros.report.comparison import LINES
from vpr_ros.report.pruning_run import mean_recall, milliseconds, PruningRun, Series, Spread

VALIDATION, TEST = 'mean of the validation sets', 'mean of the test sets'


def pruning_data(series: Sequence[Series]) -> dict[str, Any]:
    """Return what the script of the page draws; recalls are in the order of `sets`."""
    runs = [run for one in series for run in one.runs]
    return {
        'sets': [name for name, _ in recall_sets(runs[0])],
        'places': runs[0].places,
        'series': [_series(one, runs, row) for row, one in enumerate(series)],
        'controls': _controls(series, runs),
        'layers': _layers(series[0].lead),
    }


def recall_sets(run: PruningRun) -> list[tuple[str, bool]]:
    """Return the names under which recall is shown, and whether one chooses by it.

    Each set, and before them the mean of those that choose, or do not, where there are several.
    """
    pairs = list(zip(run.sets, run.chooses, strict=True))
    means = [(name, kind) for name, kind in ((VALIDATION, True), (TEST, False))
             if sum(chooses is kind for _, chooses in pairs) > 1]
    return [*means, *((f'{name} ({"validation" if chooses else "test"})', chooses)
                      for name, chooses in pairs)]


def recalls_of(run: PruningRun, point: Mapping[str, Any], key: str = 'at_1') -> list[float | None]:
    """Return the recalls of a point in the order of `recall_sets`."""
    each = [one[key] for one in point['recalls']]
    means = [mean_recall(point, name == VALIDATION, key) for name, _ in recall_sets(run)
             if name in (VALIDATION, TEST)]
    return [*means, *each]


def _series(one: Series, runs: Sequence[PruningRun], row: int) -> dict[str, Any]:
    color, dash = LINES[row % len(LINES)]
    return {'name': one.name, 'color': color, 'dash': dash, 'seeds': len(one.runs),
            'gamma': one.lead.dense['gamma'], 'parent': one.lead.settings.get('parent'),
            'steps': [_step(one, step, runs) for step in one.steps]}


def _step(one: Series, step: int, runs: Sequence[PruningRun]) -> dict[str, Any]:
    members = [(run, point) for run in one.runs for point in run.points if point['step'] == step]
    point = members[0][1]
    recalls = list(zip(*(recalls_of(run, each) for run, each in members), strict=True))
    spreads = [Spread.of([value for value in values if value is not None]) for values in recalls]
    times = [ms for run, each in members if (ms := milliseconds(run, runs, each))]
    speed = point['speed']

    def mean(key: str) -> float:
        return Spread.of([each[key] for _, each in members]).mean

    return {
        'step': step, 'seeds': len(members), 'chosen': step == one.lead.chosen,
        'folder': point['folder'], 'sparsity': mean('sparsity'), 'parameters': mean('parameters'),
        'dim': mean('dim'), 'model_bytes': mean('model_bytes'), 'map_bytes': mean('map_bytes'),
        'describe_ms': Spread.of([ms[0] for ms in times]).mean if times else None,
        'match_ms': Spread.of([ms[1] for ms in times]).mean if times else None,
        'engine': None if speed is None else speed['engine'],
        'recall': [spread.mean for spread in spreads], 'low': [spread.low for spread in spreads],
        'high': [spread.high for spread in spreads],
    }


def _controls(series: Sequence[Series], runs: Sequence[PruningRun]) -> list[dict[str, Any]]:
    """Return the controls of the first run of each parent."""
    found, parents = [], set()
    for run in (one.lead for one in series):
        if run.settings.get('parent') in parents or not run.controls:
            continue
        parents.add(run.settings.get('parent'))
        for control in run.controls:
            ms = milliseconds(run, runs, control)
            found.append({
                **{key: control[key] for key in ('label', 'kind', 'parameters', 'dim', 'bits',
                                                 'model_bytes', 'map_bytes')},
                'describe_ms': ms and ms[0], 'match_ms': ms and ms[1],
                'recall': recalls_of(run, control)})
    return found


def _layers(run: PruningRun) -> dict[str, Any]:
    """Return the outputs of each layer, step by step; norms have those of the layer before."""
    dense = run.dense['widths']
    names = [name for name, (inputs, outputs) in dense.items()
             if inputs != outputs or 'conv' in name.rpartition('.')[2]
             or (not name.startswith('backbone.') and 'norm' not in name)]
    return {'names': [name.removeprefix('backbone.') for name in names],
            'chosen': run.chosen,
            'steps': [{'step': point['step'], 'sparsity': point['sparsity'],
                       'outputs': [point['widths'][name][1] for name in names]}
                      for point in run.points]}
