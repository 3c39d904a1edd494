# SPDX-License-Identifier: Apache-2.0
"""Two folders of pictures and a ground truth of the user: by lists, by poses, or by order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vpr_ros.datasets.at_names import within
from vpr_ros.datasets.file_runs import (
    ANY_HEADING_DEG,
    file_run,
    Floats,
    positives_by_metres,
    positives_by_number,
)
from vpr_ros.datasets.layout import LayoutOptions
from vpr_ros.datasets.pictures import find_pictures, PictureFiles
from vpr_ros.datasets.places import grouped, Places
from vpr_ros.datasets.run import RunPair
from vpr_ros.datasets.tables import read_table
from vpr_ros.errors import DatasetError

MAP, QUERY = 'map', 'query'
PAIRS_FILE, POSES_FILE = 'ground_truth.csv', 'poses.csv'


def open_by_order(root: Path, options: LayoutOptions) -> RunPair:
    """Return folders whose i-th pictures belong together, +-tolerance_frames."""
    names = options.map_name or MAP, options.query_name or QUERY
    mapped, asked = (find_pictures(root / name) for name in names)
    tolerance = int(options.tolerance_frames or 0)
    if len(mapped) != len(asked):
        raise DatasetError(f'{root / names[0]} has {len(mapped)} pictures and {root / names[1]} '
                           f'{len(asked)}: the i-th cannot belong to the i-th')
    positives = positives_by_number(range(len(mapped)), range(len(asked)), tolerance)
    return RunPair(
        root.resolve().name, file_run(names[0], mapped), file_run(names[1], asked, day=1),
        tolerance + 0.5, ANY_HEADING_DEG,
        f'map = {names[0]}, query = {names[1]}, pictures in the order of their names; a positive '
        f'is the picture of the same number, +-{tolerance}', positives)


def open_by_lists(root: Path, options: LayoutOptions) -> RunPair:
    """Return folders with `ground_truth.csv`: a row `query,place` for each positive.

    Both are file names within their folders; a query may have several rows or none.
    """
    names = options.map_name or MAP, options.query_name or QUERY
    mapped, asked = (find_pictures(root / name, deep=True) for name in names)
    file = root / (options.truth or PAIRS_FILE)
    table = read_table(file, ('query', 'place'))
    rows = [{f.relative_to(root / name).as_posix(): i for i, f in enumerate(files)}
            for name, files in zip(names, (mapped, asked), strict=True)]
    found: list[set[int]] = [set() for _ in asked]
    for line, (query, place) in enumerate(zip(table.text('query'), table.text('place'),
                                              strict=True), 2):
        for name, known, folder in ((query, rows[1], names[1]), (place, rows[0], names[0])):
            if name not in known:
                raise DatasetError(f'{file}, line {line}: there is no {root / folder / name}')
        found[rows[1][query]].add(rows[0][place])
    return RunPair(
        root.resolve().name, file_run(names[0], mapped), file_run(names[1], asked, day=1), 1.0,
        ANY_HEADING_DEG, f'map = {names[0]}, query = {names[1]}; positives are the rows of '
        f'{file.name}', tuple(tuple(sorted(row)) for row in found))


@dataclass(frozen=True)
class PosedFolder:
    """Pictures in the order of poses.csv; headings None where it has none."""

    files: tuple[Path, ...]
    positions_m: Floats
    headings_rad: Floats | None


def open_by_poses(root: Path, options: LayoutOptions) -> RunPair:
    """Return folders with a `poses.csv` each: `name,x_m,y_m`, and `z_m`, `yaw_deg` where known."""
    names = options.map_name or MAP, options.query_name or QUERY
    mapped, asked = (read_posed(root / name) for name in names)
    if mapped.positions_m.shape[1] != asked.positions_m.shape[1]:
        raise DatasetError(f'only one of {names[0]} and {names[1]} gives z_m; both or neither')
    tolerance_m = float(options.tolerance_m or 0.0)
    tolerance_deg = options.tolerance_deg or ANY_HEADING_DEG
    positives = positives_by_metres(mapped.positions_m, asked.positions_m, tolerance_m,
                                    mapped.headings_rad, asked.headings_rad, tolerance_deg)
    return RunPair(
        root.resolve().name,
        file_run(names[0], mapped.files, mapped.positions_m, mapped.headings_rad),
        file_run(names[1], asked.files, asked.positions_m, asked.headings_rad, day=1),
        tolerance_m, tolerance_deg, f'map = {names[0]}, query = {names[1]}, positions by '
        f'{POSES_FILE}; {within(tolerance_m, tolerance_deg)}', positives)


def open_posed_places(root: Path, options: LayoutOptions) -> Places:
    """Return the folders below `root` that have a `poses.csv` (in one frame) as places."""
    folders = sorted(file.parent for file in root.rglob(POSES_FILE))
    if not folders:
        raise DatasetError(f'no folder below {root} has a {POSES_FILE}')
    parts = [read_posed(folder) for folder in folders]
    known = [part.headings_rad for part in parts if part.headings_rad is not None]
    return grouped(
        root.resolve().name, PictureFiles([file for part in parts for file in part.files]),
        np.concatenate([part.positions_m[:, :2] for part in parts]),
        np.concatenate(known) if len(known) == len(parts) else None,
        f'positions by {POSES_FILE} of {len(parts)} folders',
        float(options.tolerance_m or 0.0), options.tolerance_deg or ANY_HEADING_DEG)


def read_posed(folder: Path) -> PosedFolder:
    """Return the pictures that `poses.csv` of a folder names.

    Raises DatasetError when it is missing or of another kind, names a picture twice or one that
    is not there, or holds no row.
    """
    if not folder.is_dir():
        raise DatasetError(f'{folder} is not there')
    table = read_table(folder / POSES_FILE, ('name', 'x_m', 'y_m'))
    names = table.text('name')
    if not names:
        raise DatasetError(f'{folder / POSES_FILE} has a header and no rows')
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DatasetError(f'{folder / POSES_FILE} names {twice} twice')
    files = tuple(folder / name for name in names)
    if missing := [file for file in files if not file.is_file()]:
        raise DatasetError(f'{missing[0]} and {len(missing) - 1} more are not there, but '
                           f'{POSES_FILE} names them')
    columns = [table.numbers(name) for name in ('x_m', 'y_m', 'z_m') if table.has(name)]
    yaw = np.radians(table.numbers('yaw_deg')) if table.has('yaw_deg') else None
    return PosedFolder(files, np.stack(columns, axis=1), yaw)
