# SPDX-License-Identifier: Apache-2.0
"""Folders that are either whole or absent: written aside, checked by digest, swapped in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
import ctypes
import hashlib
import json
import os
from pathlib import Path
import shutil
import tempfile
from typing import Any

from vpr_ros.errors import VprError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_CHUNK_BYTES = 1 << 20

Failure = Callable[[str], VprError]


@contextmanager
def new_folder(path: Path, force: bool, failure: Failure) -> Iterator[Path]:
    """Yield a folder to fill; it becomes `path` when the block ends without an exception.

    A process killed on the way leaves whatever was at `path` untouched.
    Raises `failure` when `path` exists and `force` is not given, or cannot be written.
    """
    refuse_existing(path, force, failure)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f'.{path.name}.', dir=path.parent))
    except OSError as error:
        raise failure(f'cannot write {path} ({error.strerror}); choose another place') from error
    try:
        aside.chmod(0o755)
        yield aside
        for file in aside.rglob('*'):
            if file.is_file():
                _sync(file)
        _sync(aside)
        if path.exists():
            _exchange(aside, path)
        else:
            aside.rename(path)
        _sync(path.parent)
    except OSError as error:
        raise failure(f'writing {path} failed ({error.strerror}); nothing was changed') from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def refuse_existing(path: Path, force: bool, failure: Failure) -> None:
    """Raise `failure` when `path` exists and may not be replaced; ask before long work."""
    if path.exists() and not force:
        raise failure(f'{path} exists already; choose another name or pass --force to replace it')


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open('rb') as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def seal(record: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return `record` with the digests of the folder's files and, last, a digest of itself.

    Hidden files are left out: they are caches, which come and go.
    """
    files = {file.name: file_digest(file) for file in sorted(folder.iterdir())
             if not file.name.startswith('.')}
    sealed = {**record, 'files': files}
    return {**sealed, 'digest': _record_digest(sealed)}


def broken_seal(record: Mapping[str, Any], folder: Path, record_name: str) -> str | None:
    """Return what does not agree with the digests in a sealed `record`, or None."""
    body = {key: value for key, value in record.items() if key != 'digest'}
    if record.get('digest') != _record_digest(body):
        return f'{folder / record_name} does not match its own digest'
    files = record.get('files')
    if not isinstance(files, dict):
        return f'{folder / record_name} lists no files'
    for name, digest in files.items():
        file = folder / name
        if not file.is_file():
            return f'{file} is missing'
        if file_digest(file) != digest:
            return f'{file} does not match its digest'
    return None


def _record_digest(record: Mapping[str, Any]) -> str:
    text = json.dumps(record, sort_keys=True, separators=(',', ':'))
    return hashlib.sha256(text.encode()).hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(new: Path, old: Path) -> None:
    """Swap two names in one step, so that no moment exists at which `old` is gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    rename = getattr(libc, 'renameat2', None)
    if rename is not None and rename(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(old),
                                     _RENAME_EXCHANGE) == 0:
        return
    # A file system without the exchange (some network mounts): the old one steps aside first.
    retired = new.with_name(new.name + '.old')
    old.rename(retired)
    new.rename(old)
    shutil.rmtree(retired, ignore_errors=True)
