# SPDX-License-Identifier: Apache-2.0
"""A packed model back into its folder, every file byte for byte; needs neither torch nor onnx."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.card import ModelCard
from vpr_ros.core.folder import new_folder
from vpr_ros.errors import ModelError
from vpr_ros.nets.array_code import ArrayPlan, CodedArray, decode, Kind, unsigned
from vpr_ros.nets.byte_streams import expand, expand_numbers
from vpr_ros.nets.model_folder import CARD, read_card
from vpr_ros.nets.packed_format import (
    DIGEST_BYTES,
    frame_places,
    Header,
    MAGIC,
    MAX_BYTES,
    MAX_HEADER_BYTES,
    PREFIX,
    refuse_more_than,
    STREAMS,
    VERSION,
)
from vpr_ros.nets.private_folder import PrivateFolder

_REMEDY = 'copy it again, or pack the model folder again (vpr model pack)'


def unpack(file: Path, folder: Path, force: bool = False) -> ModelCard:
    """Write the model folder of a packed file, whole or not at all; return its card.

    Raises ModelError for a file that is absent, damaged or no packed model, and when the folder
    exists and `force` is not given.
    """
    packed = PackedFile.read(file)
    with new_folder(folder, force, ModelError) as new:
        packed.write_into(new)
        return read_card(new)


def unpacked_privately(file: Path) -> PrivateFolder:
    """Return a packed file's folder, in memory; raises ModelError as `unpack`.

    Its digests are not compared yet: `read_card` does.
    """
    packed = PackedFile.read(file)
    folder = PrivateFolder(packed.header.size)
    try:
        packed.write_into(folder.path)
    except BaseException:
        folder.close()
        raise
    return folder


@dataclass(frozen=True, eq=False)
class PackedFile:
    """A `.vprz` file whose digest agrees and whose header contradicts nothing."""

    path: Path
    header: Header
    _data: memoryview
    _places: dict[str, list[slice]]

    @classmethod
    def read(cls, path: Path) -> PackedFile:
        """Return the file after holding it against its digest, and its sizes against its card.

        Nothing that it claims is allocated before.  Raises ModelError.
        """
        try:
            with path.open('rb') as stream:
                if stream.read(len(MAGIC)) != MAGIC:
                    raise ModelError(f'{path} is no packed model, and no model folder; vpr model '
                                     'pack makes the one of the other')
                if os.fstat(stream.fileno()).st_size > MAX_BYTES:
                    raise ModelError(f'{path} is larger than any packed model; {_REMEDY}')
                stream.seek(0)
                data = memoryview(stream.read())
        except OSError as error:
            raise ModelError(f'there is no packed model {path} ({error.strerror}); check the '
                             'path') from error
        try:
            return cls(path, *_checked(path, data))
        except ValueError as error:
            raise _damaged(path, error) from error

    def write_into(self, folder: Path) -> None:
        """Write the files into an existing, empty folder.  Raises ModelError."""
        try:
            self._write_into(folder)
        except ValueError as error:
            raise _damaged(self.path, error) from error
        except OSError as error:
            raise ModelError(f'{self.path} cannot be unpacked into {folder} ({error.strerror}); '
                             'make room, or set TMPDIR') from error

    def arrays(self) -> Iterator[NDArray[Any]]:
        """Yield each array, (count,) of its bits as unsigned; raises ValueError."""
        counts, done = self.header.counts, dict.fromkeys(STREAMS, 0)
        streams: dict[str, NDArray[Any]] = {}

        def taken(name: str, count: int) -> NDArray[Any]:
            if not count:
                return np.empty(0, unsigned(STREAMS[name]))
            if name not in streams:
                frames = [self._data[place] for place in self._places[name]]
                streams[name] = expand_numbers(frames, STREAMS[name], counts[name])
            start = done[name]
            done[name] += count
            if done[name] == counts[name]:  # nobody will ask again
                return streams.pop(name)[start:]
            return streams[name][start:done[name]]

        for plan in self.header.arrays:
            yield decode(_parts_of(plan, taken))

    def _write_into(self, folder: Path) -> None:
        files = self.header.files
        places: list[list[tuple[int, int, int]]] = [[] for _ in self.header.arrays]
        handles: list[int] = []
        try:
            frames = self._places['rest']
            rest = memoryview(expand(self._data[frames[0]], self.header.counts['rest'])
                              if frames else b'')
            for number, file in enumerate(files):
                handles.append(os.open(folder / file.name,
                                       os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
                if file.name == CARD:
                    _write_at(handles[-1], memoryview(self.header.card.encode()), 0)
                    continue
                at = 0
                for piece in file.pieces:
                    _write_at(handles[-1], rest[:piece.skip], at)
                    rest, at = rest[piece.skip:], at + piece.skip
                    places[piece.array].append((number, at, piece.rows))
                    at += self.header.arrays[piece.array].size
                _write_at(handles[-1], rest[:file.size - at], at)
                rest = rest[file.size - at:]
            for array, where in zip(self.arrays(), places, strict=True):
                for number, at, rows in where:
                    laid = array.reshape(rows, -1).T if rows else array
                    _write_at(handles[number],
                              np.ascontiguousarray(laid).reshape(-1).view(np.uint8).data, at)
        finally:
            for handle in handles:
                os.close(handle)


def _checked(path: Path, data: memoryview) -> tuple[Header, memoryview, dict[str, list[slice]]]:
    """Return the header of a file and where its streams lie; raises ModelError, ValueError."""
    if len(data) < PREFIX.size + DIGEST_BYTES:
        raise ValueError('it is cut short')
    if hashlib.sha256(data[:-DIGEST_BYTES]).digest() != data[-DIGEST_BYTES:]:
        raise ValueError('its digest does not agree')
    _, version, stored, size = PREFIX.unpack(data[:PREFIX.size])
    if version != VERSION:
        raise ModelError(f'{path} is of version {version}, this reads {VERSION}; update vpr_ros')
    if size > MAX_HEADER_BYTES or PREFIX.size + stored + DIGEST_BYTES > len(data):
        raise ValueError(f'a header of {size} bytes')
    start = PREFIX.size + stored
    header = Header.from_json(expand(data[PREFIX.size:start], size))
    if start + sum(map(sum, header.frames.values())) + DIGEST_BYTES != len(data):
        raise ValueError('streams that are not of its size')
    refuse_more_than(ModelCard.from_json(header.card, f'{path}: {CARD}'), header)
    return header, data, frame_places(start, header.frames)


def _parts_of(plan: ArrayPlan, taken: Any) -> CodedArray:
    """Return the next array's parts; `taken` gives the next items of a stream."""
    plain = taken(f'plain{plan.item_bytes}', plan.count if plan.kind is Kind.PLAIN else 0)
    codebook = taken(f'codebook{plan.item_bytes}', plan.levels)
    return CodedArray(plan, plain, codebook, taken('symbols', plan.symbols),
                      taken('steps', plan.steps))


def _write_at(handle: int, data: memoryview, at: int) -> None:
    while data:
        written = os.pwrite(handle, data, at)
        data, at = data[written:], at + written


def _damaged(path: Path, error: Exception) -> ModelError:
    return ModelError(f'{path} is damaged ({error}); {_REMEDY}')
