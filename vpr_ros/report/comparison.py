# SPDX-License-Identifier: Apache-2.0
"""The page that lays several evaluations side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import combinations
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpr_ros.errors import VprError
from vpr_ros.report import html_parts as html
from vpr_ros.report.blob import packed
from vpr_ros.report.comparison_table import comparison_table
from vpr_ros.report.curves import curve_data
from vpr_ros.report.evaluation_folder import EvaluationFolder
from vpr_ros.report.page import write_text
from vpr_ros.report.verdicts import LOOKS, Verdict, verdicts
from vpr_ros.report.words import compared, count, headline, share

_SCRIPTS = ('common.js', 'compare.js')
_SECTIONS = {'numbers': 'Numbers', 'curves': 'Curves', 'time': 'Over time',
             'agreement': 'Agreement'}
# Okabe and Ito's, and two more; a run has a dash besides, and no two runs have both alike.
_COLORS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#8d99a3', '#9a6324')
_DASHES = ('solid', 'dash', 'dot', 'dashdot', 'longdash', 'longdashdot')
LINES = tuple((_COLORS[run % len(_COLORS)],
                _DASHES[(run % len(_COLORS) + run // len(_COLORS)) % len(_DASHES)])
               for run in range(24))
_CSS_DASH = {'solid': 'solid', 'dash': 'dashed', 'dot': 'dotted'}
_SLICES = 400
# Of a slice of time the gravest verdict is shown, least first.
_GRAVITY = (Verdict.SILENT, Verdict.RIGHT, Verdict.MISSED, Verdict.OFF_MAP_FIX, Verdict.WRONG)
_STAGES = ('decode', 'describe', 'search', 'judge')


def write_comparison(folders: Sequence[Path], out: Path) -> Path:
    """Write the page that compares evaluations, and return its path.

    Raises VprError when a folder is no evaluation or damaged, or there are none or too many.
    """
    if not 1 <= len(folders) <= len(LINES):
        raise VprError(f'{len(folders)} evaluations cannot be compared on one page; give up to '
                       f'{len(LINES)}')
    return write_text(out, comparison_text([EvaluationFolder.read(path) for path in folders]))


def comparison_text(runs: Sequence[EvaluationFolder]) -> str:
    """Return the page that compares evaluations."""
    names = _names(runs)
    body = Template(html.asset('comparison.html')).substitute(
        count=str(len(runs)),
        headline=escape(_headline(runs, names)),
        legend=_legend(runs, names),
        remarks=html.remark_list(_differences(runs)),
        nav=html.navigation(_SECTIONS),
        table=comparison_table([run.report for run in runs], names),
        agreement=_agreement(runs, names))
    data = {'runs': [_run(run, name, line) for run, name, line
                     in zip(runs, names, LINES, strict=False)],
            'verdicts': [{'name': LOOKS[kind].name, 'color': LOOKS[kind].color}
                         for kind in _GRAVITY],
            'tolerance_m': runs[0].tolerance[0]}
    return html.whole_page('vpr_ros: ' + ', '.join(names), body, data, _SCRIPTS)


def _names(runs: Sequence[EvaluationFolder]) -> list[str]:
    """Return a name for each run, no two alike."""
    names = [run.name.removesuffix('.eval') for run in runs]
    return [name if names.count(name) == 1 else f'{name} ({row + 1})'
            for row, name in enumerate(names)]


def _headline(runs: Sequence[EvaluationFolder], names: Sequence[str]) -> str:
    """Return which run gives the most poses, and which the fewest wrong ones."""
    coverage = [float(run.report.get('coverage') or 0.0) for run in runs]
    wrong = [int(run.report.get('wrong_fixes') or 0) for run in runs]
    most, fewest = int(np.argmax(coverage)), int(np.argmin(wrong))
    known = f'{share(coverage[most], 1.0)} of what the map knows'
    if len(runs) > 1 and min(coverage) == max(coverage) and min(wrong) == max(wrong):
        return (f'all give as many poses ({known}) and as many wrong ones '
                f'({count(wrong[most])})')
    if wrong[most] == wrong[fewest]:
        return (f'{names[most]} gives most poses ({known}), and none makes fewer wrong ones '
                f'({count(wrong[most])})')
    return (f'{names[most]} gives most poses ({known}), {count(wrong[most])} of them wrong; '
            f'{names[fewest]} makes the fewest wrong ones ({count(wrong[fewest])})')


def _legend(runs: Sequence[EvaluationFolder], names: Sequence[str]) -> str:
    rows = ''.join(
        f'<li><span class="swatch" style="--mark:{color};--dash:{_CSS_DASH.get(dash, "double")}">'
        f'</span><b>{escape(name)}</b> {escape(headline(run.report))}'
        f'<br><small>{escape(compared(run.settings))}</small></li>'
        for run, name, (color, dash) in zip(runs, names, LINES, strict=False))
    return f'<ul class="runs">{rows}</ul>'


def _differences(runs: Sequence[EvaluationFolder]) -> Iterator[str]:
    """Yield what makes the runs hard to compare."""
    if len({run.tolerance for run in runs}) > 1:
        yield ('They were judged by different tolerances, so their shares of right poses cannot '
               'be compared.')
    if len({repr(run.settings.get('bags')) for run in runs}) > 1:
        yield 'They are of different recordings: differences may be those of the recordings.'
    if len({len(run.frames) for run in runs}) > 1:
        yield ('Not all have judged as many frames: '
               + ', '.join(count(len(run.frames)) for run in runs) + '.')


def _run(run: EvaluationFolder, name: str, line: tuple[str, str]) -> dict[str, Any]:
    times, gravest = _slices(run)
    return {'name': name, 'color': line[0], 'dash': line[1], 'curves': curve_data(run),
            'latency': _latency(run.report), 'times': packed(times, 'f4'),
            'gravest': packed(gravest, 'u1')}


def _latency(report: Mapping[str, Any]) -> dict[str, Any]:
    return {'p50': report.get('latency_ms_p50'), 'p95': report.get('latency_ms_p95'),
            'stages': {stage: report.get(f'{stage}_ms_p50') for stage in _STAGES}}


def _slices(run: EvaluationFolder) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return seconds and the gravest verdict, as its row in _GRAVITY, of slices of time."""
    gravity = np.argsort(np.array(_GRAVITY))[verdicts(run.frames)]
    starts = np.unique(np.linspace(0, len(run.frames), min(len(run.frames), _SLICES),
                                   endpoint=False).astype(np.int64))
    return run.frames.seconds[starts], np.maximum.reduceat(gravity, starts).astype(np.uint8)


def _agreement(runs: Sequence[EvaluationFolder], names: Sequence[str]) -> str:
    """Return, for each pair of runs, on how many common frames which of them were right."""
    keys = [{(int(stamp), run.frames.cameras[camera]): row for row, (stamp, camera)
             in enumerate(zip(run.frames.stamps_ns, run.frames.camera, strict=True))}
            for run in runs]
    rows: list[tuple[str, str, list[int] | None]] = []
    for a, b in combinations(range(len(runs)), 2):
        common = [(keys[a][key], keys[b][key]) for key in keys[a].keys() & keys[b].keys()]
        if not common:
            rows.append((names[a], names[b], None))
            continue
        in_a, in_b = np.array(common).T
        right_a, right_b = (verdicts(run.frames)[row] == Verdict.RIGHT for run, row
                            in ((runs[a], in_a), (runs[b], in_b)))
        rows.append((names[a], names[b], [len(common), *(int(part.sum()) for part in (
            right_a & right_b, right_a & ~right_b, ~right_a & right_b, ~right_a & ~right_b))]))
    heads = ('', 'common frames', 'both right', 'only the first', 'only the second', 'neither')
    body = ''.join(f'<tr><th scope="row">{escape(a)} and {escape(b)}</th>{_cells(cells)}</tr>'
                   for a, b, cells in rows)
    return ('<div class="scroll"><table class="compare"><thead><tr>'
            + ''.join(f'<th scope="col">{head}</th>' for head in heads)
            + f'</tr></thead><tbody>{body}</tbody></table></div>')


def _cells(cells: Sequence[int] | None) -> str:
    if cells is None:
        return '<td colspan="5">no frame is in both</td>'
    total, *parts = cells
    return f'<td>{count(total)}</td>' + ''.join(
        f'<td>{share(part, total) if part else "0 %"}<small>{count(part)}</small></td>'
        for part in parts)
