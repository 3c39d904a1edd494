# SPDX-License-Identifier: Apache-2.0
"""What a map holds, for people and for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from vpr_ros.core.calibration import Calibration
from vpr_ros.core.map_memory import map_bytes
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.tools.print_calibration import summary_of


def map_record(path: Path) -> dict[str, Any]:
    """Return what the map at `path` holds. Raises MapError when it is no sound map."""
    place_map = PlaceMap.load(path)
    steps_m = np.linalg.norm(np.diff(place_map.poses[:, :3], axis=0), axis=1)
    same_session = np.diff(place_map.session_of) == 0
    low, high = place_map.poses[:, :3].min(axis=0), place_map.poses[:, :3].max(axis=0)
    return {
        'path': str(path),
        'digest': place_map.digest,
        'places': len(place_map),
        'frame_id': place_map.frame_id,
        'length_m': round(float(steps_m[same_session].sum()), 2),
        'extent_m': [round(float(side), 2) for side in high - low],
        'cameras': {camera.name: None if camera.base_from_camera is None
                    else [round(float(x), 4) for x in camera.base_from_camera]
                    for camera in place_map.cameras},
        'lenses': {camera.name: None if camera.intrinsics is None else camera.intrinsics.model
                   for camera in place_map.cameras},
        'local_features': None if place_map.features is None
        else place_map.features.config.kind.value,
        'topics': dict(place_map.topics),
        'pose_source': place_map.pose_source,
        'sessions': list(place_map.sessions),
        'model': place_map.card.name,
        'model_digest': place_map.card.digest,
        'descriptor_dim': place_map.card.dim,
        'precision': place_map.precision.value,
        'descriptors_on_disk_mb': _mb((path / 'descriptors.npy').stat().st_size),
        'descriptors_in_memory_mb': _mb(map_bytes(len(place_map), place_map.card.dim,
                                                  place_map.precision)),
        'calibration': None if place_map.calibration is None
        else _calibration(place_map.calibration),
        'size_bytes': sum(file.stat().st_size for file in path.iterdir()),
    }


def _mb(size_bytes: int) -> float:
    """Return megabytes (10^6 bytes)."""
    return round(size_bytes / 1e6, 3)


def map_table(record: dict[str, Any]) -> Table:
    """Return the record as a table."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in record.items():
        if name == 'calibration':
            value = 'none; see vpr calibrate' if value is None else value['summary']
        table.add_row(name, ', '.join(map(str, value)) if isinstance(value, list) else str(value))
    return table


def _calibration(stored: Calibration) -> dict[str, Any]:
    return {'precision': stored.precision, 'threshold': stored.threshold,
            'coverage': stored.coverage, 'accepted': stored.accepted, 'wrong': stored.wrong,
            'calibration_error': stored.reliability.error, 'odometry': stored.odometry,
            'source': stored.source, 'summary': summary_of(stored)}
