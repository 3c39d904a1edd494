# SPDX-License-Identifier: Apache-2.0
"""Messages of a .db3 file that SQLite calls malformed.

SQLite reads from the root of its tree, and a cut takes branches of it away. So the pages are
read one after the other: a row is recognised by its shape, wherever its page lies, and it is
whole or it is not taken. https://www.sqlite.org/fileformat2.html
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import struct

from vpr_ros.bags.scan import Entry, Place

_TABLE_LEAF = 0x0D
_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 8: 0, 9: 0}


class SqliteScan:
    """See `Scan`. A write-ahead log beside the file is read as well, up to its last commit."""

    def __init__(self, path: Path) -> None:
        self.problem = ''
        self.types: dict[str, str] = {}
        self._file = path.open('rb')
        header = self._file.read(100)
        page_bytes = int.from_bytes(header[16:18], 'big')
        page_bytes = 65536 if page_bytes == 1 else page_bytes
        if page_bytes < 512 or page_bytes & (page_bytes - 1):
            self.problem, page_bytes = 'its header is damaged', 4096
        self._page_bytes = page_bytes
        reserved = header[20] if len(header) > 20 and header[20] <= 64 else 0
        self._usable = page_bytes - reserved
        self._log_pages: dict[int, int] = {}  # page number -> where it lies in the log
        self._log = None
        log = path.with_name(path.name + '-wal')
        if log.exists():
            self._log = log.open('rb')
            self._read_log(log.stat().st_size)
        pages = -(-path.stat().st_size // page_bytes)
        self.entries = self._walk(max([pages, *self._log_pages]))

    def _walk(self, pages: int) -> list[Entry]:
        names: dict[int, str] = {}
        found: dict[int, tuple[int, int, Place]] = {}  # by row: record_ns, topic id, place
        for number in range(1, pages + 1):
            for cell, row, types, values in self._rows(number):
                if _is_message(types):
                    topic, record_ns = _integer(values[1]), _integer(values[2])
                    place = Place(number, cell, 0)
                    if row not in found and self.fetch(place):
                        found[row] = (record_ns, topic, place)
                elif _is_topic(types, values):
                    names[row] = values[1].decode(errors='replace')
                    self.types[names[row]] = values[2].decode(errors='replace')
        return [Entry(record_ns, names[topic], place)
                for record_ns, topic, place in found.values() if topic in names]

    def _rows(self, number: int) -> Iterator[tuple[int, int, list[int], list[bytes]]]:
        """Yield (cell, row id, serial types, values) of a page's rows, if it holds any.

        Values are cut where they run on to other pages.
        """
        page = self._page(number)
        start = 100 if number == 1 else 0
        if len(page) < start + 8 or page[start] != _TABLE_LEAF:
            return
        (count,) = struct.unpack_from('>H', page, start + 3)
        for index in range(count):
            try:
                (cell,) = struct.unpack_from('>H', page, start + 8 + 2 * index)
                size, at = _varint(page, cell)
                row, at = _varint(page, at)
                local = self._local_bytes(size)
                if at + local + (4 if local < size else 0) > len(page):
                    continue
                types, values = _record(page[at:at + local], size)
            except (struct.error, IndexError, ValueError):
                continue
            yield cell, row, types, values

    def fetch(self, place: Place) -> bytes:
        """Return the bytes of one message; none where a page of it is missing."""
        page = self._page(place.block)
        size, at = _varint(page, place.offset)
        _, at = _varint(page, at)
        local = self._local_bytes(size)
        payload = bytearray(page[at:at + local])
        if local < size:
            following = int.from_bytes(page[at + local:at + local + 4], 'big')
            while len(payload) < size:
                page = self._page(following) if following else b''
                wanted = min(size - len(payload), self._usable - 4)
                if len(page) < 4 + wanted:
                    return b''
                payload += page[4:4 + wanted]
                following = int.from_bytes(page[:4], 'big')
        return _record(bytes(payload), size)[1][3]

    def _local_bytes(self, size: int) -> int:
        """Return how much of a payload lies in its own page."""
        most = self._usable - 35
        if size <= most:
            return size
        least = (self._usable - 12) * 32 // 255 - 23
        fitting = least + (size - least) % (self._usable - 4)
        return fitting if fitting <= most else least

    def _page(self, number: int) -> bytes:
        """Return a page, shorter where the file is cut."""
        if number in self._log_pages and self._log is not None:
            self._log.seek(self._log_pages[number])
            return self._log.read(self._page_bytes)
        self._file.seek((number - 1) * self._page_bytes)
        return self._file.read(self._page_bytes)

    def _read_log(self, size: int) -> None:
        assert self._log is not None
        header = self._log.read(32)
        if len(header) < 32 or int.from_bytes(header[8:12], 'big') != self._page_bytes:
            return
        waiting: dict[int, int] = {}
        for start in range(32, size - self._page_bytes - 23, self._page_bytes + 24):
            self._log.seek(start)
            number, commit, salt = struct.unpack('>II8s', self._log.read(16))
            if salt != header[16:24]:
                return
            waiting[number] = start + 24
            if commit:
                self._log_pages.update(waiting)
                waiting.clear()

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._log is not None:
            self._log.close()


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a variable-length integer and where it ends."""
    value = 0
    for length in range(8):
        byte = data[at + length]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + length + 1
    return value << 8 | data[at + 8], at + 9


def _record(payload: bytes, size: int) -> tuple[list[int], list[bytes]]:
    """Return a row's serial types and values. Raises ValueError where they do not add up."""
    header, at = _varint(payload, 0)
    types: list[int] = []
    while at < header:
        serial, at = _varint(payload, at)
        types.append(serial)
    values: list[bytes] = []
    for serial in types:
        length = (serial - 12) // 2 if serial >= 12 else (
            8 if serial == 7 else _INTEGER_BYTES.get(serial, 0))
        value = payload[at:at + length]
        values.append(b'\x01' if serial == 9 else value)
        at += length
    if at != size:
        raise ValueError('the fields of a row do not add up to its size')
    return types, values


def _integer(value: bytes) -> int:
    return int.from_bytes(value, 'big', signed=True)


def _is_message(types: list[int]) -> bool:
    """Whether a row is (id, topic_id, timestamp, data); the id is kept as the row's number."""
    return (len(types) == 4 and types[0] == 0 and types[1] in _INTEGER_BYTES
            and types[2] in _INTEGER_BYTES and types[3] >= 12 and types[3] % 2 == 0)


def _is_topic(types: list[int], values: list[bytes]) -> bool:
    """Whether a row is (id, name, type, serialization_format, ...)."""
    return (len(types) >= 4 and types[0] == 0 and all(t >= 13 and t % 2 for t in types[1:4])
            and values[3] == b'cdr')

