# SPDX-License-Identifier: Apache-2.0
"""Messages of a ROS 1 .bag file that has no index.

https://wiki.ros.org/Bags/Format/2.0
"""

from __future__ import annotations

from bz2 import BZ2Decompressor
from pathlib import Path
import struct
from typing import NamedTuple

import lz4.frame  # type: ignore[import-untyped]
from rosbags.typesys.msg import normalize_msgtype

from vpr_ros.bags.scan import BlockCache, Entry, Place

_MAGIC = b'#ROSBAG V2.0\n'
_MESSAGE, _CHUNK, _CONNECTION = 2, 5, 7
_LENGTH = struct.Struct('<I')


class _Record(NamedTuple):
    fields: dict[str, bytes]
    start: int  # of its data
    size: int

    @property
    def kind(self) -> int:
        return self.fields['op'][0]

    def number(self, name: str) -> int:
        return int.from_bytes(self.fields[name], 'little')


class Rosbag1Scan:
    """See `Scan`."""

    def __init__(self, path: Path) -> None:
        self.problem = ''
        self.types: dict[str, str] = {}
        self._topics: dict[int, str] = {}
        self._found: list[tuple[int, int, Place]] = []  # record_ns, connection, place
        self._file = path.open('rb')
        self._size = path.stat().st_size
        self._cache = BlockCache(self._unpacked)
        self._walk_file()
        self.entries = [Entry(record_ns, self._topics[connection], place)
                        for record_ns, connection, place in self._found
                        if connection in self._topics]

    def _walk_file(self) -> None:
        """Note every message of the file; ends where the file ends or makes no sense."""
        if self._file.read(len(_MAGIC)) != _MAGIC:
            self.problem = 'it does not begin as a bag of version 2.0'
            return
        start = len(_MAGIC)
        while True:
            try:
                record = self._record_at(start)
            except (struct.error, ValueError, KeyError, IndexError) as error:
                if start < self._size:
                    self.problem = self.problem or f'the records end at byte {start} ({error})'
                return
            try:
                if record.kind == _CHUNK:
                    self._walk_block(self._unpacked(start), start)
                elif record.kind == _CONNECTION:  # the index at the end repeats them
                    self._file.seek(record.start)
                    self._define(record, self._file.read(record.size))
            except Exception as error:  # damaged bytes fail in as many ways as there are fields
                self.problem = self.problem or f'the record at byte {start} is damaged ({error})'
            start = record.start + record.size

    def _record_at(self, start: int) -> _Record:
        """Return the record at a byte of the file; its data may end beyond the file."""
        self._file.seek(start)
        (length,) = _LENGTH.unpack(self._file.read(4))
        if start + 4 + length > self._size:
            raise ValueError('the file is cut there')
        header = self._file.read(length)
        (size,) = _LENGTH.unpack(self._file.read(4))
        return _Record(_fields(header), start + 4 + length + 4, size)

    def _walk_block(self, block: bytes, start: int) -> None:
        """Note the messages of a chunk, or of as much of it as there is."""
        at = 0
        while at + 4 <= len(block):
            (length,) = _LENGTH.unpack_from(block, at)
            body = at + 4 + length + 4
            if body > len(block):
                return
            (size,) = _LENGTH.unpack_from(block, body - 4)
            if body + size > len(block):
                return
            record = _Record(_fields(block[at + 4:body - 4]), body, size)
            if record.kind == _CONNECTION:
                self._define(record, block[body:body + size])
            elif record.kind == _MESSAGE:
                sec, nanosec = struct.unpack('<II', record.fields['time'])
                self._found.append((sec * 1_000_000_000 + nanosec, record.number('conn'),
                                    Place(start, body, size)))
            at = body + size

    def _define(self, record: _Record, data: bytes) -> None:
        topic = record.fields['topic'].decode()
        self._topics[record.number('conn')] = topic
        self.types[topic] = normalize_msgtype(_fields(data)['type'].decode())

    def _unpacked(self, start: int) -> bytes:
        """Return the records of the chunk at `start`, or of the part of it that is there."""
        record = self._record_at(start)
        self._file.seek(record.start)
        data = self._file.read(record.size)
        compression = record.fields['compression']
        if compression == b'bz2':
            return BZ2Decompressor().decompress(data)
        if compression == b'lz4':
            return bytes(lz4.frame.LZ4FrameDecompressor().decompress(data))
        return data

    def fetch(self, place: Place) -> bytes:
        """Return the bytes of one message."""
        return self._cache.fetch(place)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _fields(header: bytes) -> dict[str, bytes]:
    """Return the `name=value` fields of a record's header."""
    fields: dict[str, bytes] = {}
    at = 0
    while at < len(header):
        (length,) = _LENGTH.unpack_from(header, at)
        name, equals, value = header[at + 4:at + 4 + length].partition(b'=')
        if not equals:
            raise ValueError('a header field without a value')
        fields[name.decode()] = value
        at += 4 + length
    return fields
