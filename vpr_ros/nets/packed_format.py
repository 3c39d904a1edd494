# SPDX-License-Identifier: Apache-2.0
"""The layout of a `.vprz` file, and what a header may say before anything is believed.

    magic, version, sizes of the header as stored and as text      20 bytes, little-endian
    header                                                         JSON, a zstd frame
    streams in the order of STREAMS                                zstd frames
    SHA-256 of all that                                            32 bytes

The files of the model folder are cut into arrays and the bytes between them. An array is stored
once, wherever it occurs; the bytes between are one stream, `rest`. The card stands in the header,
since sizes are held against it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
import json
import re
import struct
from typing import Any

from vpr_ros.core.card import ModelCard
from vpr_ros.nets.array_code import ArrayPlan, ITEM_BYTES, Kind
from vpr_ros.nets.model_folder import CARD, WEIGHTS

MAGIC = b'\x93VPRZ\r\n\x1a'
VERSION = 1
PREFIX = struct.Struct('<8sIII')
DIGEST_BYTES = 32
# name -> bytes of an item, in the order of the file
STREAMS = {'symbols': 1, 'steps': 1, **{f'codebook{size}': size for size in ITEM_BYTES},
           **{f'plain{size}': size for size in ITEM_BYTES}, 'rest': 1}
MAX_HEADER_BYTES = 1 << 24
MAX_BYTES = 1 << 32          # of a packed file, and of the files in it
_MAX_FILES = 64
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,199}')  # no folder, nothing hidden
_LARGEST_KERNEL = 49         # 7x7 weights for a pair of channels
_PER_CHANNEL = 16            # bias, norm and its statistics, with room
_WIDEST_ITEM = 8
_ROOM_BYTES = 1 << 26        # for what is not weights: graphs, names, buffers


@dataclass(frozen=True)
class Piece:
    """An array in a file, `skip` bytes of `rest` behind the one before.

    `rows` other than 0: it stands there transposed, having that many rows as it is stored.
    """

    skip: int
    array: int
    rows: int


@dataclass(frozen=True)
class FilePlan:
    """A file of the folder: its name, its size, and its arrays from front to end."""

    name: str
    size: int
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Header:
    """What a packed file holds; `frames` are the stored sizes of each stream's frames.

    Raises ValueError when its parts contradict one another or leave the limits.
    """

    card: str
    files: tuple[FilePlan, ...]
    arrays: tuple[ArrayPlan, ...]
    frames: Mapping[str, tuple[int, ...]]

    def __post_init__(self) -> None:
        names = [file.name for file in self.files]
        if len(names) > _MAX_FILES or len(set(names)) < len(names):
            raise ValueError('a name twice, or too many files')
        if strange := [name for name in names if not _NAME.fullmatch(name)]:
            raise ValueError(f'a file called {strange[0]!r}')
        if CARD not in names or WEIGHTS not in names:
            raise ValueError(f'no {CARD} or no {WEIGHTS}')
        if self.size > MAX_BYTES:
            raise ValueError(f'{self.size} bytes of files, of {MAX_BYTES} that are allowed')
        self._refuse_wrong_pieces()
        if self.frames.keys() != STREAMS.keys():
            raise ValueError('other streams than there are')
        for name, count in self.counts.items():
            if len(self.frames[name]) != (STREAMS[name] if count else 0):
                raise ValueError(f'a stream {name} of {len(self.frames[name])} frames')

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def counts(self) -> dict[str, int]:
        """How many items each stream has."""
        counts = dict.fromkeys(STREAMS, 0)
        for plan in self.arrays:
            counts['symbols'] += plan.symbols
            counts['steps'] += plan.steps
            counts[f'codebook{plan.item_bytes}'] += plan.levels
            if plan.kind is Kind.PLAIN:
                counts[f'plain{plan.item_bytes}'] += plan.count
        counts['rest'] = sum(self.between(file) for file in self.files if file.name != CARD)
        return counts

    def between(self, file: FilePlan) -> int:
        """Return the bytes of a file that are in none of its arrays."""
        return file.size - sum(self.arrays[piece.array].size for piece in file.pieces)

    def _refuse_wrong_pieces(self) -> None:
        for file in self.files:
            if any(piece.array >= len(self.arrays) or (
                    piece.rows and self.arrays[piece.array].count % piece.rows)
                    for piece in file.pieces):
                raise ValueError(f'an array of {file.name} that is not there')
            if sum(piece.skip for piece in file.pieces) > self.between(file):
                raise ValueError(f'arrays that do not fit into {file.name}')
            if file.name == CARD and (file.pieces or file.size != len(self.card.encode())):
                raise ValueError(f'another {CARD}')
        used = {piece.array for file in self.files for piece in file.pieces}
        if len(used) < len(self.arrays):  # so no array is larger than the files
            raise ValueError('an array that is used nowhere')

    def to_json(self) -> str:
        """Return the text of the header."""
        return json.dumps({
            'card': self.card,
            'files': [[file.name, file.size, [list(astuple(piece)) for piece in file.pieces]]
                      for file in self.files],
            'arrays': [[plan.item_bytes, plan.count, plan.kind.value, plan.levels, plan.zero,
                        plan.values, plan.steps] for plan in self.arrays],
            'frames': {name: list(sizes) for name, sizes in self.frames.items()},
        }, separators=(',', ':'))

    @classmethod
    def from_json(cls, text: bytes) -> Header:
        """Return the header of its text; raises ValueError for anything else."""
        try:
            record = json.loads(text)
            files = tuple(FilePlan(str(name), _size(size), tuple(
                Piece(*map(_size, piece)) for piece in pieces))
                for name, size, pieces in record['files'])
            arrays = tuple(ArrayPlan(
                _size(item_bytes), _size(count), Kind(kind), *map(_size, parts))
                for item_bytes, count, kind, *parts in record['arrays'])
            frames = {str(name): tuple(map(_size, sizes))
                      for name, sizes in dict(record['frames']).items()}
            card = record['card']
            if not isinstance(card, str):
                raise ValueError('a card that is no text')
            return cls(card, files, arrays, frames)
        except (KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            raise ValueError(f'a malformed header ({error})') from error


def refuse_more_than(card: ModelCard, header: Header) -> None:
    """Raise ValueError when files are larger than a network of that card can need.

    The card tells widths and not kernels, so this is a bound, and a wide one.
    """
    weights = _WIDEST_ITEM * sum(
        max(n_in, 1) * max(n_out, 1) * _LARGEST_KERNEL + _PER_CHANNEL * max(n_in, n_out, 1)
        for n_in, n_out in card.widths.values()) + _ROOM_BYTES
    for file in header.files:
        if file.size > weights:
            raise ValueError(f'{file.name} would have {file.size} bytes, more than a network of '
                             f'its card can need ({weights})')


def frame_places(start: int, sizes: Mapping[str, Sequence[int]]) -> dict[str, list[slice]]:
    """Return where in a file each stream's frames lie, the first one at `start`."""
    places: dict[str, list[slice]] = {}
    for name in STREAMS:
        places[name] = []
        for size in sizes[name]:
            places[name].append(slice(start, start + size))
            start += size
    return places


def _size(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_BYTES:
        raise ValueError(f'a size of {str(value)[:40]}')
    return value
