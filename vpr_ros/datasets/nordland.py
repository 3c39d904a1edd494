# SPDX-License-Identifier: Apache-2.0
"""Nordland (Suenderhauf et al. 2013): a railway in four seasons, frame by frame the same places.

Split, direction and tolerance must be said, since numbers under others are not comparable: papers
use all frames or one in eight or so, +-1 to +-10 frames, summer or winter as the map.
"""

from __future__ import annotations

from pathlib import Path

from vpr_ros.datasets.file_runs import file_run, positives_by_number
from vpr_ros.datasets.layout import LayoutOptions
from vpr_ros.datasets.pictures import find_pictures, number_of
from vpr_ros.datasets.run import RunPair
from vpr_ros.errors import DatasetError


def open_nordland(root: Path, options: LayoutOptions) -> RunPair:
    """Return two seasons as a pair: the frames of the split that both seasons have.

    The split is `all`, `first:last`, `first:last:step` (frame numbers, last included), or a text
    file with a picture's name a line.
    """
    season, other = str(options.map_name), str(options.query_name)
    split, tolerance = str(options.split), int(options.tolerance_frames or 0)
    seasons = [_frames(root / name) for name in (season, other)]
    chosen = _chosen(split, sorted(seasons[0].keys() & seasons[1].keys()), root)
    if not chosen:
        raise DatasetError(f'{season} and {other} have no frame in common in the split {split!r}')
    positives = positives_by_number(chosen, chosen, tolerance)
    runs = [file_run(name, [frames[number] for number in chosen], day=day)
            for day, (name, frames) in enumerate(zip((season, other), seasons, strict=True))]
    return RunPair(
        f'nordland {season}-{other}', runs[0], runs[1], tolerance + 0.5, 180.0,
        f'Nordland, split {split} ({len(chosen)} frames), map = {season}, query = {other}; a '
        f'positive is a frame whose number differs by up to {tolerance} (+-{tolerance})',
        positives)


def _frames(folder: Path) -> dict[int, Path]:
    frames: dict[int, Path] = {}
    for file in find_pictures(folder, deep=True):
        number = number_of(file)
        if number in frames:
            raise DatasetError(f'{file} and {frames[number]} have the same frame number')
        frames[number] = file
    return frames


def _chosen(split: str, common: list[int], root: Path) -> list[int]:
    if split == 'all':
        return common
    parts = split.split(':')
    if len(parts) in (2, 3) and all(part.isdigit() for part in parts):
        first, last, step = (*map(int, parts), 1)[:3]
        if step < 1:
            raise DatasetError(f'the step of the split {split!r} must be at least 1')
        return [number for number in common
                if first <= number <= last and (number - first) % step == 0]
    for file in (Path(split), root / split):
        if file.is_file():
            names = file.read_text(encoding='utf-8').split()
            wanted = {number_of(Path(name)) for name in names}
            return [number for number in common if number in wanted]
    raise DatasetError(f'the split {split!r} is neither `all`, nor first:last or first:last:step '
                       'in frame numbers, nor a text file with a name a line')
