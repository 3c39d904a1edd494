# SPDX-License-Identifier: Apache-2.0
"""Descriptions of image sets, kept on disk block by block: done work is never done again.

A block is found again only by the digest of all that made it: names, sizes and times of the
files (or the pixels, where there are no files), the model's card, the engine and its precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import hashlib
import json
import os
from pathlib import Path
from time import perf_counter

import numpy as np

from vpr_ros.core.types import Describer, Descriptors, Image
from vpr_ros.errors import VprError
from vpr_ros.tools.progress import progress

BLOCK = 512      # images that are lost at most when a run is killed
BATCH = 16       # images that are held in memory, decoded


@dataclass(frozen=True, eq=False)
class Described:
    """Descriptors (N, dim), and the milliseconds that an image took to describe, when it did.

    `fresh` is the number of images that were described just now; the others were kept.
    """

    descriptors: Descriptors
    ms_per_image: float
    fresh: int


def default_cache() -> Path:
    """Return where descriptions are kept unless another folder is named."""
    cache = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    return Path(cache).expanduser() / 'vpr_ros' / 'set_descriptions'


def describe_images(images: Sequence[Image], describer: Describer, cache: Path | None,
                    what: str = 'describe') -> Described:
    """Return the descriptors of all images, as far as possible from `cache` (None: no cache).

    Raises DatasetError for an image that cannot be read, VprError when the cache cannot be
    written. What was described until then is kept.
    """
    folder = None if cache is None else cache / _key(images, describer)
    starts = range(0, len(images), BLOCK)
    blocks, spent_ms, fresh = [], 0.0, 0
    for start in progress(starts, len(starts), what):
        count = min(BLOCK, len(images) - start)
        kept = None if folder is None else _read(folder, start, count, describer.card.dim)
        if kept is None:
            rows, ms = _describe(images, start, count, describer)
            fresh += count
            if folder is not None:
                _write(folder, start, rows, ms)
        else:
            rows, ms = kept
        blocks.append(rows)
        spent_ms += ms
    if not blocks:
        raise VprError('there are no images to describe')
    return Described(np.concatenate(blocks), spent_ms / len(images), fresh)


def _describe(images: Sequence[Image], start: int, count: int, describer: Describer
              ) -> tuple[Descriptors, float]:
    rows, spent_s = [], 0.0
    for first in range(start, start + count, BATCH):
        batch = [images[i] for i in range(first, min(first + BATCH, start + count))]
        begun = perf_counter()
        rows.append(describer.describe(batch))
        spent_s += perf_counter() - begun
    return np.concatenate(rows), spent_s * 1e3


def _key(images: Sequence[Image], describer: Describer) -> str:
    digest = hashlib.sha256(describer.card.to_json().encode())
    # A describer that is no engine of ours has no such names, and its card stands for it.
    for name in ('engine', 'precision'):
        digest.update(f'|{getattr(describer, name, "")}'.encode())
    digest.update(image_digest(images).encode())
    return digest.hexdigest()[:32]


def image_digest(images: Sequence[Image]) -> str:
    """Return what tells these images from all others: by their files, else by their pixels."""
    digest = hashlib.sha256()
    files: tuple[Path, ...] | None = getattr(images, 'files', None)
    if files is not None:
        for file in files:
            status = file.stat() if file.exists() else None
            digest.update(f'{file.resolve()}|{status and status.st_size}|'
                          f'{status and status.st_mtime_ns}\n'.encode(errors='surrogateescape'))
    else:
        for image in images:
            digest.update(f'{image.shape}'.encode())
            digest.update(image.tobytes())
    return digest.hexdigest()


def _read(folder: Path, start: int, count: int, dim: int) -> tuple[Descriptors, float] | None:
    """Return a block and the milliseconds that it took; None when it is not there, or damaged."""
    try:
        note = json.loads((folder / f'{start:07d}.json').read_text())
        data = (folder / f'{start:07d}.f32').read_bytes()
        if hashlib.sha256(data).hexdigest() != note['sha256']:
            return None
        rows = np.frombuffer(data, '<f4').reshape(count, dim).astype(np.float32)
        return rows, float(note['ms'])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(folder: Path, start: int, rows: Descriptors, ms: float) -> None:
    data = rows.astype('<f4').tobytes()
    note = json.dumps({'sha256': hashlib.sha256(data).hexdigest(), 'ms': round(ms, 3)})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, content in (('.f32', data), ('.json', note.encode())):
            aside = folder / f'.{start:07d}.{os.getpid()}{suffix}'
            aside.write_bytes(content)
            aside.replace(folder / f'{start:07d}{suffix}')
    except OSError as error:
        raise VprError(f'cannot keep descriptions in {folder} ({error.strerror}); name another '
                       'folder with --cache, or none with --no-cache') from error
