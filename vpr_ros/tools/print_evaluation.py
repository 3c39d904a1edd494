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
_GROUPS = (
    ('pictures alone', ('recall_at_1', 'recall_at_5', 'recall_at_10', 'recall_at_20',
                        'recall_at_1_of_all', 'retrieval_average_precision',
                        'retrieval_recall_at_100_precision')),
    ('decisions', ('accepted', 'precision', 'wrong_fixes', 'wrong_stretches', 'fixes_off_map',
                   'coverage', 'coverage_at_95_precision', 'coverage_at_99_precision',
                   'decision_average_precision', 'calibration_error', 'reasons')),
    ('errors of poses', ('position_error_m_median', 'position_error_m_p95',
                         'heading_error_deg_median', 'heading_error_deg_p95')),
    ('drive', ('frames', 'frames_with_match', 'frames_without_truth', 'frames_not_decoded',
               'frames_dropped', 'driven_m', 'elapsed_s', 'first_fix_s', 'first_fix_m',
               'wrong_fixes_per_km', 'wrong_fixes_per_h', 'wrong_stretches_per_km')),
    ('latency, ms', ('latency_ms_p50', 'latency_ms_p95', 'decode_ms_p50', 'describe_ms_p50',
                     'search_ms_p50', 'judge_ms_p50')),
    ('memory, MB', ('model_bytes', 'map_bytes', 'process_peak_bytes')),
)
_SILENT_AT_ZERO = {'frames_without_truth', 'frames_not_decoded', 'frames_dropped'}


def print_report(report: Report, console: Console, brief: bool = False) -> None:
    """Print the run in one line, the numbers in groups with what they mean, the protocol.

    With `brief`, the line alone.
    """
    record = asdict(report)
    console.print(f'\n[bold]{headline(record)}[/]', highlight=False, soft_wrap=True)
    if brief:
        return
    console.print(subline(record) + '\n', highlight=False, soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for title, names in _GROUPS:
        table.add_row(f'[bold]{title}[/]')
        for name in names:
            if not (name in _SILENT_AT_ZERO and not record[name]):
                table.add_row('  ' + name, _value(report, name),
                              f'[dim]{Report.meanings()[name]}[/]')
    console.print(table)
    console.print(f'protocol: {report.protocol}\n', style='dim', highlight=False)


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


def _value(report: Report, name: str) -> str:
    value = getattr(report, name)
    if name == 'reasons':
        return ', '.join(f'{reason} {count(frames)}' for reason, frames in value.items())
    if value is None:
        return '-'
    text = f'{value / _MEGABYTE:.1f}' if name.endswith('_bytes') else number(value)
    return ' '.join((text, *_interval(report, name)))


def _interval(report: Report, name: str) -> Iterator[str]:
    """Yield the two ends, where they are known."""
    ends = report.intervals.get(name)
    if ends is not None:
        yield f'({number(ends[0])} to {number(ends[1])})'
