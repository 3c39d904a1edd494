# SPDX-License-Identifier: Apache-2.0
"""How much memory an evaluation needed."""

from __future__ import annotations

from pathlib import Path
import resource
import sys

from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.run_report import Memory


def memory_of(place_map: PlaceMap, model_bytes: int | None = None) -> Memory:
    """Return what the network's files, the map as it is searched, and this process take."""
    arrays = (place_map.descriptors, place_map.poses, place_map.stamps_ns)
    return Memory(model_bytes, sum(int(array.nbytes) for array in arrays), _peak_bytes())


def folder_bytes(folder: Path) -> int:
    """Return the size of the files of a folder; hidden ones are caches and do not count."""
    return sum(file.stat().st_size for file in folder.rglob('*')
               if file.is_file() and not file.name.startswith('.'))


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == 'darwin' else peak * 1024
