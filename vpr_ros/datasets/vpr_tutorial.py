# SPDX-License-Identifier: Apache-2.0
"""Sets as VPR_Tutorial uses them (Schubert et al. 2023): GardensPoint, StLucia, SFU, or alike.

Two folders of pictures, and matrices of places (rows) by queries (columns): GThard, the pairs
that must be found, within GTsoft, those that may be. The tutorial itself counts neither right nor
wrong what is soft but not hard; here a pair is a positive or not, by the one that is chosen.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from vpr_ros.datasets.file_runs import file_run
from vpr_ros.datasets.layout import LayoutOptions
from vpr_ros.datasets.pictures import find_pictures
from vpr_ros.datasets.run import RunPair
from vpr_ros.errors import DatasetError

KNOWN = (('day_right', 'night_right'), ('100909_0845', '180809_1545'), ('dry', 'jan'))
_GARDENS_SOFT = 8   # GardensPoint has no file: frame i is i, soft up to eight frames away
MATRICES = {'hard': 'GThard', 'soft': 'GTsoft'}


def open_vpr_tutorial(root: Path, options: LayoutOptions) -> RunPair:
    """Return two traverses; positives by GTsoft unless --truth hard."""
    truth = options.truth or 'soft'
    if truth not in MATRICES:
        raise DatasetError(f'--truth is {truth!r}; choose hard or soft')
    if bool(options.map_name) != bool(options.query_name):
        raise DatasetError('give both --map-name and --query-name, or neither')
    names = (options.map_name, options.query_name) if options.map_name and options.query_name \
        else next((pair for pair in KNOWN if all((root / part).is_dir() for part in pair)), None)
    if names is None:
        raise DatasetError(f'{root} holds none of the known pairs of folders ('
                           + ', '.join(' and '.join(pair) for pair in KNOWN)
                           + '); name yours with --map-name and --query-name')
    mapped, asked = (find_pictures(root / str(name)) for name in names)
    matrix, origin = _matrix(root, MATRICES[truth], len(mapped), len(asked), names == KNOWN[0])
    rows = tuple(tuple(int(i) for i in np.flatnonzero(column)) for column in matrix.T)
    return RunPair(
        root.resolve().name, file_run(str(names[0]), mapped),
        file_run(str(names[1]), asked, day=1), 1.0, 180.0,
        f'VPR_Tutorial layout, map = {names[0]}, query = {names[1]}; positives by '
        f'{MATRICES[truth]} ({origin}), all else is wrong', rows)


def _matrix(root: Path, name: str, places: int, queries: int, gardens: bool
            ) -> tuple[NDArray[np.bool_], str]:
    file = next((root / found for found in ('GT.npz', 'GT.mat') if (root / found).is_file()), None)
    if file is None:
        if not gardens:
            raise DatasetError(f'{root / "GT.npz"} is not there')
        reach = _GARDENS_SOFT if name == 'GTsoft' else 0
        apart = np.abs(np.arange(places)[:, None] - np.arange(queries)[None, :])
        return apart <= reach, f'frame i is i, +-{reach}'
    matrix = _read(file, name)
    if matrix.shape != (places, queries):
        raise DatasetError(f'{name} in {file} is {matrix.shape}, but there are {places} pictures '
                           f'to map and {queries} to find')
    return matrix.astype(bool), file.name


def _read(file: Path, name: str) -> NDArray[np.generic]:
    try:
        if file.suffix == '.npz':
            with np.load(file, allow_pickle=False) as arrays:
                matrix = np.asarray(arrays[name])
        else:
            matrix = np.asarray(loadmat(str(file), variable_names=[name])[name])
    except KeyError as error:
        raise DatasetError(f'{file} holds no {name}') from error
    except NotImplementedError as error:
        raise DatasetError(f'{file} is of MATLAB 7.3; save it with -v7, or as GT.npz') from error
    except (OSError, ValueError, MatReadError) as error:
        raise DatasetError(f'{file} cannot be read ({error})') from error
    if matrix.ndim != 2 or matrix.dtype.kind not in 'biuf':
        raise DatasetError(f'{name} in {file} is no matrix of numbers')
    return matrix
