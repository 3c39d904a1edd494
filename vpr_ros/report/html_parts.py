# SPDX-License-Identifier: Apache-2.0
"""Pieces of HTML; every text that comes from outside is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files
from itertools import groupby
import json
from string import Template
from typing import Any

from plotly.offline import get_plotlyjs

import vpr_ros
from vpr_ros.report.advice import Advice
from vpr_ros.report.blob import script_json
from vpr_ros.report.explanations import GROUPS, Meaning, meaning
from vpr_ros.report.words import count, number

_SCALES = {'%': 100.0, 'MB': 1e-6}
_LEVELS = {'danger': 'Important', 'hint': 'Hint', 'good': 'Ready'}


def asset(name: str) -> str:
    """Return a file of the folder assets."""
    return files('vpr_ros.report').joinpath('assets', name).read_text(encoding='utf-8')


def whole_page(title: str, body: str, data: Mapping[str, Any], scripts: Sequence[str]) -> str:
    """Return a page that needs nothing but itself; `body` is HTML, `scripts` names of assets.

    Only scripts with the page's nonce run (Content-Security-Policy), and nothing may be fetched.
    """
    blob = script_json(data)
    return Template(asset('page.html')).substitute(
        title=escape(title), style=asset('style.css'), body=body, data=blob,
        nonce=sha256(blob.encode()).hexdigest()[:32], version=escape(vpr_ros.__version__),
        plotly=get_plotlyjs(), script='\n'.join(asset(name) for name in scripts))


def navigation(sections: Mapping[str, str]) -> str:
    """Return links to the sections of a page, by their ids."""
    return '<ul>' + ''.join(f'<li><a href="#{key}">{escape(text)}</a></li>'
                            for key, text in sections.items()) + '</ul>'


def tile(value: str, name: str, note: str, color: str = '') -> str:
    """Return one number in large."""
    style = f' style="--mark:{color}"' if color else ''
    return (f'<div class="tile"{style}><b>{escape(value)}</b><span>{escape(name)}</span>'
            f'<small>{escape(note)}</small></div>')


def advice_list(advice: Iterable[Advice]) -> str:
    """Return what to do next."""
    return '<ul class="advice">' + ''.join(
        f'<li class="{one.level}"><em>{_LEVELS[one.level]}</em>{escape(one.text)}'
        + (f'<pre>{escape(one.command)}</pre>' if one.command else '') + '</li>'
        for one in advice) + '</ul>'


def remark_list(remarks: Iterable[str]) -> str:
    """Return what a person should know of a run."""
    return ''.join(f'<p class="remark">{escape(remark)}</p>' for remark in remarks)


def numbers_table(report: Mapping[str, Any]) -> str:
    """Return every number of a report beside what it means."""
    intervals = report.get('intervals') or {}
    rows = sorted(((meaning(key), key, value) for key, value in scalars(report).items()),
                  key=lambda row: GROUPS.index(row[0].group))
    parts = []
    for group, members in groupby(rows, key=lambda row: row[0].group):
        parts.append(f'<tr class="group"><th colspan="3">{escape(group)}</th></tr>')
        parts += [f'<tr id="number-{escape(key)}"><th scope="row" title="{escape(key)}">'
                  f'{escape(what.label)}</th><td class="value">{value_html(value, what)}'
                  f'{interval_html(intervals.get(key), what)}</td>'
                  f'<td class="why">{escape(what.text)}</td></tr>'
                  for what, key, value in members]
    return _scrolling('numbers', ''.join(parts))


def protocol_list(protocol: str) -> str:
    """Return how a report was counted, a line a clause; nothing where that is not said."""
    clauses = ''.join(f'<li>{escape(clause)}</li>' for clause in protocol.split('; ') if clause)
    return (f'<details class="protocol"><summary>Protocol: how all this was counted</summary>'
            f'<ul>{clauses}</ul></details>') if clauses else ''


def scalars(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain numbers of a report, those in a group by `group_name`."""
    flat: dict[str, Any] = {}
    for key, value in report.items():
        if key in ('protocol', 'intervals', 'remarks'):
            continue
        if isinstance(value, dict):
            flat.update({f'{key}_{inner}': one for inner, one in value.items()
                         if not isinstance(one, (dict, list))})
        elif not isinstance(value, list):
            flat[key] = value
    return flat


def value_html(value: Any, what: Meaning, with_unit: bool = True) -> str:
    """Return a number in its unit, which is said unless it stands elsewhere."""
    if value is not None and what.unit in _SCALES:
        value = float(value) * _SCALES[what.unit]
    text = escape(count(value) if isinstance(value, int) and not isinstance(value, bool)
                  else number(value))
    is_said = value is not None and what.unit and with_unit
    return f'{text} <small>{escape(what.unit)}</small>' if is_said else text


def interval_html(interval: Any, what: Meaning) -> str:
    """Return the confidence interval of a number in small; nothing where there is none."""
    if not isinstance(interval, (list, tuple)) or len(interval) != 2 or None in interval:
        return ''
    scale = _SCALES.get(what.unit, 1.0)
    low, high = (number(float(end) * scale) for end in interval)
    return f' <small>[{low}, {high}]</small>'


def settings_table(settings: Mapping[str, Any]) -> str:
    """Return what a run was made with."""
    rows = ''.join(f'<tr><th scope="row">{escape(str(key))}</th><td>'
                   f'{escape(value if isinstance(value, str) else json.dumps(value))}</td></tr>'
                   for key, value in settings.items())
    return _scrolling('settings', rows)


def _scrolling(name: str, rows: str) -> str:
    return f'<div class="scroll"><table class="{name}"><tbody>{rows}</tbody></table></div>'
