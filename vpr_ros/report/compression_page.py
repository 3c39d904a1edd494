# SPDX-License-Identifier: Apache-2.0
"""The page of a compression: how small the file is, what it recalls, what else there is."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from vpr_ros.report import html_parts as html
from vpr_ros.report.compression_run import CompressionRun, Record, smaller_by, sparsity
from vpr_ros.report.compression_words import advise, headline, lost_points
from vpr_ros.report.page import PAGE, write_text
from vpr_ros.report.pruning_words import megabytes
from vpr_ros.report.words import count, number

_SCRIPTS = ('common.js', 'compression.js')
_SECTIONS = {'take': 'What to take', 'models': 'Models', 'curves': 'Curves', 'scan': 'Scan',
             'layers': 'Layers', 'steps': 'Steps', 'protocol': 'How it was measured',
             'settings': 'Settings'}
_FLOAT_BITS = 32


def write_compression_page(run: CompressionRun, out: Path | None = None) -> Path:
    """Write the page of a run and return its path; left out: report.html in its folder.

    Raises VprError when it cannot be written.
    """
    return write_text(out or run.path / PAGE, compression_text(run))


def compression_text(run: CompressionRun) -> str:
    """Return the page."""
    proposed = run.scan.get('proposed')
    body = Template(html.asset('compression.html')).substitute(
        name=escape(run.name), headline=escape(headline(run)), tiles=_tiles(run),
        advice=html.advice_list(advise(run)), nav=html.navigation(_SECTIONS),
        models=_models(run), pictures=escape(str(run.scan.get('pictures', 0))),
        proposed=escape('' if not proposed else
                        'From this, how far each layer goes was proposed for a budget of '
                        f'{proposed["budget_points"]:g} points of recall@1 before learning.'),
        layers=_layers(run), steps=_steps(run), protocol=_protocol(run),
        settings=_settings(run))
    return html.whole_page(f'{run.name} – vpr_ros compress', body, _data(run), _SCRIPTS)


def _data(run: CompressionRun) -> dict[str, Any]:
    """Return what the script of the page draws; recalls are in the order of `sets`."""
    def drawn(record: Record, *keys: str) -> dict[str, Any]:
        return {**{key: record[key] for key in ('packed_bytes', 'weights_bytes', *keys)},
                'recall': [one['at_1'] for one in record['recalls']]}

    own = {run.taken['folder'], ''}
    layers = run.scan.get('layers', [])
    columns = [*(f'{share:.0%} zero' for share in run.scan.get('shares', ())),
               *(f'{bits} bits' for bits in run.scan.get('bits', ()))]
    return {
        'name': run.name, 'sets': [_role(one) for one in run.dense['recalls']],
        'steps': [{**drawn(point, 'step', 'kind', 'parts'), 'sparsity': sparsity(point),
                   'chosen': point['step'] == run.chosen} for point in run.points],
        'beside': [drawn(row, 'label', 'kind') for row in run.models
                   if row['label'] != 'parent' and Path(row['model']).name not in own],
        'scan': {'names': [_short(one['name']) for one in layers], 'columns': columns,
                 'turned': [[*one['pruned'], *one['shared']] for one in layers]},
    }


def _tiles(run: CompressionRun) -> str:
    taken, lost = run.taken, lost_points(run, run.taken)
    weights = sum(one['weights'] for one in taken['layers'])
    packed = sum(one['packed_bytes'] for one in taken['layers'])
    return ''.join([
        html.tile(f'1/{smaller_by(run, taken):.1f}', 'of the float weights',
                  megabytes(taken['packed_bytes']), '#0072b2'),
        html.tile(f'{sparsity(taken):.0%}', 'of the weights are zero',
                  f'of {count(weights)} that are compressed'),
        html.tile(number(8.0 * packed / max(weights, 1)), 'bits a weight', 'instead of 32'),
        html.tile(f'{-lost:+.1f}' if abs(lost) >= 0.05 else '0.0', 'points of recall@1',
                  'on what chooses'),
        html.tile('model.vprz' if taken['step'] else 'dense', 'to take',
                  f'step {taken["step"]} of {run.points[-1]["step"]}'),
    ])


def _models(run: CompressionRun) -> str:
    if not run.models:
        return ('<p class="remark">They were not measured: give the command of vpr compress '
                'again.</p>')
    heads = ['model', 'what', 'float weights (MB)', 'folder (MB)', 'packed (MB)', 'loaded (MB)',
             'ms', 'engine', *(f'recall@1, {_role(one)}' for one in run.dense['recalls'])]
    rows = []
    for row in run.models:
        mark = ' class="best"' if Path(row['model']).name == run.taken['folder'] else ''
        cells = [row['kind'], number(row['weights_bytes'] / 1e6),
                 number(row['folder_bytes'] / 1e6), number(row['packed_bytes'] / 1e6),
                 number(row['memory_mb']), number(row['describe_ms']), row['engine'],
                 *(number(one['at_1']) for one in row['recalls'])]
        rows.append(_row(row['label'], cells, mark))
    return _table(heads, rows)


def _layers(run: CompressionRun) -> str:
    heads = ['layer', 'weights', 'zero', 'values', 'bits asked', 'packed (kB)', 'bits a weight']
    rows = []
    for one in run.taken['layers']:
        asked = 'floats' if one['bits'] == _FLOAT_BITS else str(one['bits'])
        rows.append(_row(_short(one['name']), [
            count(one['weights']), f'{one["zeros"] / one["weights"]:.0%}', count(one['values']),
            asked, number(one['packed_bytes'] / 1e3),
            number(8.0 * one['packed_bytes'] / one['weights'])]))
    return _table(heads, rows)


def _steps(run: CompressionRun) -> str:
    heads = ['step', 'what', 'zero', 'packed (MB)', 'smaller by', 'loss',
             *(f'recall@1, {_role(one)}' for one in run.dense['recalls'])]
    crossed = any(one['on_parents_map_at_1'] is not None for one in run.points[-1]['recalls'])
    heads += [f'on the dense map, {name}' for name in run.sets] if crossed else []
    rows = []
    for point in run.points:
        cells = [point['kind'], f'{sparsity(point):.0%}', number(point['packed_bytes'] / 1e6),
                 f'{smaller_by(run, point):.1f}', number(point['loss']),
                 *(number(one['at_1']) for one in point['recalls'])]
        if crossed:
            cells += [number(one['on_parents_map_at_1']) for one in point['recalls']]
        mark = ' class="best"' if point['step'] == run.chosen else ''
        rows.append(_row('dense' if point['step'] == 0 else str(point['step']), cells, mark))
    return _table(heads, rows)


def _protocol(run: CompressionRun) -> str:
    """Return how each set was judged, and what was timed how."""
    roles = {True: 'validation: steps are chosen by it', False: 'test: nothing is chosen by it'}
    lines = [f'{one["pair"]} ({roles[one["chooses"]]}; {count(one["queries"])} queries with a '
             f'positive): {one["protocol"]}' for one in run.dense['recalls']]
    lines += ['recall@1: the share of the queries that have a positive whose most similar place '
              'is one, by exact search; map and query described by the same network; float '
              'networks in torch in float32, int8 ones by their engine',
              'smaller by: weights.safetensors of the dense network in float32, over the packed '
              'file, which holds the graph and the card as well',
              "time: processor time of one image of the input's size, one thread, all models in "
              'turns, each in a process of its own; median; loaded: the most memory of that '
              'process']
    return ('<ul class="protocol">' + ''.join(f'<li>{escape(line)}</li>' for line in lines)
            + '</ul>')


def _settings(run: CompressionRun) -> str:
    flat: dict[str, Any] = {'folder': str(run.path)}
    for key, value in run.settings.items():
        if key != 'plans':   # the table of layers has them
            flat.update(value if isinstance(value, dict) else {key: value})
    return html.settings_table(flat)


def _role(recalled: Record) -> str:
    return f'{recalled["pair"]} ({"validation" if recalled["chooses"] else "test"})'


def _short(name: str) -> str:
    return name.removeprefix('backbone.')


def _row(head: str, cells: Sequence[str], mark: str = '') -> str:
    first, *others = cells
    return (f'<tr><th scope="row">{escape(head)}</th><td{mark}>{escape(first)}</td>'
            + ''.join(f'<td>{escape(text)}</td>' for text in others) + '</tr>')


def _table(heads: Sequence[str], rows: Sequence[str]) -> str:
    top = ''.join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    return ('<div class="scroll"><table class="compare"><thead><tr>'
            f'{top}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>')
