# SPDX-License-Identifier: Apache-2.0
"""The map: what every place looks like to one network, and where it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
from vpr_ros.core.types import Camera
from vpr_ros.errors import MapError, ModelError

SCHEMA = 1
_RECORD = 'map.json'
_UNIT_TOLERANCE = 1e-3
_REBUILD = 'restore it from a copy or build the map again'


@dataclass(frozen=True, eq=False)
class PlaceMap:
    """N places seen by one network.

    `descriptors` (N, dim) float32 unit rows; `poses` (N, 7) `map_from_base` at the image's
    moment, in `frame_id`; `stamps_ns` (N,); `camera_of` and `session_of` (N,) index `cameras`
    and `sessions`; `thumbnails` hold a JPEG for each place, or nothing at all.
    `topics` remembers where each camera's images came from, `pose_source` the poses.
    `calibration` is what was measured of the map's confidence, None where nothing was.
    `features` are the local features of each place, where geometry is to be checked, or None.
    `digest` names the saved map; it is empty until `load`.
    """

    frame_id: str
    card: ModelCard
    cameras: tuple[Camera, ...]
    descriptors: NDArray[np.float32]
    poses: se3.Array
    stamps_ns: NDArray[np.int64]
    camera_of: NDArray[np.int32]
    session_of: NDArray[np.int32]
    sessions: tuple[str, ...]
    thumbnails: tuple[bytes, ...] = ()
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
        if not _all_unit(self.descriptors):
            raise MapError(f'the map holds descriptors that are NaN or not of unit length; '
                           f'{_REBUILD}')
        try:
            object.__setattr__(self, 'poses', se3.checked(self.poses))
        except ValueError as error:
            raise MapError(f'the map is damaged: {error}; {_REBUILD}') from error
        _check_index(self.camera_of, len(self.cameras), 'camera')
        _check_index(self.session_of, len(self.sessions), 'session')

    def __len__(self) -> int:
        return len(self.poses)

    def features_of(self, place: int) -> Features | None:
        """Return the local features of a place, or None for a map without."""
        return None if self.features is None else self.features.of(place)

    def save(self, path: Path, force: bool = False) -> None:
        """Write the map folder; an existing one is replaced only with `force`, and then at once.

        Raises MapError when it exists or cannot be written.
        """
        with new_folder(path, force, MapError) as folder:
            np.save(folder / 'descriptors.npy', np.asarray(self.descriptors, dtype=np.float32))
            sizes = [len(jpeg) for jpeg in self.thumbnails]
            np.savez(folder / 'places.npz', poses=self.poses, stamps_ns=self.stamps_ns,
                     camera_of=self.camera_of, session_of=self.session_of,
                     thumbnail_ends=np.cumsum(sizes, dtype=np.int64))
            (folder / 'thumbnails.bin').write_bytes(b''.join(self.thumbnails))
            record = {
                'schema': SCHEMA,
                'frame_id': self.frame_id,
                'cameras': [_camera_record(camera) for camera in self.cameras],
                'sessions': list(self.sessions),
                'topics': dict(self.topics),
                'pose_source': self.pose_source,
                'card': self.card.to_json(),
            }
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
            packed = (path / 'thumbnails.bin').read_bytes()
            starts = np.concatenate([np.zeros(1, np.int64), ends])[:len(ends)]
            return cls(
                frame_id=record['frame_id'],
                card=ModelCard.from_json(record['card'], f'the card in {path / _RECORD}'),
                cameras=tuple(_camera(item) for item in record['cameras']),
                descriptors=np.load(path / 'descriptors.npy', mmap_mode='r', allow_pickle=False),
                sessions=tuple(record['sessions']),
                thumbnails=tuple(packed[a:b] for a, b in zip(starts, ends, strict=True)),
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
    if record.get('schema') != SCHEMA:
        raise MapError(f'{file} has schema {record.get("schema")!r}, this version reads {SCHEMA}; '
                       'build the map again')
    return record


def _camera(item: Mapping[str, Any]) -> Camera:
    mount, lens = item['base_from_camera'], item.get('intrinsics')
    return Camera(item['name'], None if mount is None else se3.checked(mount),
                  None if lens is None else Intrinsics.from_record(lens))


def _camera_record(camera: Camera) -> dict[str, Any]:
    mount, lens = camera.base_from_camera, camera.intrinsics
    return {'name': camera.name, 'base_from_camera': None if mount is None else list(mount),
            'intrinsics': None if lens is None else lens.record()}


def _all_unit(rows: NDArray[np.float32]) -> bool:
    for start in range(0, len(rows), 4096):  # in pieces: the rows may be memory-mapped
        lengths = np.linalg.norm(rows[start:start + 4096], axis=1)
        if not (np.abs(lengths - 1.0) <= _UNIT_TOLERANCE).all():
            return False
    return True


def _check_index(index: NDArray[np.int32], count: int, what: str) -> None:
    if index.min() < 0 or index.max() >= count:
        raise MapError(f'the map names a {what} that it does not hold; {_REBUILD}')
