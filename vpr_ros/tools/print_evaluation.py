# SPDX-License-Identifier: Apache-2.0
"""An evaluation on the terminal: one line, the numbers in groups, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vpr_ros.core.run_report import Report
from vpr_ros.report.advice import advise
from vpr_ros.report.evaluation_folder import EvaluationFolder
from vpr_ros.report.words import count, headline, number, subline

PAGE = 'report.html'
_MEGABYTE = 1e6

Row = tuple[str, str, str]   # what, how much, in words


def print_report(report: Report, console: Console, brief: bool = False) -> None:
    """Print the run in one line, the numbers in groups, and the protocol.

    With `brief`, the line alone.
    """
    record = asdict(report)
    console.print(f'\n[bold]{headline(record)} a frame[/]; right is within '
                  f'{report.tolerance_m:g} m and {report.tolerance_deg:g} deg', highlight=False,
                  soft_wrap=True)
    if brief:
        return
    console.print(subline(record) + '\n', highlight=False, soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for title, rows in (('pictures alone', _retrieval), ('decisions', _decisions),
                        ('errors of the poses', _errors), ('drive', _drive),
                        ('latency', _latency), ('memory', _memory)):
        table.add_row(f'[bold]{title}[/]')
        for what, value, words in rows(report):
            table.add_row('  ' + what, value, f'[dim]{words}[/]')
    console.print(table)
    console.print(f'\nprotocol: {report.protocol}\n', style='dim', highlight=False)


def _retrieval(report: Report) -> Iterator[Row]:
    yield 'recall@1', _with_ends(report, 'recall_at_1'), 'the most similar place is right'
    yield ('recall@5, 10, 20', _several(report.recall_at_5, report.recall_at_10,
                                        report.recall_at_20), 'or one of the N most similar is')
    if report.frames_with_match != report.frames:
        yield ('recall@1 of all', number(report.recall_at_1_of_all),
               'the same, frames off the map included')
    yield ('average precision', number(report.retrieval_average_precision),
           'how well similarity tells right from wrong')
    yield ('area under PR curve', number(report.retrieval_auc), 'the same by trapezoids')
    yield ('recall at 100 %', number(report.retrieval_recall_at_100_precision),
           'right ones more similar than any wrong one')


def _decisions(report: Report) -> Iterator[Row]:
    yield 'poses', f'{count(report.accepted)} of {count(report.frames)} frames', ''
    yield 'precision', _with_ends(report, 'precision'), 'of the poses are right'
    yield ('wrong poses', count(report.wrong_fixes),
           f'in {count(report.wrong_stretches)} stretches, {count(report.fixes_off_map)} off the '
           'map')
    yield 'coverage', _with_ends(report, 'coverage'), 'of the frames on the map got a pose'
    yield ('coverage at 95, 99 %', _several(report.coverage_at_95_precision,
                                            report.coverage_at_99_precision),
           'if the threshold had been the best for that precision')
    yield ('calibration error', number(report.calibration_error),
           'between a probability and how often it is right')
    yield ('verdicts', '\n'.join(f'{reason} {count(frames)}'
                                 for reason, frames in report.reasons.items()), '')


def _errors(report: Report) -> Iterator[Row]:
    if not report.accepted:
        yield 'position', '', 'no pose was given'
        return
    yield ('position', f'{_with_ends(report, "position_error_m_median")} m',
           f'median; 95 % within {number(report.position_error_m_p95)} m')
    yield ('heading', f'{number(report.heading_error_deg_median)} deg',
           f'median; 95 % within {number(report.heading_error_deg_p95)} deg')


def _drive(report: Report) -> Iterator[Row]:
    yield 'way', f'{number(report.driven_m)} m', f'in {number(report.elapsed_s)} s'
    if report.first_fix_s is None:
        yield 'first right pose', '', 'never'
    else:
        yield ('first right pose', f'{number(report.first_fix_m)} m',
               f'and {number(report.first_fix_s)} s after the first frame on the map')
    yield ('wrong poses', f'{number(report.wrong_fixes_per_km)} per km',
           f'{number(report.wrong_fixes_per_h)} per hour')
    for name, words in (('without_truth', 'nobody knows where they were taken: not judged'),
                        ('not_decoded', 'images that cannot be read'),
                        ('dropped', 'sent and never judged')):
        if frames := getattr(report, f'frames_{name}'):
            yield name.replace('_', ' '), count(frames), words


def _latency(report: Report) -> Iterator[Row]:
    yield ('a frame', f'{number(report.latency_ms_p50)} ms',
           f'median; 95 % within {number(report.latency_ms_p95)} ms')
    for stop in ('decode', 'describe', 'search', 'judge'):
        if (spent_ms := getattr(report, f'{stop}_ms_p50')) is not None:
            yield f'  {stop}', f'{number(spent_ms)} ms', Report.meanings()[f'{stop}_ms_p50']


def _memory(report: Report) -> Iterator[Row]:
    for name, words in (('model', "the network's files"), ('map', 'as it is searched'),
                        ('process_peak', 'most that this process ever held')):
        if (size := getattr(report, f'{name}_bytes')) is not None:
            yield name.split('_', maxsplit=1)[0], f'{number(size / _MEGABYTE)} MB', words


def _with_ends(report: Report, name: str) -> str:
    """Return a number with both ends of its interval, where they are known."""
    value, ends = number(getattr(report, name)), report.intervals.get(name)
    return value if ends is None else f'{value} ({number(ends[0])} to {number(ends[1])})'


def _several(*values: float | None) -> str:
    return ', '.join(number(value) for value in values)


def print_next(out: Path, console: Console) -> None:
    """Print where everything is, and the most urgent thing to do next."""
    written = EvaluationFolder.read(out)
    page = out / PAGE
    console.print(f'written: {out}' + (f'; open {page}' if page.exists() else ''),
                  highlight=False, soft_wrap=True)
    for advice in advise(written.report, written.settings, written.frames)[:1]:
        # What is said there of the page is here in a file.
        text = advice.text.replace(' below', f' in {PAGE}')
        console.print(f'next: {text}', highlight=False, soft_wrap=True)
        if advice.command:
            console.print(f'  {advice.command}', highlight=False, soft_wrap=True)
