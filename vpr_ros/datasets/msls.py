# SPDX-License-Identifier: Apache-2.0
"""Mapillary Street-Level Sequences (Warburg et al., CVPR 2020) in its own folders.

The published validation set (`val`, what papers call MSLS-val) is cph and sf, queries marked
`all` in subtask_index.csv, no panoramas: 18,871 map images and 740 queries that have a positive
within 25 m. `val-all` asks every query that is no panorama, which is harder: MixVPR's issue 5 saw
88.2 % recall@1 become 83.4 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpr_ros.datasets.at_names import PLACE_DEG, PLACE_M, TOLERANCE_M, within
from vpr_ros.datasets.file_runs import (
    ANY_HEADING_DEG,
    file_run,
    Floats,
    positives_by_metres,
)
from vpr_ros.datasets.layout import LayoutOptions
from vpr_ros.datasets.pictures import PictureFiles
from vpr_ros.datasets.places import grouped, joined, Places
from vpr_ros.datasets.run import RunPair
from vpr_ros.datasets.tables import read_table
from vpr_ros.datasets.utm import compass_to_rad
from vpr_ros.errors import DatasetError

VALIDATION = ('cph', 'sf')
SPLITS = ('val', 'val-all')
_BETWEEN_CITIES_M = 1e6   # cities have UTM zones of their own: kept apart, east by east


@dataclass(frozen=True)
class Side:
    """Database or query of one city."""

    files: tuple[Path, ...]
    positions_m: Floats
    headings_rad: Floats


def open_msls(root: Path, options: LayoutOptions) -> RunPair:
    """Return the validation cities (or others with --city) as one pair; cities never mix."""
    split = options.split or SPLITS[0]
    if split not in SPLITS:
        raise DatasetError(f'msls has no split {split!r}; there are {" and ".join(SPLITS)}')
    cities = options.cities or VALIDATION
    tolerance_m = options.tolerance_m or TOLERANCE_M
    tolerance_deg = options.tolerance_deg or ANY_HEADING_DEG
    mapped, asked, positives, places = [], [], [], 0
    for city in cities:
        database = read_side(city_folder(root, city) / 'database', split == 'val')
        query = read_side(city_folder(root, city) / 'query', split == 'val')
        near = positives_by_metres(database.positions_m, query.positions_m, tolerance_m,
                                   database.headings_rad, query.headings_rad, tolerance_deg)
        positives += [tuple(places + i for i in rows) for rows in near]
        places += len(database.files)
        mapped.append(database)
        asked.append(query)
    queries = 'those marked `all` in subtask_index.csv' if split == 'val' else 'all'
    runs = [file_run(name, [file for side in sides for file in side.files], _apart(sides, mapped),
                     np.concatenate([side.headings_rad for side in sides]), day)
            for day, (name, sides) in enumerate((('database', mapped), ('query', asked)))]
    return RunPair(
        f'msls {split}', runs[0], runs[1], tolerance_m, tolerance_deg,
        f'MSLS, cities {", ".join(cities)}, map = database, queries = {queries}, no panoramas; '
        f'{within(tolerance_m, tolerance_deg)} in the same city', tuple(positives))


def _apart(sides: list[Side], mapped: list[Side]) -> Floats:
    return np.concatenate([
        side.positions_m - origin.positions_m[0] + [i * _BETWEEN_CITIES_M, 0.0]
        for i, (side, origin) in enumerate(zip(sides, mapped, strict=True))])


def open_msls_places(root: Path, options: LayoutOptions) -> Places:
    """Return cities (left out: all below train_val but cph and sf) as places to learn from."""
    cities = options.cities or tuple(
        folder.name for folder in sorted((root / 'train_val').glob('*'))
        if folder.is_dir() and folder.name not in VALIDATION)
    if not cities:
        raise DatasetError(f'{root / "train_val"} holds no city to learn from')
    sets = []
    for city in cities:
        sides = [read_side(city_folder(root, city) / part, False) for part in
                 ('database', 'query')]
        sets.append(grouped(
            f'msls {city}', PictureFiles([file for side in sides for file in side.files]),
            np.concatenate([side.positions_m for side in sides]),
            np.concatenate([side.headings_rad for side in sides]),
            'MSLS, database and query together, no panoramas', options.tolerance_m or PLACE_M,
            options.tolerance_deg or PLACE_DEG))
    return joined('msls', sets)


def city_folder(root: Path, city: str) -> Path:
    """Return the folder of a city; raises DatasetError where it is not there."""
    folder = root / 'train_val' / city
    if not folder.is_dir():
        raise DatasetError(f'{folder} is not there')
    return folder


def read_side(folder: Path, marked_only: bool) -> Side:
    """Return the images of a folder that are no panoramas, with UTM positions and headings.

    `marked_only`: those that subtask_index.csv marks with `all`. Raises DatasetError when a file
    is missing or of another kind, the files do not name the same images, or one is not there.
    """
    places = read_table(folder / 'postprocessed.csv', ('key', 'easting', 'northing'))
    raw = read_table(folder / 'raw.csv', ('key', 'ca', 'pano'))
    keys = places.text('key')
    if keys != raw.text('key'):
        raise DatasetError(f'{folder / "raw.csv"} and postprocessed.csv do not list the same '
                           'images in the same order')
    kept: NDArray[np.bool_] = ~raw.flags('pano')
    if marked_only:
        marks = read_table(folder / 'subtask_index.csv', ('key', 'all'))
        marked = {key for key, mark in zip(marks.text('key'), marks.flags('all'), strict=True)
                  if mark}
        kept &= np.array([key in marked for key in keys], bool)
    rows = np.flatnonzero(kept)
    if not len(rows):
        raise DatasetError(f'{folder} lists no image to use')
    there = {file.name for file in (folder / 'images').glob('*')}
    if missing := [keys[row] for row in rows if f'{keys[row]}.jpg' not in there]:
        raise DatasetError(f'{folder / "images"} lacks {missing[0]}.jpg and {len(missing) - 1} '
                           'more of postprocessed.csv')
    positions = np.stack([places.numbers('easting'), places.numbers('northing')], axis=1)
    return Side(tuple(folder / 'images' / f'{keys[row]}.jpg' for row in rows), positions[rows],
                compass_to_rad(raw.numbers('ca')[rows]))
