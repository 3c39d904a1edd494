# SPDX-License-Identifier: Apache-2.0
"""Sets as VPR-Bench keeps them (Zaffar et al., IJCV 2021): query/, ref/ and lists of positives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vpr_ros.datasets.file_runs import file_run, Positives
from vpr_ros.datasets.layout import LayoutOptions
from vpr_ros.datasets.pictures import find_pictures
from vpr_ros.datasets.restricted_npy import read_objects
from vpr_ros.datasets.run import RunPair
from vpr_ros.errors import DatasetError

LISTS = ('ground_truth_new.npy', 'ground_truth.json')


def open_vpr_bench(root: Path, options: LayoutOptions) -> RunPair:
    """Return `ref` as the map and `query` as the query, by the set's own lists."""
    mapped, asked = find_pictures(root / 'ref'), find_pictures(root / 'query')
    file = next((root / name for name in LISTS if (root / name).is_file()), None)
    if file is None:
        raise DatasetError(f'{root / LISTS[0]} is not there')
    rows = read_objects(file) if file.suffix == '.npy' else _read_json(file)
    positives = checked_lists(file, rows, len(asked), len(mapped))
    return RunPair(root.resolve().name, file_run('ref', mapped), file_run('query', asked, day=1),
                   1.0, 180.0, f'VPR-Bench layout, map = ref, query = query; positives are the '
                   f'lists in {file.name}', positives)


def _read_json(file: Path) -> Any:
    try:
        read = json.loads(file.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise DatasetError(f'{file} is not JSON ({error})') from error
    return read['gt'] if isinstance(read, dict) and 'gt' in read else read


def checked_lists(file: Path, rows: Any, queries: int, places: int) -> Positives:
    """Return `[[query, [place, ...]], ...]` as one tuple a query; a query not listed has none.

    Raises DatasetError for anything else, and for numbers beyond the pictures.
    """
    found: list[tuple[int, ...]] = [()] * queries
    try:
        for query, listed in rows:
            # Positive numbers only: a row of -1 would wrap around.
            if not 0 <= int(query) < queries:
                raise DatasetError(f'{file} names query {query}, but there are {queries} '
                                   'pictures in query/')
            row = sorted({int(place) for place in (
                listed if isinstance(listed, list) else [listed])})
            if row and not (row[0] >= 0 and row[-1] < places):
                raise DatasetError(f'{file} names place {row[-1] if row[0] >= 0 else row[0]}, but '
                                   f'there are {places} pictures in ref/')
            found[int(query)] = tuple(row)
    except (TypeError, ValueError) as error:
        raise DatasetError(f'{file} does not hold rows of a query and its list of places '
                           f'({error})') from error
    return tuple(found)
