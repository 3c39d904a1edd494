# SPDX-License-Identifier: Apache-2.0
"""A model folder as one small file: each array once, coded by what it is; exact in every byte."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from filecmp import cmp
import hashlib
from itertools import chain
import os
from pathlib import Path
import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.folder import refuse_existing
from vpr_ros.errors import ModelError
from vpr_ros.nets.array_code import CodedArray, encode, Kind, unsigned
from vpr_ros.nets.array_spans import Span, spans
from vpr_ros.nets.byte_streams import squeeze, squeeze_numbers
from vpr_ros.nets.model_folder import CARD, read_card, WEIGHTS
from vpr_ros.nets.opened_model import opened
from vpr_ros.nets.packed_format import (
    FilePlan,
    Header,
    MAGIC,
    MAX_BYTES,
    Piece,
    PREFIX,
    STREAMS,
    VERSION,
)
from vpr_ros.nets.packed_sizes import PackedSizes, sizes_of
from vpr_ros.nets.unpack import unpacked_privately

_FEWEST_BYTES = 64  # of an array: below, an entry in the table costs more than it saves


def pack(folder: Path, file: Path, force: bool = False) -> PackedSizes:
    """Write a model folder as one file, whole or not at all; return where its bytes went.

    Equal folders give equal files. What was written is unpacked and compared before it is kept.
    Raises ModelError when the folder is no model, or holds what no model does, and when the file
    exists and `force` is not given.
    """
    refuse_existing(file, force, ModelError)
    read_card(folder)
    folder = opened(folder)
    names = _names(folder)
    arrays, plans, rest = _Arrays(), [], []
    for name in sorted(names, key=lambda name: (name != WEIGHTS, name)):
        data = memoryview((folder / name).read_bytes())
        pieces, between = arrays.cut(name, data)
        plans.append(FilePlan(name, len(data), pieces))
        rest += between if name != CARD else []
    frames = _frames(arrays.coded, rest)
    header = Header((folder / CARD).read_bytes().decode(), tuple(plans),
                    tuple(coded.plan for coded in arrays.coded),
                    {name: tuple(map(len, each)) for name, each in frames.items()})
    _write(file, [*_head(header), *chain.from_iterable(frames.values())], folder, names, force)
    return sizes_of(arrays.names, arrays.coded, header, file.stat().st_size)


@dataclass
class _Arrays:
    """The arrays found so far, each once."""

    names: list[str] = field(default_factory=list)
    coded: list[CodedArray] = field(default_factory=list)
    _known: dict[tuple[int, bytes], int] = field(default_factory=dict)

    def cut(self, name: str, data: memoryview) -> tuple[tuple[Piece, ...], list[memoryview]]:
        """Return the arrays of a file, and the bytes between them."""
        pieces, between, end = [], [], 0
        for span in spans(name, data):
            if span.size >= _FEWEST_BYTES:
                items = np.frombuffer(bytes(data[span.offset:span.offset + span.size]),
                                      unsigned(span.item_bytes))
                between.append(data[end:span.offset])
                pieces.append(Piece(len(between[-1]), *self._place(name, span, items)))
                end = span.offset + span.size
        return tuple(pieces), [*between, data[end:]]

    def _place(self, file: str, span: Span, items: NDArray[Any]) -> tuple[int, int]:
        """Return which array this is, and the rows of it where it lies there transposed."""
        key = _key(items)
        if key not in self._known and len(span.shape) == 2 and min(span.shape) > 1:
            turned = np.ascontiguousarray(items.reshape(span.shape).T).reshape(-1)
            if (there := self._known.get(_key(turned))) is not None:
                return there, span.shape[1]
        if key not in self._known:
            self._known[key] = len(self.coded)
            self.coded.append(encode(items))
            self.names.append(span.name if file == WEIGHTS else f'{file}: {span.name}')
        return self._known[key], 0


def _key(items: NDArray[Any]) -> tuple[int, bytes]:
    return items.itemsize, hashlib.sha256(items.data).digest()


def _names(folder: Path) -> list[str]:
    """Return the files of a model folder but its caches; raises ModelError for what is no file."""
    found = [entry for entry in folder.iterdir() if not entry.name.startswith('.')]
    if other := [entry.name for entry in found if not entry.is_file()]:
        raise ModelError(f'{folder / min(other)} is no file, and a model folder holds files only; '
                         'move it away')
    if (size := sum(entry.stat().st_size for entry in found)) > MAX_BYTES:
        raise ModelError(f'{folder} has {size / 1e9:.1f} GB, more than a packed model may have '
                         f'({MAX_BYTES / 1e9:.1f} GB)')
    return [entry.name for entry in found]


def _frames(coded: Sequence[CodedArray], rest: Sequence[memoryview]) -> dict[str, list[bytes]]:
    """Return each stream's frames."""
    frames = {}
    for name in STREAMS:
        if name == 'rest':
            frames[name] = [squeeze(b''.join(rest))] if any(map(len, rest)) else []
            continue
        parts = [part for each in coded if (part := _part(each, name)).size]
        frames[name] = squeeze_numbers(np.concatenate(parts)) if parts else []
    return frames


def _part(coded: CodedArray, stream: str) -> NDArray[Any]:
    """Return what an array gives to a stream."""
    if stream == 'symbols':
        return coded.symbols
    if stream == 'steps':
        return coded.steps
    kind = 'plain' if coded.plan.kind is Kind.PLAIN else 'codebook'
    if stream != f'{kind}{coded.plan.item_bytes}':
        return np.empty(0, np.uint8)
    return coded.plain if coded.plan.kind is Kind.PLAIN else coded.codebook


def _head(header: Header) -> Iterator[bytes]:
    text = header.to_json().encode()
    stored = squeeze(text)
    yield PREFIX.pack(MAGIC, VERSION, len(stored), len(text))
    yield stored


def _write(file: Path, parts: Sequence[bytes], folder: Path, names: Sequence[str], force: bool
           ) -> None:
    """Write the file and its digest aside, unpack and compare it, and give it its name."""
    aside = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(prefix=f'.{file.name}.', dir=file.parent)
        digest = hashlib.sha256()
        with os.fdopen(handle, 'wb') as stream:
            for part in parts:
                digest.update(part)
                stream.write(part)
            stream.write(digest.digest())
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(aside, 0o644)
        _refuse_other(Path(aside), folder, names)
        refuse_existing(file, force, ModelError)  # it may have come meanwhile
        os.replace(aside, file)
        aside = None
    except OSError as error:
        raise ModelError(f'{file} cannot be written ({error.strerror}); choose another '
                         'place') from error
    finally:
        if aside is not None:
            Path(aside).unlink(missing_ok=True)


def _refuse_other(file: Path, folder: Path, names: Sequence[str]) -> None:
    """Raise ModelError unless a packed file gives back each file of a folder."""
    private = unpacked_privately(file)
    try:
        for name in names:
            if not cmp(private.path / name, folder / name, shallow=False):
                raise ModelError(f'{folder / name} does not come back as it was; it has changed '
                                 'meanwhile, or this is a fault of vpr_ros: please report it')
    finally:
        private.close()
