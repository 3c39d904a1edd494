# SPDX-License-Identifier: Apache-2.0
"""What maps cost in each precision, and what they lose: `python bench/map_memory.py`.

`[--shared ../shared] [--model DIR ...] [--places 10000 100000] [--dims 512 1024] [--no-sets]`

First maps of random descriptors and thumbnails of 3 kB, along the road of belief_speed.py. Each
is loaded by a process of its own: what that holds more of memory than before (pages of the map's
files that it has touched included), and how long a frame takes besides the network, the search
and then all that follows. Then the real sets: recall@1 of the single picture in each precision,
how many verdicts of the localizer (no odometry) are for another reason than with a map in float32,
and how far apart the poses are that both accept.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
import json
from pathlib import Path
import subprocess
import sys
from tempfile import TemporaryDirectory

from belief_speed import road
import numpy as np
from real_sets import SETS
from rich.console import Console
from rich.table import Table

from vpr_ros.core import pose as se3
from vpr_ros.core.card import ModelCard, Preprocessing
from vpr_ros.core.localizer import Localizer, LocalizerConfig
from vpr_ros.core.map_memory import map_bytes
from vpr_ros.core.place_index import PlaceIndex
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.precision import Precision
from vpr_ros.core.types import Camera, Describer, Descriptors, Frame, Image, Outcome
from vpr_ros.datasets.run import Run, RunPair
from vpr_ros.nets.model_folder import load_describer

_FRAMES = 30
_THUMBNAIL_BYTES = 3000
_MB = 1e6


class Prepared:
    """Stands for a network: gives the descriptors that it was given, one after the other."""

    def __init__(self, card: ModelCard, descriptors: Descriptors) -> None:
        self.card = card
        self._descriptors = iter(descriptors)

    def describe(self, images: Sequence[Image]) -> Descriptors:
        """Return the next descriptor, (1, dim)."""
        return np.asarray(next(self._descriptors)[None], dtype=np.float32)


def made_up(places: int, dim: int) -> PlaceMap:
    """Return a map of random descriptors."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((places, dim), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    card = ModelCard('none', 'none', 'none', 'none', {}, {}, dim, Preprocessing(8, 8), 'none')
    zeros = np.zeros(places, np.int32)
    return PlaceMap('map', card, (Camera('camera'),), rows, road(places),
                    np.arange(places, dtype=np.int64) * 10**9, zeros, zeros, ('run',),
                    (bytes(_THUMBNAIL_BYTES),) * places)


def resident_bytes() -> dict[str, int]:
    """Return what this process holds: of its own, and of files that it has mapped."""
    lines = Path('/proc/self/status').read_text().splitlines()
    sizes = {line.split(':')[0]: line.split()[1] for line in lines if line.startswith('Rss')}
    return {name: int(sizes[name]) * 1024 for name in ('RssAnon', 'RssFile')}


def held(path: Path) -> dict[str, float]:
    """Return memory and times of a localizer on the map at `path`; for a fresh process."""
    small = made_up(600, 16)   # what the libraries take is not the map's
    Localizer(LocalizerConfig(), small, Prepared(small.card, np.empty((0, 16), np.float32)))
    before = resident_bytes()
    place_map = PlaceMap.load(path)
    seen = np.array(place_map.descriptors[:_FRAMES])
    localizer = Localizer(LocalizerConfig(), place_map, Prepared(place_map.card, seen))
    outcomes = [localizer.localize(Frame(row * 10**9, 'camera', np.zeros((1, 1, 3), np.uint8)),
                                   lambda stamp_ns: place_map.poses[stamp_ns // 10**9])
                for row in range(_FRAMES)]
    after = resident_bytes()
    return {**{name: after[name] - before[name] for name in after},
            'search_ms': float(np.median([one.timing.search_ms for one in outcomes])),
            'judge_ms': float(np.median([one.timing.judge_ms for one in outcomes]))}


def memory_table(places: Sequence[int], dims: Sequence[int]) -> Table:
    """Return what a localizer holds and takes, by size of the map and precision."""
    table = Table(title='a localizer and its map')
    for column in ('places', 'dim', 'kept as', 'descriptors on disk, MB', 'told beforehand, MB',
                   'held, MB', 'of it mapped, MB', 'search, ms', 'judge, ms', 'both, ms'):
        table.add_column(column, justify='right')
    for count in places:
        for dim in dims:
            exact = made_up(count, dim)
            for precision in Precision:
                with TemporaryDirectory() as scratch:
                    path = Path(scratch) / 'a.map'
                    exact.at(precision).save(path)
                    disk = (path / 'descriptors.npy').stat().st_size
                    done = subprocess.run([sys.executable, __file__, '--held', str(path)],
                                          check=True, capture_output=True, text=True)
                found = json.loads(done.stdout)
                mapped = found['RssFile']
                table.add_row(
                    str(count), str(dim), precision.value, f'{disk / _MB:.1f}',
                    f'{map_bytes(count, dim, precision) / _MB:.1f}',
                    f'{(found["RssAnon"] + mapped) / _MB:.1f}', f'{mapped / _MB:.1f}',
                    f'{found["search_ms"]:.2f}', f'{found["judge_ms"]:.2f}',
                    f'{found["search_ms"] + found["judge_ms"]:.2f}')
    return table


def described(run: Run, describer: Describer) -> Descriptors:
    """Return the descriptors of all images (n, dim)."""
    return np.concatenate([describer.describe([image]) for image in run.images])


def verdicts(place_map: PlaceMap, run: Run, seen: Descriptors) -> list[Outcome]:
    """Return what a localizer without odometry makes of a run."""
    localizer = Localizer(LocalizerConfig(), place_map, Prepared(place_map.card, seen))
    nothing = np.zeros((1, 1, 3), np.uint8)
    return [localizer.localize(Frame(int(stamp_ns), run.camera, nothing))
            for stamp_ns in run.stamps_ns]


def sets_table(model: Path | None, sets: Sequence[Callable[[Path], RunPair]], data: Path) -> Table:
    """Return recall@1 of the single picture, and the verdicts that a precision changes."""
    describer = load_describer(model)
    table = Table(title=f'{describer.card.name}, {describer.card.dim}-d')
    for column in ('set', 'queries with match', *(f'recall@1 {each.value}' for each in Precision),
                   *(f'other first match {each.value}' for each in list(Precision)[1:]),
                   *(f'other reason {each.value}' for each in list(Precision)[1:]),
                   *(f'accepted apart {each.value}, m' for each in list(Precision)[1:])):
        table.add_column(column, justify='left' if column == 'set' else 'right')
    for read in sets:
        pair = read(data)
        rows, seen = described(pair.mapping, describer), described(pair.query, describer)
        positives = pair.positives or pair.metric_positives()
        zeros = np.zeros(len(rows), np.int32)
        exact = PlaceMap(pair.mapping.frame_id, describer.card, (Camera(pair.query.camera),),
                         rows, pair.mapping.map_from_base, pair.mapping.stamps_ns, zeros, zeros,
                         ('run',))
        first: dict[Precision, list[int]] = {}
        said: dict[Precision, list[Outcome]] = {}
        for precision in Precision:
            place_map = exact.at(precision)
            index = PlaceIndex(place_map.descriptors)
            first[precision] = [index.search(one, 1)[0].place for one in seen]
            said[precision] = verdicts(place_map, pair.query, seen)
        with_match = [row for row, places in enumerate(positives) if places]
        recall = [np.mean([first[p][row] in positives[row] for row in with_match])
                  for p in Precision]
        fewer = list(Precision)[1:]
        others = [sum(a != b for a, b in zip(first[p], first[Precision.FLOAT32], strict=True))
                  for p in fewer]
        changes = [changed(said[p], said[Precision.FLOAT32]) for p in fewer]
        table.add_row(pair.name, str(len(with_match)), *(f'{share:.4f}' for share in recall),
                      *map(str, others), *(str(reasons) for reasons, _ in changes),
                      *(f'{apart_m:.3f}' for _, apart_m in changes))
    return table


def changed(some: Sequence[Outcome], others: Sequence[Outcome]) -> tuple[int, float]:
    """Return how many verdicts have another reason, and how far poses are apart at most (m)."""
    both = [(a.accepted.pose, b.accepted.pose) for a, b in zip(some, others, strict=True)
            if a.accepted is not None and b.accepted is not None]
    return (sum(a.reason is not b.reason for a, b in zip(some, others, strict=True)),
            max((float(se3.distance_m(a, b)) for a, b in both), default=0.0))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--shared', type=Path, default=Path('../shared'))
    parser.add_argument('--model', type=Path, action='append', help='beside the default model')
    parser.add_argument('--places', type=int, nargs='*', default=[10_000, 100_000])
    parser.add_argument('--dims', type=int, nargs='+', default=[512, 1024])
    parser.add_argument('--no-sets', action='store_true')
    parser.add_argument('--held', type=Path, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.held is not None:
        print(json.dumps(held(flags.held)))
        return
    console = Console(width=200)
    if flags.places:
        console.print(memory_table(flags.places, flags.dims))
    if not flags.no_sets:
        for model in [None, *(flags.model or [])]:
            console.print(sets_table(model, SETS, flags.shared / 'data'))


if __name__ == '__main__':
    main()
