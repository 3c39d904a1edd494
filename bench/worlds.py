# SPDX-License-Identifier: Apache-2.0
"""How often is a pose wrong? Several procedural buildings, with odometry and without.

`python bench/worlds.py [--model DIR] [--worlds N]`

Each world is the demo's under another seed: a mapping run, and a query run on another kind of day
that drives, for a fifth of its way, through a wing the map never saw. In process, by bags.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from vpr_ros.bags.recording import Recording
from vpr_ros.core.localizer import LocalizerConfig
from vpr_ros.core.scoring import Report, Tolerance
from vpr_ros.core.types import Describer
from vpr_ros.datasets.world import building_pair
from vpr_ros.nets.model_folder import load_describer
from vpr_ros.tools.build_map import build_map, MapSource
from vpr_ros.tools.evaluate_bags import evaluate, QuerySource
from vpr_ros.tools.run_bag import COMPRESSED, ODOM, POSE, write_run

_COLUMNS = ('world', 'odometry', 'frames', 'with match', 'recall@1', 'accepted', 'wrong',
            'of these off the map', 'precision', 'coverage', 'median m', 'first fix s')


def measure(seed: int, describer: Describer) -> dict[str, Report]:
    """Return the report on one world, with odometry and without."""
    pair = building_pair(seed)
    with TemporaryDirectory() as scratch:
        mapping = write_run(pair.mapping, Path(scratch) / 'map')
        query = write_run(pair.query, Path(scratch) / 'query')
        with Recording([mapping]) as recording:
            place_map, _ = build_map(recording, MapSource(COMPRESSED, POSE), describer)
        reports = {}
        for name, odom in (('yes', ODOM), ('no', '')):
            with Recording([query]) as recording:
                reports[name] = evaluate(
                    recording, place_map, describer, LocalizerConfig(), QuerySource(odom=odom),
                    Tolerance(pair.tolerance_m, pair.tolerance_deg)).report
    return reports


def main() -> None:
    """Print a row for each world, and their sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', type=Path)
    parser.add_argument('--worlds', type=int, default=8)
    flags = parser.parse_args()
    describer = load_describer(flags.model)
    table = Table(title=describer.card.name)
    for column in _COLUMNS:
        table.add_column(column, justify='right')
    reports = [measure(seed, describer) for seed in range(flags.worlds)]
    for odometry in ('yes', 'no'):
        for seed, report in enumerate(reports):
            table.add_row(*_row(str(seed), odometry, report[odometry]))
        table.add_section()
        table.add_row(*_sum(odometry, [report[odometry] for report in reports]))
        table.add_section()
    console = Console(width=140)
    console.print(table)
    console.print(reports[0]['yes'].protocol, style='dim')


def _row(world: str, odometry: str, report: Report) -> list[str]:
    return [world, odometry, str(report.frames), str(report.frames_with_match),
            _text(report.recall_at_1), str(report.accepted), str(report.wrong_fixes),
            str(report.fixes_off_map), _text(report.precision), _text(report.coverage),
            _text(report.position_error_m_median), _text(report.first_fix_s, 1)]


def _sum(odometry: str, reports: list[Report]) -> list[str]:
    frames, with_match, accepted, wrong, off_map = (
        sum(getattr(report, name) for report in reports) for name in
        ('frames', 'frames_with_match', 'accepted', 'wrong_fixes', 'fixes_off_map'))
    covered = accepted - off_map
    return ['all', odometry, str(frames), str(with_match), '', str(accepted), str(wrong),
            str(off_map), _text(1.0 - wrong / accepted if accepted else None),
            _text(covered / with_match), '', '']


def _text(value: float | None, digits: int = 3) -> str:
    return '-' if value is None else f'{value:.{digits}f}'


if __name__ == '__main__':
    main()
