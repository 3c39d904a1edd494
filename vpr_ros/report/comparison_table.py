# SPDX-License-Identifier: Apache-2.0
"""The numbers of several runs side by side, the best of each row marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

from vpr_ros.report.explanations import GROUPS, Meaning, meaning
from vpr_ros.report.html_parts import interval_html, scalars, value_html

NOTE = ('★ is the best of a row. ≈ is not the best, but its 95 % interval reaches that of the '
        'best, so another run could well turn them around.')


_MAIN = ('precision', 'coverage', 'wrong_fixes', 'wrong_stretches', 'fixes_off_map', 'first_fix_s',
         'position_error_m_median', 'position_error_m_p95', 'heading_error_deg_median',
         'calibration_error', 'coverage_at_99_precision', 'recall_at_1',
         'retrieval_average_precision', 'latency_ms_p50', 'latency_ms_p95', 'model_bytes',
         'map_bytes')


def comparison_table(reports: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """Return the main numbers, and all others folded away; what no run has is left out."""
    numbers = [scalars(report) for report in reports]
    keys = [key for key in dict.fromkeys(key for one in numbers for key in one)
            if any(one.get(key) is not None for one in numbers)
            and not key.startswith('reasons_')]
    rest = [key for key in keys if key not in _MAIN]
    return (f'<p class="note">{escape(NOTE)}</p>'
            + _table([key for key in keys if key in _MAIN], numbers, reports, names)
            + f'<details><summary>{len(rest)} more numbers</summary>'
            + _table(rest, numbers, reports, names) + '</details>')


def _table(keys: Sequence[str], numbers: Sequence[Mapping[str, Any]],
           reports: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    rows = sorted(((meaning(key), key) for key in keys),
                  key=lambda row: GROUPS.index(row[0].group))
    parts = []
    for group, members in groupby(rows, key=lambda row: row[0].group):
        parts.append(f'<tr class="group"><th colspan="{len(names) + 1}">{escape(group)}</th></tr>')
        parts += [_row(what, key, numbers, reports) for what, key in members]
    heads = ''.join(f'<th scope="col">{escape(name)}</th>' for name in names)
    return ('<div class="scroll"><table class="compare"><thead><tr><th></th>'
            f'{heads}</tr></thead><tbody>{"".join(parts)}</tbody></table></div>')


def _row(what: Meaning, key: str, numbers: Sequence[Mapping[str, Any]],
         reports: Sequence[Mapping[str, Any]]) -> str:
    values = [one.get(key) for one in numbers]
    intervals = [(report.get('intervals') or {}).get(key) for report in reports]
    marks = marks_of(values, intervals, what.better)
    cells = ''.join(f'<td class="{mark}">{value_html(value, what, False)}'
                    f'{interval_html(interval, what)}</td>'
                    for value, interval, mark in zip(values, intervals, marks, strict=True))
    unit = f' <small>({escape(what.unit)})</small>' if what.unit else ''
    return (f'<tr><th scope="row" title="{escape(what.text)}">{escape(what.label)}{unit}</th>'
            f'{cells}</tr>')


def marks_of(values: Sequence[Any], intervals: Sequence[Any], better: int) -> list[str]:
    """Return `best`, `near` or nothing for each value; nothing at all where all are alike."""
    known = [float(value) for value in values if isinstance(value, (int, float))]
    if not better or len(set(known)) < 2:
        return [''] * len(values)
    best = max(known) if better > 0 else min(known)
    at = next(interval for value, interval in zip(values, intervals, strict=True) if value == best)
    return ['best' if value == best else 'near' if _overlap(at, interval) else ''
            for value, interval in zip(values, intervals, strict=True)]


def _overlap(a: Any, b: Any) -> bool:
    return bool(a and b and a[0] <= b[1] and b[0] <= a[1])
