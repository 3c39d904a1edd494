# SPDX-License-Identifier: Apache-2.0
"""Sets whose file names say where: `@UTM_east@UTM_north@...@.jpg` (gmberton's datasets).

The fields between the signs are, in order: east, north, zone number, zone letter, latitude,
longitude, pano id, tile, heading, pitch, roll, height, time, note, ending; all but the first two
may be empty. Only the base name is read: folders may hold the sign as well.
"""

from __future__ import annotations

from dataclasses import dataclass
import math
from pathlib import Path

import numpy as np

from vpr_ros.datasets.file_runs import (
    ANY_HEADING_DEG,
    file_run,
    Floats,
    positives_by_metres,
)
from vpr_ros.datasets.layout import LayoutOptions
from vpr_ros.datasets.pictures import find_pictures, PictureFiles
from vpr_ros.datasets.places import grouped, Places
from vpr_ros.datasets.run import Run, RunPair
from vpr_ros.datasets.utm import compass_to_rad
from vpr_ros.errors import DatasetError

TOLERANCE_M = 25.0
PLACE_M, PLACE_DEG = 10.0, 30.0   # to learn from
_HEADING = 9


@dataclass(frozen=True)
class AtFolder:
    """The pictures of one folder and what their names say; headings None unless all say one."""

    files: tuple[Path, ...]
    positions_m: Floats
    headings_rad: Floats | None


def read_folder(folder: Path) -> AtFolder:
    """Return the pictures of a folder (and of those in it) with their positions.

    Raises DatasetError when there is none, or a name does not begin with two finite numbers.
    """
    files = find_pictures(folder, deep=True)
    positions, headings = np.empty((len(files), 2)), np.empty(len(files))
    for row, file in enumerate(files):
        positions[row], headings[row] = parse_name(file.name)
    known = bool(np.isfinite(headings).all())
    return AtFolder(tuple(files), positions, compass_to_rad(headings) if known else None)


def parse_name(name: str) -> tuple[tuple[float, float], float]:
    """Return UTM east and north in metres, and the compass heading in degrees or NaN.

    Raises DatasetError for a name that does not begin with @east@north@.
    """
    parts = name.split('@')
    try:
        east, north = (float(part) for part in parts[1:3])
    except ValueError:
        east = north = math.nan
    if parts[0] or len(parts) < 4 or not (math.isfinite(east) and math.isfinite(north)):
        raise DatasetError(f'{name} is not a name as @UTM_east@UTM_north@...@.jpg')
    try:
        heading = float(parts[_HEADING])
    except (IndexError, ValueError):
        heading = math.nan
    return (east, north), heading if math.isfinite(heading) else math.nan


def at_pair(name: str, database: Path, queries: Path, tolerance_m: float, tolerance_deg: float,
            protocol: str) -> RunPair:
    """Return two folders in this naming as a pair; raises DatasetError as `read_folder` does."""
    mapped, asked = read_folder(database), read_folder(queries)
    positives = positives_by_metres(mapped.positions_m, asked.positions_m, tolerance_m,
                                    mapped.headings_rad, asked.headings_rad, tolerance_deg)
    return RunPair(name, _run('database', mapped, mapped), _run('queries', asked, mapped, 1),
                   tolerance_m, tolerance_deg, protocol, positives)


def _run(name: str, folder: AtFolder, origin: AtFolder, day: int = 0) -> Run:
    # Metres from the first map image: float32 elsewhere would round UTM to half a metre.
    return file_run(name, folder.files, folder.positions_m - origin.positions_m[0],
                    folder.headings_rad, day)


def within(tolerance_m: float, tolerance_deg: float) -> str:
    """Return the words for a tolerance."""
    turn = '' if tolerance_deg >= ANY_HEADING_DEG else f' and {tolerance_deg:g} degrees of heading'
    return f'a positive is a map image within {tolerance_m:g} m{turn}'


def open_at_pair(root: Path, options: LayoutOptions) -> RunPair:
    """Return `root`/database and queries (other names by the options)."""
    tolerance_m = options.tolerance_m or TOLERANCE_M
    tolerance_deg = options.tolerance_deg or ANY_HEADING_DEG
    mapped, asked = options.map_name or 'database', options.query_name or 'queries'
    return at_pair(root.resolve().name, root / mapped, root / asked, tolerance_m, tolerance_deg,
                   f'map = {mapped}, query = {asked}, positions by file name; '
                   + within(tolerance_m, tolerance_deg))


@dataclass(frozen=True)
class AtSplit:
    """Reads images/{train,val,test}/{database,queries} as VPR-datasets-downloader writes them."""

    name: str
    default_split: str
    remark: str = ''

    def __call__(self, root: Path, options: LayoutOptions) -> RunPair:
        """Return the pair of a split."""
        split = options.split or self.default_split
        folder = self._folder(root, split)
        tolerance_m = options.tolerance_m or TOLERANCE_M
        tolerance_deg = options.tolerance_deg or ANY_HEADING_DEG
        return at_pair(f'{self.name} {split}', folder / 'database', folder / 'queries',
                       tolerance_m, tolerance_deg,
                       f'{self.name}, split {split}, map = database, query = queries, all images '
                       f'of both folders; {within(tolerance_m, tolerance_deg)}'
                       + (f'; {self.remark}' if self.remark else ''))

    def places(self, root: Path, options: LayoutOptions) -> Places:
        """Return database and queries of a split (train unless said) as places."""
        split = options.split or 'train'
        folder = self._folder(root, split)
        parts = [read_folder(folder / part) for part in ('database', 'queries')
                 if part == 'database' or (folder / part).is_dir()]
        return places_of(f'{self.name} {split}', parts, options)

    def _folder(self, root: Path, split: str) -> Path:
        for folder in (root / 'images' / split, root / split):
            if folder.is_dir():
                return folder
        raise DatasetError(f'{root / "images" / split} is not there')


def places_of(name: str, parts: list[AtFolder], options: LayoutOptions) -> Places:
    """Return folders as places of `tolerance_m` and `tolerance_deg` (PLACE_M, PLACE_DEG)."""
    headings = [part.headings_rad for part in parts]
    known = [h for h in headings if h is not None]
    positions = np.concatenate([part.positions_m for part in parts])
    return grouped(name, PictureFiles([file for part in parts for file in part.files]), positions,
                   np.concatenate(known) if len(known) == len(headings) else None,
                   f'{name}, positions by file name', options.tolerance_m or PLACE_M,
                   options.tolerance_deg or PLACE_DEG)


def open_at_places(root: Path, options: LayoutOptions) -> Places:
    """Return all pictures below `root` as places."""
    return places_of(root.resolve().name, [read_folder(root)], options)

