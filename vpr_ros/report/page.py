# SPDX-License-Identifier: Apache-2.0
"""The page of one evaluation: a file that opens anywhere, without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from vpr_ros.core.place_map import PlaceMap
from vpr_ros.errors import MapError, VprError
from vpr_ros.report import html_parts as html
from vpr_ros.report.advice import advise
from vpr_ros.report.evaluation_folder import EvaluationFolder
from vpr_ros.report.incidents import DEFINITION, Incident, incidents, MOST_CARDS
from vpr_ros.report.page_data import page_data
from vpr_ros.report.thumbnails import embed
from vpr_ros.report.verdicts import LOOKS, Verdict
from vpr_ros.report.words import compared, count, headline, number, rough, share, subline

PAGE = 'report.html'
_SCRIPTS = ('common.js', 'panel.js', 'plots.js', 'gallery.js', 'page.js')
_SECTIONS = {'next': 'What to do next', 'trajectory': 'Trajectory', 'time': 'Over time',
             'failures': 'Failures', 'trust': 'Trust', 'similarity': 'Similarity',
             'numbers': 'Numbers', 'settings': 'Settings'}


def write_page(folder: Path, map_path: Path | None = None, name: str = '',
               out: Path | None = None) -> Path:
    """Write the page of an evaluation and return its path; left out: report.html in its folder.

    `name` is what the evaluation is called; left out, as its folder. The pictures of places come
    from the map at `map_path`; left out, from where the evaluation found it, or, when it is gone,
    there are none.
    Raises VprError when the folder is no evaluation or damaged, MapError when the map at
    `map_path` cannot be read or is another one.
    """
    evaluation = EvaluationFolder.read(folder)
    pictures, remarks = _place_pictures(evaluation, map_path)
    text = page_text(evaluation, pictures, remarks, name)
    return write_text(out or folder / PAGE, text)


def write_text(path: Path, text: str) -> Path:
    """Write a page in one step; a process killed on the way leaves the old one."""
    aside = path.with_name(f'.{path.name}.new')
    try:
        aside.write_text(text, encoding='utf-8')
        aside.replace(path)
    except OSError as error:
        raise VprError(f'cannot write {path} ({error.strerror}); choose another place') from error
    return path


def page_text(evaluation: EvaluationFolder, place_pictures: Sequence[bytes],
              remarks: Sequence[str] = (), name: str = '') -> str:
    """Return the page of one evaluation; `place_pictures` hold a JPEG a place, or nothing."""
    name = name or evaluation.name
    found = incidents(evaluation.frames)
    data = page_data(evaluation, found, embed(evaluation, place_pictures, found))
    body = Template(html.asset('evaluation.html')).substitute(
        _texts(evaluation, found, remarks), name=escape(name))
    return html.whole_page(f'{name} – vpr_ros', body, data, _SCRIPTS)


def _texts(evaluation: EvaluationFolder, found: Sequence[Incident], remarks: Sequence[str]
           ) -> dict[str, str]:
    report, settings = evaluation.report, evaluation.settings
    told = [*settings.get('remarks', ()), *report.get('remarks', ()), *remarks]
    more = len(found) - MOST_CARDS
    return {
        'headline': escape(headline(report)),
        'subline': escape(subline(report)),
        'compared': escape(compared(settings)),
        'tiles': _tiles(report),
        'nav': html.navigation(_SECTIONS),
        'advice': html.advice_list(advise(report, settings, evaluation.frames)),
        'remarks': html.remark_list(str(remark) for remark in dict.fromkeys(told)),
        'incident_count': escape(_kinds(found)),
        'danger': escape(DEFINITION),
        'incident_rest': '' if more <= 0 else escape(
            f'{count(more)} more incidents, less dangerous than these, are not shown as cards; '
            'they are counted, drawn above, and can be reached with the keys n and p.'),
        'similarity_note': escape(_similarity_note(evaluation)),
        'protocol': html.protocol_list(str(report.get('protocol', ''))),
        'numbers': html.numbers_table(report),
        'settings': html.settings_table(settings),
        'footer': escape('Colors are those of Okabe and Ito, which the color-blind can tell '
                         'apart; every verdict has a marker of its own besides. Everything on '
                         'this page is in this file: nothing is fetched.'),
    }


def _tiles(report: Mapping[str, Any]) -> str:
    frames, accepted = report.get('frames') or 0, report.get('accepted') or 0
    wrong = report.get('wrong_fixes') or 0
    recall, latency_ms = report.get('recall_at_1'), report.get('latency_ms_p50')
    color = {kind: look.color for kind, look in LOOKS.items()}
    return ''.join((
        html.tile(share(accepted, frames) if accepted else '0 %', 'of frames got a pose',
                  f'{count(accepted)} of {count(frames)}'),
        html.tile(share(accepted - wrong, accepted) if accepted else '–', 'of the poses are right',
                  'within the tolerance', color[Verdict.RIGHT] if accepted and not wrong else ''),
        html.tile(count(wrong), 'wrong poses',
                  'a robot would have believed them' if wrong else 'that a robot would believe',
                  color[Verdict.WRONG] if wrong else ''),
        html.tile(f'{rough(report.get("position_error_m_median"))} m' if accepted else '–',
                  'median error', f'95 % within {rough(report.get("position_error_m_p95"))} m'
                  if accepted else 'no pose was given'),
        html.tile('–' if recall is None else f'{number(100.0 * recall)} %', 'recall@1',
                  'from one picture alone'),
        html.tile(f'{rough(latency_ms)} ms', 'for a frame',
                  f'95 % within {rough(report.get("latency_ms_p95"))} ms'),
    ))


def _kinds(found: Sequence[Incident]) -> str:
    """Return how many incidents of which kind there are."""
    kinds = [(LOOKS[kind].name, sum(one.kind is kind for one in found)) for kind in LOOKS]
    told = ', '.join(f'{count(many)} × {name}' for name, many in kinds if many)
    return f'{count(len(found))} incident{"" if len(found) == 1 else "s"}: {told}' if told else ''


def _similarity_note(evaluation: EvaluationFolder) -> str:
    similarity = evaluation.similarity
    if similarity is None:
        return ''
    frames, places = similarity.shape
    text = ('How similar each frame (down) is to each place of the map (across). Lines '
            'enclose right places; dots are what was found most similar.')
    if (frames, places) != similarity.values.shape:
        text += (f' Thinned from {count(frames)} × {count(places)}: each cell shows the largest '
                 'of its block.')
    return text


def _place_pictures(evaluation: EvaluationFolder, map_path: Path | None
                    ) -> tuple[Sequence[bytes], Sequence[str]]:
    """Return the thumbnails of the map, and why there are none."""
    digest = evaluation.settings.get('map_digest')
    if map_path is not None:
        place_map = PlaceMap.load(map_path)
        if digest and place_map.digest != digest:
            raise MapError(f'{map_path} is not the map that {evaluation.path} was made with; give '
                           'that one, or evaluate again')
        return place_map.thumbnails, ()
    named = evaluation.settings.get('map')
    if not named:
        return (), ()
    try:
        place_map = PlaceMap.load(_nearby(Path(str(named)), evaluation.path))
    except MapError as error:
        return (), (f'There are no pictures of places: {error}',)
    if digest and place_map.digest != digest:
        return (), (f'There are no pictures of places: {named} has been changed since.',)
    return place_map.thumbnails, ()


def _nearby(path: Path, folder: Path) -> Path:
    """Return where a map is: as named, or beside the evaluation."""
    beside = folder.resolve().parent / path.name
    return beside if not path.exists() and beside.exists() else path
