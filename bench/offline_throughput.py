# SPDX-License-Identifier: Apache-2.0
"""Map building and evaluation against the describer alone: decoding should overlap inference.

`python bench/offline_throughput.py [--model DIR] [--frames N] [--threads N] [--rounds N]`

Frames of 640x480 as JPEG at 10 Hz and 1 m/s, every one a place; one describer for all. Rounds are
interleaved, the median of each is taken. The target: at least 0.8 of the describer's own rate.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from rich.console import Console
from rich.table import Table

from vpr_ros.bags.recording import Recording
from vpr_ros.bags.writer import BagWriter
from vpr_ros.core import pose as se3
from vpr_ros.core.localizer import LocalizerConfig
from vpr_ros.core.scoring import Tolerance
from vpr_ros.core.types import Image
from vpr_ros.datasets.world import building_pair, View
from vpr_ros.nets.model_folder import load_describer
from vpr_ros.tools.build_map import build_map, MapSource
from vpr_ros.tools.description_cache import DescriptionCache
from vpr_ros.tools.evaluate_bags import evaluate, Looking
from vpr_ros.tools.query_run import QuerySource

_DISTINCT = 40


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', type=Path)
    parser.add_argument('--frames', type=int, default=400)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=5)
    flags = parser.parse_args()
    describer = load_describer(flags.model, flags.threads)
    images = building_pair(0, View(640, 480)).mapping.images
    distinct = [images[row] for row in range(_DISTINCT)]
    with TemporaryDirectory() as scratch:
        bag = _bag(Path(scratch) / 'run', distinct, flags.frames)
        source = MapSource('/image', '/pose', spacing_m=0.0)
        with Recording([bag]) as recording:
            place_map, _ = build_map(recording, source, describer)

        def describe_one_by_one() -> None:
            for row in range(flags.frames):
                describer.describe([distinct[row % _DISTINCT]])

        def describe_in_batches() -> None:
            for row in range(0, flags.frames, 8):
                describer.describe([distinct[k % _DISTINCT]
                                    for k in range(row, min(row + 8, flags.frames))])

        def build() -> None:
            with Recording([bag]) as recording:
                build_map(recording, source, describer)

        def ask(looking: Looking = Looking()) -> None:  # noqa: B008
            with Recording([bag]) as recording:
                evaluate(recording, place_map, describer, LocalizerConfig(),
                         QuerySource(odom='/odom'), Tolerance(), looking)

        cache = Looking(DescriptionCache(Path(scratch) / 'cache'), thumbnails=True)

        def ask_anew() -> None:
            rmtree(Path(scratch) / 'cache', ignore_errors=True)
            ask(cache)

        def ask_again() -> None:
            ask(cache)

        jobs: dict[str, Callable[[], None]] = {
            'describe, in batches of 8': describe_in_batches, 'vpr map build': build,
            'describe, one by one': describe_one_by_one, 'vpr evaluate --no-cache': ask,
            'vpr evaluate': ask_anew, 'vpr evaluate again': ask_again}
        spent_s: dict[str, list[float]] = {name: [] for name in jobs}
        for _ in range(flags.rounds):
            for name, job in jobs.items():
                started = perf_counter()
                job()
                spent_s[name].append(perf_counter() - started)
    rate_hz = {name: flags.frames / float(np.median(spent)) for name, spent in spent_s.items()}
    table = Table(title=f'{describer.card.name}, {flags.threads} thread(s), {flags.frames} JPEG '
                  'frames of 640x480')
    for column in ('', 'frames/s', 'of the describer'):
        table.add_column(column, justify='right' if column else 'left')
    names = list(jobs)
    for name, alone in zip(names, (names[0],) * 2 + (names[2],) * 4, strict=True):
        table.add_row(name, f'{rate_hz[name]:.1f}', f'{rate_hz[name] / rate_hz[alone]:.2f}')
    Console().print(table)


def _bag(path: Path, distinct: list[Image], frames: int) -> Path:
    with BagWriter(path) as bag:
        for row in range(frames):
            stamp_ns = row * 100_000_000
            pose = se3.from_xy_yaw(0.1 * row, 0.0, 0.0)
            bag.pose_stamped('/pose', stamp_ns, pose)
            bag.odometry('/odom', stamp_ns, pose)
            bag.compressed_image('/image', stamp_ns, distinct[row % _DISTINCT])
    return path


if __name__ == '__main__':
    main()
