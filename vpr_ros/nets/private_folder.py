# SPDX-License-Identifier: Apache-2.0
"""Folders in memory for what one process unpacks; they go with it, also when it is killed."""

from __future__ import annotations

from contextlib import suppress
import fcntl
import os
from pathlib import Path
import shutil
import tempfile
import weakref

from vpr_ros.errors import ModelError

MEMORY = Path('/dev/shm')
_PREFIX = 'vprz-'
_LOCK = '.lock'
_SPARE_BYTES = 1 << 24
_HERE: set[Path] = set()  # those of this process


class PrivateFolder:
    """A new folder in memory, or among the temporary files where memory has no room.

    It goes by `close()`, with this object, or at the end of the process, whichever is first.
    Where the process is killed, the next one that makes such a folder sweeps it away: an open
    lock shows who still lives.
    """

    def __init__(self, size: int) -> None:
        """Make a folder that `size` bytes fit into; raises ModelError where there is none."""
        base = _roomy(size)
        _sweep(base)
        try:
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
            # Locked before it has its name, so that nobody finds it unlocked.
            aside = self.path / f'{_LOCK}.new'
            lock = os.open(aside, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            aside.rename(self.path / _LOCK)
        except OSError as error:
            raise ModelError(f'cannot unpack into {base} ({error.strerror}); set TMPDIR to a '
                             'folder that can be written') from error
        _HERE.add(self.path)
        self._gone = weakref.finalize(self, _remove, self.path, lock, os.getpid())

    def close(self) -> None:
        """Remove the folder; a second time does nothing."""
        self._gone()


def is_private(folder: Path) -> bool:
    """Tell whether a folder is one of this process, which nobody will find again."""
    return folder in _HERE


def _remove(folder: Path, lock: int, owner: int) -> None:
    if os.getpid() != owner:  # a fork ends; the folder is its parent's
        return
    _HERE.discard(folder)
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


def _roomy(size: int) -> Path:
    """Return memory's folder, or that of temporary files, whichever has room first."""
    bases = [base for base in (MEMORY, Path(tempfile.gettempdir()))
             if base.is_dir() and os.access(base, os.W_OK)]
    for base in bases:
        if shutil.disk_usage(base).free >= size + _SPARE_BYTES:
            return base
    raise ModelError(f'the model needs {size / 1e6:.0f} MB to be unpacked, and neither '
                     f'{" nor ".join(map(str, bases))} has them; make room, or set TMPDIR')


def _sweep(base: Path) -> None:
    """Remove what processes left behind that were killed."""
    for folder in base.glob(f'{_PREFIX}*'):
        with suppress(OSError):  # another user's, or swept by another process meanwhile
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
