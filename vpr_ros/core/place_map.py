# SPDX-License-Identifier: Apache-2.0
"""The map: what every place looks like to one network, and where it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.core.calibration import Calibration
from vpr_ros.core.card import ModelCard
from vpr_ros.core.folder import broken_seal, new_folder, seal
from vpr_ros.core.intrinsics import Intrinsics
from vpr_ros.core.local_features import Features
from vpr_ros.core.packed_features import PackedFeatures
from vpr_ros.core.precision import (
    fault_of,
    let_go,
    Precision,
    precision_of,
    Rows,
    stored,
    StoredRows,
    taken,
)
from vpr_ros.core.thumbnails import PackedThumbnails
from vpr_ros.core.types import Camera
from vpr_ros.errors import MapError, ModelError

SCHEMA = 2         # of a map that versions which read 1 only would misunderstand
_FLOAT32_SCHEMA = 1
_RECORD = 'map.json'
_REBUILD = 'restore it from a copy or build the map again'


@dataclass(frozen=True, eq=False)
class PlaceMap:
    """N places seen by one network.

    `descriptors` (N, dim) float32 unit rows, or `StoredRows` that stand for such; `poses` (N, 7)
    `map_from_base` at the image's moment, in `frame_id`; `stamps_ns` (N,); `camera_of` and
    `session_of` (N,) index `cameras` and `sessions`; `thumbnails` hold a JPEG for each place, or
    nothing at all. `topics` remembers where each camera's images came from, `pose_source` the
    poses.
    `calibration` is what was measured of the map's confidence, None where nothing was.
    `features` are the local features of each place, where geometry is to be checked, or None.
    `digest` names the saved map; it is empty until `load`.
    """

    frame_id: str
    card: ModelCard
    cameras: tuple[Camera, ...]
    descriptors: Rows
    poses: se3.Array
    stamps_ns: NDArray[np.int64]
    camera_of: NDArray[np.int32]
    session_of: NDArray[np.int32]
    sessions: tuple[str, ...]
    thumbnails: Sequence[bytes] = ()
    topics: Mapping[str, str] = field(default_factory=dict)
    pose_source: str = ''
    digest: str = ''
    features: PackedFeatures | None = None
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        count = len(self.poses)
        if count == 0:
            raise MapError('a map needs at least one place')
        if self.descriptors.shape != (count, self.card.dim):
            raise MapError(f'descriptors of shape {self.descriptors.shape} do not fit {count} '
                           f'places of a {self.card.dim}-d model; {_REBUILD}')
        lengths = {len(self.stamps_ns), len(self.camera_of), len(self.session_of)}
        if lengths != {count} or len(self.thumbnails) not in (0, count):
            raise MapError(f'the places of the map are not all of one number; {_REBUILD}')
        if self.features is not None and len(self.features) != count:
            raise MapError(f'the map holds local features of {len(self.features)} places, not of '
                           f'{count}; {_REBUILD}')
        if fault := fault_of(self.descriptors):
            raise MapError(f'the map holds {fault}; {_REBUILD}')
        try:
            object.__setattr__(self, 'poses', se3.checked(self.poses))
        except ValueError as error:
            raise MapError(f'the map is damaged: {error}; {_REBUILD}') from error
        _check_index(self.camera_of, len(self.cameras), 'camera')
        _check_index(self.session_of, len(self.sessions), 'session')

    def __len__(self) -> int:
        return len(self.poses)

    @property
    def precision(self) -> Precision:
        """In what the descriptors are kept."""
        return precision_of(self.descriptors)

    def at(self, precision: Precision) -> PlaceMap:
        """Return the map with its descriptors kept so, not calibrated where that changes them.

        Raises MapError where it would take bits that the map does not have.
        """
        if precision is self.precision:
            return self
        if precision.bytes_each > self.precision.bytes_each:
            raise MapError(f'the map keeps its descriptors as {self.precision.value}, which '
                           f'{precision.value} cannot bring back; build the map again')
        return replace(self, descriptors=stored(self.descriptors, precision), calibration=None,
                       digest='')

    def part(self, rows: NDArray[np.int64], features: PackedFeatures | None = None) -> PlaceMap:
        """Return a map of some places (their rows), without pictures and not calibrated."""
        return replace(
            self, descriptors=taken(self.descriptors, rows), poses=self.poses[rows],
            stamps_ns=self.stamps_ns[rows], camera_of=self.camera_of[rows],
            session_of=self.session_of[rows], thumbnails=(), digest='', calibration=None,
            features=features)

    def let_go(self) -> None:
        """Give memory back: descriptors that lie on disk are read again when asked for."""
        let_go(self.descriptors)

    def features_of(self, place: int) -> Features | None:
        """Return the local features of a place, or None for a map without."""
        return None if self.features is None else self.features.of(place)

    def save(self, path: Path, force: bool = False) -> None:
        """Write the map folder; an existing one is replaced only with `force`, and then at once.

        Raises MapError when it exists or cannot be written.
        """
        with new_folder(path, force, MapError) as folder:
            rows = self.descriptors
            np.save(folder / 'descriptors.npy', rows.codes if isinstance(rows, StoredRows)
                    else np.asarray(rows, dtype=np.float32))
            sizes = [len(jpeg) for jpeg in self.thumbnails]
            np.savez(folder / 'places.npz', poses=self.poses, stamps_ns=self.stamps_ns,
                     camera_of=self.camera_of, session_of=self.session_of,
                     thumbnail_ends=np.cumsum(sizes, dtype=np.int64))
            with (folder / 'thumbnails.bin').open('wb') as pictures:
                pictures.writelines(self.thumbnails)
            is_new = self.precision is not Precision.FLOAT32
            record: dict[str, Any] = {
                'schema': SCHEMA if is_new else _FLOAT32_SCHEMA,
                'frame_id': self.frame_id,
                'cameras': [_camera_record(camera) for camera in self.cameras],
                'sessions': list(self.sessions),
                'topics': dict(self.topics),
                'pose_source': self.pose_source,
                'card': self.card.to_json(),
            }
            if is_new:
                record['precision'] = self.precision.value
            if self.calibration is not None:
                record['calibration'] = self.calibration.record()
            if self.features is not None:
                record['features'] = self.features.save(folder)
            (folder / _RECORD).write_text(json.dumps(seal(record, folder), indent=2))

    @classmethod
    def load(cls, path: Path) -> PlaceMap:
        """Return the map in folder `path`; its digests are checked before anything is parsed.

        Raises MapError naming the file and the remedy: not a map, another schema, damaged.
        """
        record = _read_record(path)
        if problem := broken_seal(record, path, _RECORD):
            raise MapError(f'{problem}: the map is damaged; {_REBUILD}')
        try:
            with np.load(path / 'places.npz', allow_pickle=False) as places:
                ends = places['thumbnail_ends']
                columns = {name: places[name] for name in
                           ('poses', 'stamps_ns', 'camera_of', 'session_of')}
            precision = Precision(record.get('precision', Precision.FLOAT32.value))
            return cls(
                frame_id=record['frame_id'],
                card=ModelCard.from_json(record['card'], f'the card in {path / _RECORD}'),
                cameras=tuple(_camera(item) for item in record['cameras']),
                descriptors=_rows(path / 'descriptors.npy', precision),
                sessions=tuple(record['sessions']),
                thumbnails=PackedThumbnails(path / 'thumbnails.bin', ends),
                topics=record['topics'],
                pose_source=record['pose_source'],
                digest=record['digest'],
                features=None if 'features' not in record
                else PackedFeatures.load(path, record['features']),
                calibration=None if 'calibration' not in record
                else Calibration.from_record(record['calibration']),
                **columns,
            )
        except (KeyError, TypeError, ValueError, OSError, ModelError) as error:
            raise MapError(f'{path} is no valid map ({error}); {_REBUILD}') from error


def _read_record(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise MapError(f'there is no map at {path}; build one with: vpr map build')
    file = path / _RECORD
    try:
        record = json.loads(file.read_bytes())
    except OSError as error:
        raise MapError(f'{path} is no map folder: {file} cannot be read ({error.strerror})'
                       ) from error
    except ValueError as error:
        raise MapError(f'{file} is damaged ({error}); {_REBUILD}') from error
    if not isinstance(record, dict):
        raise MapError(f'{file} is damaged (not an object); {_REBUILD}')
    schema = record.get('schema')
    if schema not in (_FLOAT32_SCHEMA, SCHEMA):
        remedy = ('it is of a newer version: use that one, or build the map again'
                  if isinstance(schema, int) and schema > SCHEMA else 'build the map again')
        raise MapError(f'{file} has schema {schema!r}, this version reads up to {SCHEMA}; '
                       f'{remedy}')
    return record


def _camera(item: Mapping[str, Any]) -> Camera:
    mount, lens = item['base_from_camera'], item.get('intrinsics')
    return Camera(item['name'], None if mount is None else se3.checked(mount),
                  None if lens is None else Intrinsics.from_record(lens))


def _camera_record(camera: Camera) -> dict[str, Any]:
    mount, lens = camera.base_from_camera, camera.intrinsics
    return {'name': camera.name, 'base_from_camera': None if mount is None else list(mount),
            'intrinsics': None if lens is None else lens.record()}


def _rows(file: Path, precision: Precision) -> Rows:
    """Return the descriptors in a file; they are mapped and not read."""
    rows = np.load(file, mmap_mode='r', allow_pickle=False)
    if str(rows.dtype) != precision.value:
        raise ValueError(f'{file.name} holds {rows.dtype}, not {precision.value}')
    return rows if precision is Precision.FLOAT32 else StoredRows(rows)


def _check_index(index: NDArray[np.int32], count: int, what: str) -> None:
    if index.min() < 0 or index.max() >= count:
        raise MapError(f'the map names a {what} that it does not hold; {_REBUILD}')
