# SPDX-License-Identifier: Apache-2.0
"""The page of pruning runs: what is small and fast, what it recalls, and what else would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import csv
from html import escape
import io
from pathlib import Path
from string import Template
from typing import Any

from vpr_ros.errors import VprError
from vpr_ros.report import html_parts as html
from vpr_ros.report.page import PAGE, write_text
from vpr_ros.report.pruning_data import pruning_data, recall_sets, recalls_of
from vpr_ros.report.pruning_run import milliseconds, PruningRun, Series, series_of
from vpr_ros.report.pruning_words import (
    advise,
    differences,
    drop_points,
    headline,
    megabytes,
    several,
    total_bytes,
)
from vpr_ros.report.words import count, number

_SCRIPTS = ('common.js', 'pruning.js')
_SECTIONS = {'take': 'What to take', 'curves': 'Curves', 'layers': 'Layers', 'steps': 'Steps',
             'controls': 'Controls', 'protocol': 'How it was measured', 'settings': 'Settings'}
_NO_CONTROLS = ('There are none in this folder: give the command of vpr prune again without '
                '--no-controls; the steps that are there are not made again.')


def write_pruning_page(runs: Sequence[PruningRun], out: Path | None = None) -> Path:
    """Write the page of runs, of several with a table beside it (.csv); return the page's path.

    Left out, it is report.html in the folder of the first run.
    Raises VprError when runs were judged by different sets, or the page cannot be written.
    """
    if any((run.sets, run.chooses) != (runs[0].sets, runs[0].chooses) for run in runs):
        raise VprError('the runs were judged by different sets: '
                       + '; '.join(f'{run.name} by {", ".join(run.sets)}' for run in runs)
                       + '; prune with the same --validate and --test')
    series = series_of(runs)
    page = out or runs[0].path / PAGE
    if len(runs) > 1:
        write_text(page.with_suffix('.csv'), _table_text(series))
    return write_text(page, pruning_text(series))


def pruning_text(series: Sequence[Series]) -> str:
    """Return the page."""
    lead = series[0].lead
    runs = [run for one in series for run in one.runs]
    alone = len(series) == 1
    name = lead.name if len(runs) == 1 else f'{len(runs)} runs'
    body = Template(html.asset('pruning.html')).substitute(
        name=escape(name),
        headline=escape(headline(lead) if alone else 'Pruning runs side by side: '
                        + ', '.join(one.name for one in series)),
        seeds=escape('' if len(runs) == len(series) else ' · lines are means of seeds, bands '
                     'reach from the least to the best of them'),
        tiles=_tiles(lead) if alone else '',
        advice=html.advice_list(advise(lead) if alone else several(series)),
        remarks=html.remark_list(differences(series)),
        nav=html.navigation(_SECTIONS),
        steps=''.join(_steps(one, alone) for one in series),
        controls=_controls(lead) if lead.controls else f'<p class="remark">{_NO_CONTROLS}</p>',
        fitted=escape(lead.fitted_on or 'what was learned from'),
        protocol=_protocol(lead),
        settings=''.join(_settings(one, alone) for one in series))
    return html.whole_page(f'{name} – vpr_ros prune', body, pruning_data(series), _SCRIPTS)


def _tiles(run: PruningRun) -> str:
    dense, taken = run.dense, run.taken
    ms = [milliseconds(run, [run], point) for point in (taken, dense)]
    memory = total_bytes(taken) / total_bytes(dense)
    lost = drop_points(run, taken)
    parts = []
    if ms[0] and ms[1]:
        now, before = sum(ms[0]), sum(ms[1])
        parts.append(html.tile(f'{now / before:.0%}', 'of the time',
                               f'{number(now)} instead of {number(before)} ms', '#0072b2'))
    parts += [
        html.tile(f'{memory:.0%}', 'of the memory', f'{megabytes(total_bytes(taken))}, '
                  f'{count(run.places)} places', '#0072b2'),
        html.tile(f'{taken["parameters"] / dense["parameters"]:.0%}', 'of the weights',
                  f'{number(taken["parameters"] / 1e6)} M'),
        html.tile(f'{-lost:+.1f}' if abs(lost) >= 0.05 else '0.0', 'points of recall@1',
                  'on what chooses'),
        html.tile(str(taken['dim']), 'numbers a place', f'dense: {dense["dim"]}'),
        html.tile(taken['folder'] or 'dense', 'to take', f'step {taken["step"]} of '
                  f'{run.points[-1]["step"]}'),
    ]
    return ''.join(parts)


def _steps(one: Series, alone: bool) -> str:
    """Return the table of a series; of several seeds, one row each."""
    lead = one.lead
    heads = ['step', 'channels gone', 'weights (M)', 'numbers', 'network + map (MB)', 'ms',
             'of dense', 'loss', *(f'recall@1, {name}' for name, _ in recall_sets(lead))]
    crossed = any(each['on_parents_map_at_1'] is not None for each in lead.points[-1]['recalls'])
    heads += [f'on the dense map, {name}' for name in lead.sets] if crossed else []
    rows = []
    for step in one.steps:
        for run in one.runs:
            for point in (each for each in run.points if each['step'] == step):
                mark = ' class="best"' if step == run.chosen else ''
                seed = (f' <small>seed {run.settings.get("learn", {}).get("seed", "?")}</small>'
                        if len(one.runs) > 1 else '')
                cells = ''.join(f'<td>{escape(text)}</td>' for text in _cells(run, point, crossed))
                rows.append(f'<tr><th scope="row">{"dense" if step == 0 else step}{seed}</th>'
                            f'{cells.replace("<td>", f"<td{mark}>", 1)}</tr>')
    title = '' if alone else f'<h3>{escape(one.name)}</h3>'
    return title + _table(heads, ''.join(rows))


def _cells(run: PruningRun, point: Mapping[str, Any], crossed: bool) -> list[str]:
    ms = milliseconds(run, [run], point)
    dense = milliseconds(run, [run], run.dense)
    recalls = [number(value) for value in recalls_of(run, point)]
    if crossed:
        recalls += [number(one['on_parents_map_at_1']) for one in point['recalls']]
    return [f'{point["sparsity"]:.0%}', number(point['parameters'] / 1e6), str(point['dim']),
            number(total_bytes(point) / 1e6), number(sum(ms)) if ms else '–',
            f'{sum(ms) / sum(dense):.2f}' if ms and dense else '–', number(point['loss']),
            *recalls]


def _controls(run: PruningRun) -> str:
    heads = ['dense network with', 'numbers', 'bits each', 'network + map (MB)', 'ms',
             *(f'recall@1, {name}' for name, _ in recall_sets(run))]
    rows = []
    for each in run.controls:
        ms = milliseconds(run, [run], each)
        cells = [str(each['dim']), number(float(each['bits'])), number(total_bytes(each) / 1e6),
                 number(sum(ms)) if ms else '–',
                 *(number(value) for value in recalls_of(run, each))]
        rows.append(f'<tr><th scope="row">{escape(each["label"])}</th>'
                    + ''.join(f'<td>{escape(text)}</td>' for text in cells) + '</tr>')
    return _table(heads, ''.join(rows))


def _table(heads: Sequence[str], rows: str) -> str:
    top = ''.join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    return ('<div class="scroll"><table class="compare"><thead><tr>'
            f'{top}</tr></thead><tbody>{rows}</tbody></table></div>')


def _protocol(run: PruningRun) -> str:
    """Return how each set was judged, and what was timed how."""
    speed = run.dense['speed']
    roles = {True: 'validation: steps are chosen by it', False: 'test: nothing is chosen by it'}
    lines = [f'{one["pair"]} ({roles[one["chooses"]]}; {count(one["queries"])} queries with a '
             f'positive): {one["protocol"]}' for one in run.dense['recalls']]
    lines.append('recall@1: the share of the queries that have a positive whose most similar '
                 'place is one, by exact search; map and query described by the same network, '
                 'torch in float32')
    lines.append(f'memory: the float weights and the descriptors of {count(run.places)} places in '
                 f'{run.settings.get("goal", {}).get("map_precision", "float32")}')
    if speed is not None:
        lines.append(f'time: {speed["engine"]}, one thread, processor time of one image of the '
                     f"input's size and one exact search among {count(speed['places'])} places; "
                     'each step in turn with the dense network, median of the rounds; shown is '
                     "their ratio at the median of the dense network's times")
    return ('<ul class="protocol">' + ''.join(f'<li>{escape(line)}</li>' for line in lines)
            + '</ul>')


def _settings(one: Series, alone: bool) -> str:
    flat: dict[str, Any] = {}
    for key, value in one.lead.settings.items():
        flat.update(value if isinstance(value, dict) else {key: value})
    title = '' if alone else f'<h3>{escape(one.name)}</h3>'
    return title + html.settings_table({'folders': [str(run.path) for run in one.runs], **flat})


def _table_text(series: Sequence[Series]) -> str:
    """Return all runs as CSV: a line a step, or control, and set."""
    text = io.StringIO(newline='')
    names = ['run', 'seed', 'folder', 'what', 'step', 'sparsity', 'gamma', 'parameters', 'dim',
             'model_bytes', 'map_bytes', 'describe_ms', 'match_ms', 'set', 'chooses', 'queries',
             'recall_at_1', 'recall_at_5']
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    runs = [run for one in series for run in one.runs]
    for one in series:
        for run in one.runs:
            for point in (*run.points, *run.controls):
                ms = milliseconds(run, runs, point) or (None, None)
                shared = {key: point.get(key) for key in names if key in point}
                for each in point['recalls']:
                    writer.writerow({
                        **shared, 'run': one.name, 'folder': str(run.path),
                        'seed': run.settings.get('learn', {}).get('seed'),
                        'what': point.get('label') or ('pruned' if point['step'] else 'dense'),
                        'describe_ms': ms[0], 'match_ms': ms[1], 'set': each['pair'],
                        'chooses': each['chooses'], 'queries': each['queries'],
                        'recall_at_1': each['at_1'], 'recall_at_5': each['at_5']})
    return text.getvalue()
