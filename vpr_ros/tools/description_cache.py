# SPDX-License-Identifier: Apache-2.0
"""Descriptions of runs on disk: made once for a recording and a network, in parts that resume.

An entry is a folder named by a key: `about.json` says what it depends on, `part-N-SHA256.npz`
hold FRAMES_A_PART pictures each under a name that is their digest, and `whole.json`, written last,
seals them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
import io
from itertools import islice
import json
import os
from pathlib import Path
import re
import shutil
import tempfile
from typing import Any
import zipfile

import numpy as np

from vpr_ros.core.folder import broken_seal, file_digest, seal
from vpr_ros.core.types import Describer
from vpr_ros.tools.description_key import DescriptionSource
from vpr_ros.tools.descriptions import count_of, Descriptions, look
from vpr_ros.tools.query_run import QueryRun

FRAMES_A_PART = 200            # that an interruption can cost
LARGEST_BYTES = 8 << 30        # of the whole cache; what was not used for longest goes first
_WHOLE = 'whole.json'
_PART = re.compile(r'part-(\d{5})-([0-9a-f]{64})\.npz')
_KEY = re.compile(r'[0-9a-f]{64}')


def default_cache() -> Path:
    """Return the user's folder for descriptions."""
    cache = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    return Path(cache).expanduser() / 'vpr_ros' / 'descriptions'


@dataclass(frozen=True, eq=False)
class Kept:
    """Descriptions, and in a line where they came from; `day` on which they were measured.

    `day` is empty where all of them were made just now.
    """

    descriptions: Descriptions
    line: str
    day: str = ''


@dataclass(frozen=True)
class DescriptionCache:
    """A folder of descriptions by key; what cannot be written there is said and not kept."""

    folder: Path
    run_by: str = ''            # engine, precision and threads: cost and last digits depend on it
    largest_bytes: int = LARGEST_BYTES

    def describe(self, run: QueryRun, describer: Describer) -> Kept:
        """Return the descriptions of a run with thumbnails, as far as possible those kept.

        `run.count` knows then how many pictures were read and skipped. Parts that are there and
        whole are used; one that is damaged and all after it are made again.
        """
        about = DescriptionSource(run.recording, run.asked.image, describer.card, self.run_by
                                  ).record()
        entry = _Entry(self.folder / DescriptionSource.key(about))
        dim = describer.card.dim
        if (whole := entry.whole(run, dim)) is not None:
            return whole
        parts, problem = entry.parts(dim), ''
        day, resumed = entry.day, sum(len(part) for part in parts)
        rest = look(run, describer, True, sum(part.images for part in parts))
        while items := list(islice(rest, FRAMES_A_PART)):
            parts.append(Descriptions.of(items, dim))
            problem = problem or entry.keep(about, len(parts) - 1, parts[-1])
        descriptions = Descriptions.joined(parts, dim)
        problem = problem or entry.finish(len(parts), run)
        _take_count(run, descriptions)
        if problem:
            return Kept(descriptions, f'the descriptions of the images are not kept: {problem}',
                        day)
        _drop_oldest(self.folder, self.largest_bytes, entry.path)
        again = f', {resumed} of them before' if resumed else ''
        return Kept(descriptions, f'{len(descriptions)} images described{again}; kept in '
                    f'{entry.path}', day)


class _Entry:
    """The folder of one key."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def day(self) -> str:
        """When the oldest part was made; empty where there is none."""
        made = [file.stat().st_mtime for file in self.path.glob('part-*.npz')]
        return date.fromtimestamp(min(made)).isoformat() if made else ''

    def whole(self, run: QueryRun, dim: int) -> Kept | None:
        """Return all of it, or None where it is not complete or damaged."""
        try:
            record = json.loads((self.path / _WHOLE).read_bytes())
            if broken_seal(record, self.path, _WHOLE) is not None:
                raise ValueError('damaged')
            parts = self.parts(dim)
            if len(parts) != record['parts']:
                raise ValueError('damaged')
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            with suppress(OSError):
                (self.path / _WHOLE).unlink()
            return None
        run.count.skipped = int(record['without_stamp'])
        run.count.first_problem = str(record['first_problem'])
        descriptions = Descriptions.joined(parts, dim)
        _take_count(run, descriptions)
        with suppress(OSError):
            os.utime(self.path / _WHOLE)   # used just now
        day = self.day
        return Kept(descriptions, f'{len(descriptions)} images were described before, on {day}: '
                    f'their times are of then ({self.path})', day)

    def parts(self, dim: int) -> list[Descriptions]:
        """Return the parts from the first on, as far as they are whole; the others go."""
        found: list[Descriptions] = []
        for number, file in self._files():
            part = _read(file, dim) if number == len(found) else None
            if part is not None:
                found.append(part)
            else:   # what it would follow is lost
                with suppress(OSError):
                    file.unlink()
        return found

    def _files(self) -> Iterator[tuple[int, Path]]:
        for file in sorted(self.path.glob('part-*.npz')):
            if (name := _PART.fullmatch(file.name)) is None:
                continue
            if file_digest(file) == name[2]:
                yield int(name[1]), file
            else:
                with suppress(OSError):
                    file.unlink()

    def keep(self, about: dict[str, Any], number: int, part: Descriptions) -> str:
        """Write a part; return why that was not possible, or nothing."""
        buffer = io.BytesIO()
        np.savez(buffer, stamps_ns=part.stamps_ns, descriptors=part.descriptors,
                 decode_ms=part.decode_ms, describe_ms=part.describe_ms,
                 thumbnails=np.frombuffer(b''.join(part.thumbnails), np.uint8),
                 thumbnail_ends=np.cumsum([len(jpeg) for jpeg in part.thumbnails],
                                          dtype=np.int64),
                 problems=np.array(json.dumps(part.problems)), images=np.int64(part.images))
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            _replace(self.path / 'about.json', (json.dumps(about, indent=2) + '\n').encode())
            aside = _aside(self.path, buffer.getvalue())
            os.replace(aside, self.path / f'part-{number:05d}-{file_digest(aside)}.npz')
        except OSError as error:
            return f'{self.path} cannot be written ({error.strerror})'
        return ''

    def finish(self, parts: int, run: QueryRun) -> str:
        """Say that all parts are there; return why that was not possible, or nothing."""
        try:
            record = seal({'parts': parts, 'without_stamp': run.count.skipped,
                           'first_problem': run.count.first_problem}, self.path)
            _replace(self.path / _WHOLE, (json.dumps(record, indent=2) + '\n').encode())
        except OSError as error:
            return f'{self.path} cannot be written ({error.strerror})'
        return ''


def _take_count(run: QueryRun, descriptions: Descriptions) -> None:
    count = count_of(descriptions, run.count)
    run.count.read, run.count.skipped = count.read, count.skipped
    run.count.first_problem = count.first_problem


def _read(file: Path, dim: int) -> Descriptions | None:
    """Return a part whose digest is right; None for one that is no part after all."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            packed, ends = arrays['thumbnails'].tobytes(), arrays['thumbnail_ends'].tolist()
            part = Descriptions(
                arrays['stamps_ns'], arrays['descriptors'], arrays['decode_ms'],
                arrays['describe_ms'],
                tuple(packed[a:b] for a, b in zip([0, *ends], ends, strict=False)),
                tuple(json.loads(str(arrays['problems']))), int(arrays['images']))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return part if part.descriptors.shape == (len(part), dim) else None


def _aside(folder: Path, data: bytes) -> Path:
    handle, name = tempfile.mkstemp(prefix='.aside.', dir=folder)
    with os.fdopen(handle, 'wb') as stream:
        stream.write(data)
    return Path(name)


def _replace(file: Path, data: bytes) -> None:
    os.replace(_aside(file.parent, data), file)


def _drop_oldest(cache: Path, largest_bytes: int, kept: Path) -> None:
    """Remove what was not used for longest until the cache is small enough."""
    entries = [entry for entry in cache.iterdir() if _KEY.fullmatch(entry.name)]
    sizes = {entry: sum(file.stat().st_size for file in entry.iterdir()) for entry in entries}
    used = sorted((entry for entry in entries if entry != kept), key=_last_used)
    while used and sum(sizes.values()) > largest_bytes:
        oldest = used.pop(0)
        shutil.rmtree(oldest, ignore_errors=True)
        del sizes[oldest]


def _last_used(entry: Path) -> float:
    return max((file.stat().st_mtime for file in entry.iterdir()), default=0.0)
