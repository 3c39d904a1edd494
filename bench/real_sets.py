# SPDX-License-Identifier: Apache-2.0
"""Real image sequences through the whole way: images -> bags -> map -> evaluation.

`python bench/real_sets.py --shared ../shared [--model DIR ...] [--out DIR]`

Each set becomes two bags (never committed), `vpr map build` maps the one with every frame a place,
`vpr evaluate` asks it for the other. Printed: recall of the single picture, and what the localizer
made of the sequence with no odometry at all.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from vpr_ros.bags.recording import Recording
from vpr_ros.core.localizer import LocalizerConfig
from vpr_ros.core.scoring import Report, Tolerance
from vpr_ros.core.types import Describer
from vpr_ros.datasets import sequences
from vpr_ros.datasets.run import RunPair
from vpr_ros.nets.model_folder import load_describer
from vpr_ros.tools.build_map import build_map, MapSource
from vpr_ros.tools.evaluate_bags import evaluate
from vpr_ros.tools.query_run import QuerySource
from vpr_ros.tools.run_bag import IMAGE, POSE, write_run

SETS: tuple[Callable[[Path], RunPair], ...] = (
    sequences.stromovka_summer_winter, sequences.corridor, sequences.indoor_two_laps,
    sequences.campus_loop, sequences.webcam_seasons)


def bags_of(pair: RunPair, folder: Path) -> tuple[Path, Path]:
    """Return the bags of a pair, written where they are not there yet."""
    bags = []
    for role, run in (('map', pair.mapping), ('query', pair.query)):
        path = folder / f'{pair.name}_{role}'
        bags.append(path if path.exists() else write_run(run, path, compressed=False))
    return bags[0], bags[1]


def measure(pair: RunPair, describer: Describer, folder: Path) -> Report:
    """Return the report on one pair, by the bags."""
    mapping, query = bags_of(pair, folder)
    every_frame = MapSource(IMAGE, POSE, spacing_m=0.0, max_gap_s=1e6)
    with Recording([mapping]) as recording:
        place_map, _ = build_map(recording, every_frame, describer)
    with Recording([query]) as recording:
        return evaluate(recording, place_map, describer, LocalizerConfig(),
                        QuerySource(max_gap_s=1e6),
                        Tolerance(pair.tolerance_m, pair.tolerance_deg)).report


def main() -> None:
    """Print one table for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--shared', type=Path, default=Path('../shared'))
    parser.add_argument('--model', type=Path, action='append', help='left out: the default model')
    parser.add_argument('--out', type=Path, help='keep the bags here')
    flags = parser.parse_args()
    console = Console(width=130)
    with TemporaryDirectory() as scratch:
        folder = flags.out or Path(scratch)
        for model in flags.model or [None]:
            describer = load_describer(model)
            table = Table(title=f'{describer.card.name}, {describer.card.dim}-d')
            for column in ('set', 'queries', 'with match', 'recall@1', '@5', '@10', 'accepted',
                           'wrong', 'coverage', 'ms p50'):
                table.add_column(column, justify='left' if column == 'set' else 'right')
            protocols = []
            for read in SETS:
                pair = read(flags.shared / 'data')
                report = measure(pair, describer, folder)
                protocols.append(f'{pair.name}: {pair.protocol}')
                table.add_row(pair.name, str(report.frames), str(report.frames_with_match),
                              _share(report.recall_at_1), _share(report.recall_at_5),
                              _share(report.recall_at_10), str(report.accepted),
                              str(report.wrong_fixes), _share(report.coverage),
                              f'{report.latency_ms_p50:.1f}')
            console.print(table)
        for protocol in protocols:
            console.print(protocol, style='dim')
        console.print('recall over the queries that have a positive; accepted, wrong and coverage '
                      'of the localizer at its defaults, without odometry', style='dim')


def _share(value: float | None) -> str:
    return '-' if value is None else f'{value:.3f}'


if __name__ == '__main__':
    main()
