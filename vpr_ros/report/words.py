# SPDX-License-Identifier: Apache-2.0
"""A run in plain words: what came out, and how numbers are said."""

from __future__ import annotations

from collections.abc import Mapping
import math
from pathlib import PurePath
from typing import Any


def share(part: float, whole: float) -> str:
    """Return a share in percent; only a whole is 100 %, and only nothing is 0 %."""
    if not whole:
        return 'none'
    percent = 100.0 * part / whole
    if part != whole:
        percent = min(percent, 99.9)
    if part:
        percent = max(percent, 0.1)
    return f'{percent:.3g} %' if percent < 99.5 or part == whole else f'{percent:.1f} %'


def headline(report: Mapping[str, Any]) -> str:
    """Return the run in one line."""
    frames, accepted = report.get('frames') or 0, report.get('accepted') or 0
    latency_ms = report.get('latency_ms_p50')
    cost = '' if latency_ms is None else f', {rough(latency_ms)} ms'
    if frames == 1 and not accepted:
        return f'The only frame got no pose{cost}'
    if not accepted:
        return f'None of the {count(frames)} frames got a pose{cost}'
    right = accepted - (report.get('wrong_fixes') or 0)
    true = 'all of them right' if right == accepted else f'{share(right, accepted)} of them right'
    error_m = report.get('position_error_m_median')
    error = '' if error_m is None else f', median {rough(error_m)} m'
    return f'{share(accepted, frames)} of frames got a pose, {true}{error}{cost}'


def subline(report: Mapping[str, Any]) -> str:
    """Return what the share of frames with a pose is made of."""
    frames, known = report.get('frames') or 0, report.get('frames_with_match') or 0
    off_map = frames - known
    fixes_off_map = report.get('fixes_off_map') or 0
    answered = (report.get('accepted') or 0) - fixes_off_map
    if not known:
        return f'The map has no place near any of the {count(frames)} frames.'
    lines = [f'The map knows the place of {count(known)} of {count(frames)} frames, and '
             f'{share(answered, known)} of those got a pose.']
    if off_map:
        silent = ('none of them got one' if not fixes_off_map
                  else f'{count(fixes_off_map)} of them got one')
        lines.append(f'{count(off_map)} were taken where the map has no place: {silent}.')
    return ' '.join(lines)


def compared(settings: Mapping[str, Any]) -> str:
    """Return what was compared with what, and by what."""
    asked = settings.get('bags') or settings.get('queries') or settings.get('query') or ()
    names = [asked] if isinstance(asked, str) else list(asked)
    runs = ' + '.join(short(name) for name in names[:3]) or 'a run'
    if len(names) > 3:
        runs += f' + {len(names) - 3} more'
    text = f'{runs} on the map {short(settings["map"])}' if settings.get('map') else runs
    if settings.get('model'):
        text += f', seen by {settings["model"]}'
    if settings.get('engine'):
        text += f' ({str(settings["engine"]).partition(":")[0]})'
    return text


def short(path: object) -> str:
    """Return the last part of a path."""
    return PurePath(str(path)).name or str(path)


def count(value: float) -> str:
    """Return a whole number, thousands apart."""
    return f'{round(value):,}'.replace(',', ' ')


def number(value: object) -> str:
    """Return a number with three digits that count; a dash for none."""
    if value is None:
        return '–'
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, int):
        return count(value)
    if not isinstance(value, float):
        return str(value)
    if not math.isfinite(value):
        return '–'
    if value == 0.0:
        return '0'
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if abs(value) < 1000 else 0
    return f'{value:.{min(digits, 4)}f}'


def rough(value: float | None) -> str:
    """Return a number with two digits that count; a dash for none."""
    if value is None:
        return number(value)
    if not math.isfinite(value) or value == 0.0:
        return number(float(value))
    return f'{value:.{max(0, 1 - math.floor(math.log10(abs(value))))}f}'
