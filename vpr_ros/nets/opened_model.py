# SPDX-License-Identifier: Apache-2.0
"""Where a model folder is asked for, a packed file does as well: this is where it becomes one."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from vpr_ros.nets.private_folder import is_private, PrivateFolder

_OPENED: dict[Path, tuple[tuple[int, ...], PrivateFolder]] = {}
_BUSY = Lock()


def opened(model: Path) -> Path:
    """Return a model folder as it is, and the folder of a packed file, in memory.

    It is unpacked once, and again when the file has changed; it goes with the process.
    Raises ModelError for a file that is no packed model, is damaged, or finds no room.
    """
    if not model.is_file():
        return model
    from vpr_ros.nets.unpack import unpacked_privately
    with _BUSY:
        file, status = model.resolve(), model.stat()
        state = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        known = _OPENED.get(file)
        if known is None or known[0] != state or not is_private(known[1].path):
            _OPENED[file] = known = (state, unpacked_privately(file))
        return known[1].path
