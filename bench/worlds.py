# SPDX-License-Identifier: Apache-2.0
"""How often is a pose wrong? Several procedural buildings, with odometry and without.

`python bench/worlds.py [--model DIR] [--first 9] [--worlds 4] [--precision 0.95] [--fit]`

Each world is the demo's under another seed: a mapping run, and a query run on another kind of day
that drives, for a fifth of its way, through a wing the map never saw. In process, by bags. The
map is asked as it was built, and once more after `vpr calibrate` on a third run, of a third kind
of day. `--fit` prints the confidence model that fits all query runs, for a map without one: the
default was fitted so on worlds 0 to 7, so other worlds are to be judged by.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.table import Table

from vpr_ros.bags.recording import Recording
from vpr_ros.core.confidence import fit, Signs
from vpr_ros.core.localizer import LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.scoring import Report, Tolerance
from vpr_ros.core.types import Describer
from vpr_ros.datasets.world import building_pair
from vpr_ros.datasets.world_conditions import Conditions
from vpr_ros.datasets.world_motion import Driving
from vpr_ros.errors import VprError
from vpr_ros.nets.model_folder import load_describer
from vpr_ros.tools.build_map import build_map, MapSource
from vpr_ros.tools.calibrate import calibrate_by_run, Target
from vpr_ros.tools.evaluate_bags import evaluate
from vpr_ros.tools.query_run import QuerySource
from vpr_ros.tools.run_bag import COMPRESSED, ODOM, POSE, write_run

THIRD_DAY = Conditions(seed=2, lamp_gain=1.15, day_gain=1.1, sun=0.9, sun_azimuth_rad=2.4,
                       posters_changed=0.2, people=0.6, noise=3.0, shutter_s=0.012)
THIRD_DRIVING = Driving(speed_mps=1.2, start_ns=1_701_000_000_000_000_000, lateral_m=0.4,
                        heading_deg=5.0, scale_error=0.018)
_ANYTHING = LocalizerConfig(accept_probability=1e-9)
_COLUMNS = ('world', 'odometry', 'frames', 'with match', 'recall@1', 'accepted', 'wrong',
            'of these off the map', 'precision', 'coverage', 'calibration error', 'median m',
            'first fix s')


@dataclass(frozen=True)
class Asked:
    """One world's reports by odometry, as built and calibrated; signs and truth of its frames."""

    built: dict[str, Report]
    calibrated: dict[str, Report | str]
    signs: list[Signs]
    right: list[bool]


def measure(seed: int, describer: Describer, precision: float) -> Asked:
    """Ask one world."""
    pair = building_pair(seed)
    third = building_pair(seed, query_day=THIRD_DAY, query_driving=THIRD_DRIVING).query
    tolerance = Tolerance(pair.tolerance_m, pair.tolerance_deg)
    built: dict[str, Report] = {}
    calibrated: dict[str, Report | str] = {}
    signs: list[Signs] = []
    right: list[bool] = []
    with TemporaryDirectory() as scratch:
        bags = {name: write_run(run, Path(scratch) / name) for name, run in
                (('map', pair.mapping), ('query', pair.query), ('third', third))}
        with Recording([bags['map']]) as recording:
            place_map, _ = build_map(recording, MapSource(COMPRESSED, POSE), describer)

        def ask(place_map: PlaceMap, source: QuerySource, config: LocalizerConfig) -> Report:
            with Recording([bags['query']]) as recording:
                found = evaluate(recording, place_map, describer, config, source, tolerance)
            if config is _ANYTHING:
                for frame in found.frames:
                    if frame.outcome.signs is not None:
                        signs.append(frame.outcome.signs)
                        right.append(bool(tolerance.holds(frame.outcome.hypotheses[0].pose,
                                                          frame.truth)))
            return found.report

        for name, odom in (('yes', ODOM), ('no', '')):
            source = QuerySource(odom=odom)
            built[name] = ask(place_map, source, LocalizerConfig())
            ask(place_map, source, _ANYTHING)
            try:
                with Recording([bags['third']]) as recording:
                    found = calibrate_by_run(recording, place_map, describer, source,
                                             Target(precision, tolerance))
            except VprError as error:
                calibrated[name] = str(error)
                continue
            calibrated[name] = ask(replace(place_map, calibration=found.calibration), source,
                                   LocalizerConfig())
    return Asked(built, calibrated, signs, right)


def main() -> None:
    """Print a row for each world, and their sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', type=Path)
    parser.add_argument('--first', type=int, default=9)
    parser.add_argument('--worlds', type=int, default=4)
    parser.add_argument('--precision', type=float, default=0.95)
    parser.add_argument('--fit', action='store_true')
    flags = parser.parse_args()
    describer = load_describer(flags.model)
    console = Console(width=160)
    worlds = range(flags.first, flags.first + flags.worlds)
    asked = {seed: measure(seed, describer, flags.precision) for seed in worlds}
    for title, which in (('as built', 'built'),
                         (f'calibrated for {flags.precision:g} on a third run', 'calibrated')):
        table = Table(title=f'{describer.card.name}, {title}')
        for column in _COLUMNS:
            table.add_column(column, justify='right')
        for odometry in ('yes', 'no'):
            reports = {seed: getattr(one, which)[odometry] for seed, one in asked.items()}
            for seed, report in reports.items():
                if isinstance(report, Report):
                    table.add_row(*_row(str(seed), odometry, report))
                else:
                    console.print(f'world {seed}, odometry {odometry}: refused: {report}')
            table.add_section()
            table.add_row(*_sum(odometry, [r for r in reports.values() if isinstance(r, Report)]))
            table.add_section()
        console.print(table)
    console.print(asked[flags.first].built['yes'].protocol, style='dim')
    if flags.fit:
        console.print(fit([sign for one in asked.values() for sign in one.signs],
                          np.array([right for one in asked.values() for right in one.right])))


def _row(world: str, odometry: str, report: Report) -> list[str]:
    return [world, odometry, str(report.frames), str(report.frames_with_match),
            _text(report.recall_at_1), str(report.accepted), str(report.wrong_fixes),
            str(report.fixes_off_map), _text(report.precision), _text(report.coverage),
            _text(report.calibration_error), _text(report.position_error_m_median),
            _text(report.first_fix_s, 1)]


def _sum(odometry: str, reports: list[Report]) -> list[str]:
    frames, with_match, accepted, wrong, off_map = (
        sum(getattr(report, name) for report in reports) for name in
        ('frames', 'frames_with_match', 'accepted', 'wrong_fixes', 'fixes_off_map'))
    covered = accepted - off_map
    return ['all', odometry, str(frames), str(with_match), '', str(accepted), str(wrong),
            str(off_map), _text(1.0 - wrong / accepted if accepted else None),
            _text(covered / max(with_match, 1)), '', '', '']


def _text(value: float | None, digits: int = 3) -> str:
    return '-' if value is None else f'{value:.{digits}f}'


if __name__ == '__main__':
    main()
