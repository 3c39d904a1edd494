# SPDX-License-Identifier: Apache-2.0
"""What `vpr evaluate` wrote, read back: numbers, settings, frames, and kept pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any
import zipfile

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.score_curves import Curves
from vpr_ros.errors import VprError
from vpr_ros.report.frame_table import FrameTable, read_frames

_AGAIN = 'run vpr evaluate again'


@dataclass(frozen=True, eq=False)
class Similarity:
    """The similarity of every query to every place, thinned to blocks.

    `values` (q, n) float32, the largest of each block; `truth` (q, n) whether the block holds a
    positive; `query_rows` (q,) and `place_rows` (n,) with which row a block begins.
    """

    values: NDArray[np.float32]
    truth: NDArray[np.bool_]
    query_rows: NDArray[np.int64]
    place_rows: NDArray[np.int64]
    shape: tuple[int, int]


@dataclass(frozen=True, eq=False)
class PackedPictures:
    """JPEGs laid end to end: `ends` (F,) says where each one ends, an empty one is missing."""

    packed: bytes
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    def of(self, row: int) -> bytes:
        """Return the JPEG of a row; empty where there is none."""
        start = int(self.ends[row - 1]) if row else 0
        return self.packed[start:int(self.ends[row])]


@dataclass(frozen=True, eq=False)
class EvaluationFolder:
    """One evaluation; `curves`, `places` (N, 7), `similarity` and `pictures` may be absent."""

    path: Path
    report: Mapping[str, Any]
    settings: Mapping[str, Any]
    curves: Curves | None
    frames: FrameTable
    places: NDArray[np.float64] | None
    similarity: Similarity | None
    pictures: PackedPictures | None

    @property
    def name(self) -> str:
        """What a person calls it: the folder's name."""
        return self.path.resolve().name

    @property
    def tolerance(self) -> tuple[float | None, float | None]:
        """How near is right: meters and degrees, None where nobody said."""
        said = {**self.settings, **self.report}
        m, deg = said.get('tolerance_m'), said.get('tolerance_deg')
        return None if m is None else float(m), None if deg is None else float(deg)

    @classmethod
    def read(cls, path: Path) -> EvaluationFolder:
        """Return the evaluation in folder `path`.

        Raises VprError that names the file and the remedy: no evaluation, or damaged.
        """
        if not (path / 'outcomes.jsonl').is_file():
            raise VprError(f'{path} is no evaluation: it holds no outcomes.jsonl; make one with: '
                           'vpr evaluate BAGS --map MAP --out FOLDER')
        frames = read_frames(path / 'outcomes.jsonl')
        places = _arrays(path / 'places.npz', 'poses')
        poses = None if places is None else np.asarray(places['poses'], dtype=np.float64)
        _check_places(path, frames, poses)
        return cls(
            path=path,
            report=_json(path / 'report.json') or _missing(path / 'report.json'),
            settings=_json(path / 'settings.json'),
            curves=_curves(path / 'curves.json'),
            frames=frames,
            places=poses,
            similarity=_similarity(path / 'similarity.npz'),
            pictures=_pictures(path, len(frames)),
        )


def _missing(path: Path) -> Mapping[str, Any]:
    raise VprError(f'{path} is missing or empty; {_AGAIN}')


def _json(path: Path) -> Mapping[str, Any]:
    """Return the object in a file; an empty one where there is no file."""
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise VprError(f'{path} is damaged ({error}); {_AGAIN}') from error
    if not isinstance(record, dict):
        raise VprError(f'{path} is damaged (not an object); {_AGAIN}')
    return record


def _curves(path: Path) -> Curves | None:
    if not path.is_file():
        return None
    try:
        return Curves.from_json(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, VprError) as error:
        raise VprError(f'{path} is damaged ({error}); {_AGAIN}') from error


def _arrays(path: Path, *names: str) -> Mapping[str, NDArray[Any]] | None:
    """Return the named arrays of an .npz, or None where there is no file."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names}
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise VprError(f'{path} is damaged ({error}); {_AGAIN}') from error


def _similarity(path: Path) -> Similarity | None:
    arrays = _arrays(path, 'values', 'truth', 'query_rows', 'place_rows', 'shape')
    if arrays is None:
        return None
    values, truth = np.asarray(arrays['values'], dtype=np.float32), arrays['truth']
    rows, columns = arrays['query_rows'], arrays['place_rows']
    if values.shape != truth.shape or values.shape != (len(rows), len(columns)):
        raise VprError(f'{path} is damaged (its arrays are not of one shape); {_AGAIN}')
    queries, places = (int(size) for size in arrays['shape'])
    return Similarity(values, np.asarray(truth, dtype=np.bool_), rows, columns, (queries, places))


def _pictures(path: Path, count: int) -> PackedPictures | None:
    arrays = _arrays(path / 'pictures.npz', 'ends')
    if arrays is None or not (path / 'pictures.bin').is_file():
        return None
    ends = np.asarray(arrays['ends'], dtype=np.int64)
    packed = (path / 'pictures.bin').read_bytes()
    if len(ends) != count or (np.diff(ends, prepend=0) < 0).any() or ends[-1] != len(packed):
        raise VprError(f'{path / "pictures.bin"} does not fit the {count} frames; {_AGAIN}')
    return PackedPictures(packed, ends)


def _check_places(path: Path, frames: FrameTable, poses: NDArray[np.float64] | None) -> None:
    """Refuse frames that name a place which is not there."""
    if poses is None:
        return
    if poses.ndim != 2 or poses.shape[1] != 7:
        raise VprError(f'{path / "places.npz"} is damaged (poses of shape {poses.shape}); '
                       f'{_AGAIN}')
    if max(int(frames.places.max()), int(frames.nearest_place.max())) >= len(poses):
        raise VprError(f'{path / "outcomes.jsonl"} names a place beyond the {len(poses)} of '
                       f'places.npz; {_AGAIN}')
