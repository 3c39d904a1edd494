# SPDX-License-Identifier: Apache-2.0
"""Messages of an .mcap file that has no end, or damage within.

The records are walked here and not by mcap's StreamReader, which gives up the whole chunk in
which a file was cut; in a short recording that is all there is. https://mcap.dev/spec
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
import struct
from typing import NamedTuple
from zlib import crc32

import lz4.frame  # type: ignore[import-untyped]
from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Schema
import zstandard

from vpr_ros.bags.scan import BlockCache, Entry, Place

_MAGIC = b'\x89MCAP0\r\n'
_HEAD = struct.Struct('<BQ')          # opcode, length
_MESSAGE = struct.Struct('<HIQQ')     # channel, sequence, log time, publish time


class _Found(NamedTuple):
    channel: int
    record_ns: int
    place: Place


class McapScan:
    """See `Scan`. A chunk whose checksum is wrong is left out whole."""

    def __init__(self, path: Path) -> None:
        self.problem = ''
        self._file = path.open('rb')
        self._size = path.stat().st_size
        self._schemas: dict[int, Schema] = {}
        self._channels: dict[int, Channel] = {}
        self._found: list[_Found] = []
        self._cache = BlockCache(self._unpacked)
        self._walk_file()
        self.types = {channel.topic: self._type(channel) for channel in self._channels.values()}
        self.entries = [Entry(found.record_ns, self._channels[found.channel].topic, found.place)
                        for found in self._found if found.channel in self._channels]

    def _type(self, channel: Channel) -> str:
        schema = self._schemas.get(channel.schema_id)
        name = schema.name if schema else 'unknown'
        encoding = channel.message_encoding
        return name if encoding == 'cdr' else f'{name} as {encoding}'

    def _walk_file(self) -> None:
        """Note every message of the file; ends where the file ends or makes no sense."""
        if self._file.read(len(_MAGIC)) != _MAGIC:
            self.problem = 'it does not begin as an mcap file'
            return
        while True:
            start = self._file.tell()
            head = self._file.read(_HEAD.size)
            if len(head) < _HEAD.size:
                return
            opcode, length = _HEAD.unpack(head)
            if opcode == Opcode.FOOTER:
                return
            if not 0 < opcode <= Opcode.DATA_END:
                self.problem = self.problem or f'the records are lost at byte {start}'
                return
            try:
                self._note(opcode, start, length)
            except Exception as error:  # damaged bytes fail in as many ways as there are fields
                self.problem = self.problem or f'the record at byte {start} is damaged ({error})'
            if start + _HEAD.size + length > self._size:
                return
            self._file.seek(start + _HEAD.size + length)

    def _note(self, opcode: int, start: int, length: int) -> None:
        body = start + _HEAD.size
        if opcode == Opcode.CHUNK:
            self._walk_block(self._unpacked(start), start)
        elif opcode == Opcode.MESSAGE and body + length <= self._size:
            channel, _, record_ns, _ = _MESSAGE.unpack(self._file.read(_MESSAGE.size))
            self._found.append(_Found(channel, record_ns, Place(
                -1, body + _MESSAGE.size, length - _MESSAGE.size)))
        elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL) and body + length <= self._size:
            self._define(opcode, self._file.read(length))

    def _walk_block(self, block: bytes, start: int) -> None:
        """Note the messages of a chunk, or of as much of it as there is."""
        at = 0
        while at + _HEAD.size <= len(block):
            opcode, length = _HEAD.unpack_from(block, at)
            body = at + _HEAD.size
            if body + length > len(block):
                return
            if opcode == Opcode.MESSAGE:
                channel, _, record_ns, _ = _MESSAGE.unpack_from(block, body)
                self._found.append(_Found(channel, record_ns, Place(
                    start, body + _MESSAGE.size, length - _MESSAGE.size)))
            elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
                self._define(opcode, block[body:body + length])
            at = body + length

    def _define(self, opcode: int, body: bytes) -> None:
        stream = ReadDataStream(BytesIO(body))
        if opcode == Opcode.SCHEMA:
            schema = Schema.read(stream)
            self._schemas[schema.id] = schema
        else:
            channel = Channel.read(stream)
            self._channels[channel.id] = channel

    def _unpacked(self, start: int) -> bytes:
        """Return the records of the chunk at `start`, or of the part of it that is there."""
        self._file.seek(start)
        _, length = _HEAD.unpack(self._file.read(_HEAD.size))
        there = self._file.read(min(length, self._size))
        chunk = Chunk.read(ReadDataStream(BytesIO(there)))
        if chunk.compression == 'zstd':
            data = zstandard.ZstdDecompressor().decompressobj().decompress(chunk.data)
        elif chunk.compression == 'lz4':
            data = lz4.frame.LZ4FrameDecompressor().decompress(chunk.data)
        else:
            data = chunk.data
        whole = len(there) == length
        if whole and chunk.uncompressed_crc and crc32(data) != chunk.uncompressed_crc:
            raise ValueError('checksum mismatch')
        return bytes(data)

    def fetch(self, place: Place) -> bytes:
        """Return the bytes of one message."""
        if place.block >= 0:
            return self._cache.fetch(place)
        self._file.seek(place.offset)
        return self._file.read(place.size)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
