# SPDX-License-Identifier: Apache-2.0
"""One file from the web: resumed when cut, bounded in size, and the same ever after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
import json
from pathlib import Path
import re
from typing import Any
import urllib.error
import urllib.request

from vpr_ros import __version__
from vpr_ros.core.folder import file_digest
from vpr_ros.errors import ModelError

MAX_BYTES = 1 << 30
_CHUNK_BYTES = 1 << 18
_PATIENCE_S = 30.0

Progress = Callable[[int, int], object]  # bytes so far, bytes in all (0: not said)


@dataclass(frozen=True)
class Place:
    """Where a file and what belongs to it lie."""

    target: Path

    @property
    def pin(self) -> Path:
        """The SHA-256 that the file had when it was first fetched."""
        return self._beside('.sha256')

    @property
    def part(self) -> Path:
        """What has arrived so far."""
        return self._beside('.part')

    @property
    def tag(self) -> Path:
        """Which version of the file the part belongs to, as the server calls it."""
        return self._beside('.part.json')

    def _beside(self, suffix: str) -> Path:
        return self.target.with_name(self.target.name + suffix)


def download(url: str, target: Path, remedy: str, check: Callable[[Path], object], *,
             max_bytes: int = MAX_BYTES,
             progress: Progress = lambda done, total: None) -> Path:
    """Return `target`, fetched from `url` unless it is there already.

    Its digest is written beside it the first time and must be the same ever after.  A part that
    was cut off is gone on from.  `check` raises for content that must not be kept; `remedy` tells
    the user how to do without the network.
    Raises ModelError when the server does not answer or has no such file, the connection is cut,
    the file is larger than `max_bytes`, or differs from the one fetched first.
    """
    place = Place(target)
    if target.is_file():
        return _pinned(place, target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _fetch(url, place, remedy, max_bytes, progress)
        try:
            check(place.part)
        except ModelError:
            _forget(place)
            raise
        _pinned(place, place.part)
        place.part.replace(target)
        place.tag.unlink(missing_ok=True)
    except OSError as error:
        raise ModelError(f'{target} cannot be written ({error.strerror or error}); choose another '
                         'folder by --downloads') from error
    return target


def _pinned(place: Place, file: Path) -> Path:
    """Return `file` after holding it against its pin, or pinning it; raises ModelError."""
    digest = file_digest(file)
    if not place.pin.is_file():
        place.pin.write_text(digest + '\n', encoding='ascii')
    elif (pinned := place.pin.read_text(encoding='ascii', errors='replace').strip()) != digest:
        said = f'has the SHA-256 {digest[:12]}, and had {pinned[:12]} when it was first fetched'
        if file == place.part:
            _forget(place)
            raise ModelError(f'{place.target.name} {said}: its source has exchanged it; ask there '
                             f'why, and delete {place.pin} if that is right')
        raise ModelError(f'{file} {said}: it is damaged; delete it to fetch it again')
    return file


def _fetch(url: str, place: Place, remedy: str, max_bytes: int, progress: Progress) -> None:
    """Bring the part to its full length; raises ModelError."""
    try:
        start = _resumable(place)
        response = _open(url, place, start)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416 or not start:
            raise ModelError(f'{url}: the server answers {error.code} ({error.reason}); {remedy}'
                             ) from error
        _forget(place)  # more is here than there: begin anew
        _fetch(url, place, remedy, max_bytes, progress)
        return
    except (OSError, HTTPException) as error:
        reason = getattr(error, 'reason', '') or error
        raise ModelError(f'{url} cannot be reached ({reason}); {remedy}') from error
    with response:
        if response.status == 206 and not _starts_at(response, start):
            raise ModelError(f'{url}: the server went on at another place than asked; '
                             f'delete {place.part} and try again')
        start = start if response.status == 206 else 0
        length = response.headers.get('Content-Length')
        total = start + int(length) if length and length.isdigit() else 0
        if total > max_bytes:
            raise ModelError(f'{url} has {total / 1e6:.1f} MB, more than the limit of '
                             f'{max_bytes / 1e6:.1f} MB; raise --max-mb if that is right')
        if not start:
            _remember(place, response)
        done = _receive(response, place.part, start, total, url, max_bytes, progress)
    if total and done < total:
        raise ModelError(f'{url} was cut off after {done / 1e6:.1f} of {total / 1e6:.1f} MB; '
                         'run the same command again to go on')


def _receive(response: HTTPResponse, part: Path, start: int, total: int, url: str,
             max_bytes: int, progress: Progress) -> int:
    """Append what arrives; return how many bytes are there, also when the connection is cut."""
    done = start
    with part.open('ab' if start else 'wb') as stream:
        while True:
            try:
                chunk = response.read(_CHUNK_BYTES)
            except (HTTPException, OSError) as error:
                if not total:
                    raise ModelError(f'{url} was cut off after {done / 1e6:.1f} MB; run the same '
                                     'command again') from error
                return done
            if not chunk:
                return done
            done += len(chunk)
            if done > max_bytes:
                raise ModelError(f'{url} has more than the limit of {max_bytes / 1e6:.1f} MB; '
                                 'raise --max-mb if that is right')
            stream.write(chunk)
            progress(done, total)


def _open(url: str, place: Place, start: int) -> Any:
    headers = {'User-Agent': f'vpr_ros/{__version__}', 'Accept-Encoding': 'identity'}
    if start:
        version = json.loads(place.tag.read_text(encoding='utf-8'))['version']
        headers.update({'Range': f'bytes={start}-', 'If-Range': version})
    response = urllib.request.urlopen(urllib.request.Request(url, headers=headers),
                                      timeout=_PATIENCE_S)
    if url.startswith('https:') and not response.url.startswith('https:'):
        response.close()
        raise ModelError(f'{url} leads to {response.url}, which is not encrypted; nothing was '
                         'downloaded')
    return response


def _resumable(place: Place) -> int:
    """Return at which byte to go on: 0 unless a part of a known version is here."""
    try:
        known = json.loads(place.tag.read_text(encoding='utf-8'))['version']
        return place.part.stat().st_size if isinstance(known, str) and known else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _remember(place: Place, response: HTTPResponse) -> None:
    """Write down which version a new part belongs to, where the server says so."""
    version = response.headers.get('ETag') or ''
    if not version or version.startswith('W/'):  # a weak one does not promise equal bytes
        version = response.headers.get('Last-Modified') or ''
    place.tag.write_text(json.dumps({'version': version}), encoding='utf-8')


def _starts_at(response: HTTPResponse, start: int) -> bool:
    found = re.match(r'bytes (\d+)-', response.headers.get('Content-Range') or '')
    return found is not None and int(found[1]) == start


def _forget(place: Place) -> None:
    place.part.unlink(missing_ok=True)
    place.tag.unlink(missing_ok=True)
