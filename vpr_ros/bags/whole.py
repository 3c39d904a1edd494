# SPDX-License-Identifier: Apache-2.0
"""A bag that ended properly; anything less is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from rosbags.rosbag1 import Reader as Reader1
from rosbags.rosbag2 import Reader as Reader2
from rosbags.rosbag2.reader import DirectoryReader

from vpr_ros.bags.source import ADVICE, Raw, Topic
from vpr_ros.errors import BagError

STORAGE_SUFFIXES = ('.mcap', '.db3')


class WholeBag:
    """A rosbag2 folder, an .mcap, .db3 or .bag file, read through rosbags and checked.

    Raises BagError when it is cut short, damaged, or holds less than it says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ros1 = path.suffix == '.bag'
        self._reader: Reader1 | Reader2 | None = None
        try:
            _refuse_unfinished(path)
            self._reader = Reader1(path) if self.ros1 else Reader2(path)
            self._reader.open()
            self.topics: Mapping[str, Topic] = self._read_topics()
        except PermissionError as error:
            raise BagError(f'{path} may not be read ({error}); check its permissions') from error
        except Exception as error:  # rosbags lets many kinds through on damaged files
            self.close()
            if isinstance(error, BagError):
                raise
            raise BagError(f'{path} cannot be opened ({_line(error)}): {ADVICE}') from error

    def _read_topics(self) -> dict[str, Topic]:
        assert self._reader is not None
        types: dict[str, str] = {}
        counts: Counter[str] = Counter()
        for name, info in self._reader.topics.items():
            types[str(name)] = str(info.msgtype)
            counts[str(name)] = int(info.msgcount)
        if isinstance(self._reader, Reader2) and isinstance(self._reader.storage, DirectoryReader):
            there = Counter[str]()
            for storage in self._reader.storage.storages:
                for connection in storage.connections:
                    there[connection.topic] += connection.msgcount
            for name, count in counts.items():
                if there[name] < count:
                    raise BagError(f'{self.path} holds {there[name]} messages of {name}, but its '
                                   f'metadata.yaml promises {count}: {ADVICE}')
        return {name: Topic(name, types[name], counts[name]) for name in sorted(types)}

    def raw(self, topics: Collection[str], start_ns: int | None = None,
            stop_ns: int | None = None) -> Iterator[Raw]:
        """Yield serialized messages in the order of recording; see `Source.raw`."""
        assert self._reader is not None
        connections = [c for c in self._reader.connections if c.topic in topics]
        if not connections:
            return
        read: Counter[str] = Counter()
        try:
            for connection, record_ns, data in self._reader.messages(
                    connections, start=start_ns, stop=stop_ns):
                read[connection.topic] += 1
                yield Raw(int(record_ns), connection.topic, data)
        except Exception as error:
            raise BagError(f'{self.path} cannot be read past message {sum(read.values())} '
                           f'({_line(error)}): {ADVICE}') from error
        if start_ns is None and stop_ns is None:
            self._refuse_short(read, {c.topic for c in connections})

    def _refuse_short(self, read: Counter[str], topics: Collection[str]) -> None:
        for name in topics:
            if read[name] < self.topics[name].count:
                raise BagError(f'{self.path} gave {read[name]} of the {self.topics[name].count} '
                               f'messages of {name}: {ADVICE}')

    def close(self) -> None:
        """Close the files."""
        if self._reader is not None:
            with suppress(Exception):  # not open, or not even that after damage
                self._reader.close()


def storage_files(folder: Path) -> list[Path]:
    """Return the files of a rosbag2 folder that hold messages, whole or compressed."""
    return sorted(path for path in folder.iterdir()
                  if path.name.removesuffix('.zstd').endswith(STORAGE_SUFFIXES))


def _refuse_unfinished(path: Path) -> None:
    if path.is_dir():
        if not storage_files(path):
            raise BagError(f'{path} is a folder without .mcap or .db3 files; '
                           'give the folder that `ros2 bag record` made')
        if not (path / 'metadata.yaml').exists():
            raise BagError(f'{path} has no metadata.yaml: {ADVICE}')
        databases = storage_files(path)
    elif path.suffix == '.bag' or path.suffix in STORAGE_SUFFIXES:
        databases = [path]
    elif path.name.endswith('.bag.active'):
        raise BagError(f'{path} is still being recorded, or its recorder was killed: {ADVICE}')
    else:
        raise BagError(f'{path} is no bag; give a rosbag2 folder, or a .mcap, .db3 or .bag file')
    for database in databases:
        if database.suffix == '.db3':
            _refuse_cut_database(database)


def _refuse_cut_database(path: Path) -> None:
    """Compare sizes, since SQLite notices a cut only when it needs a page that is gone."""
    log = path.with_name(path.name + '-wal')
    if log.exists() and log.stat().st_size:
        raise BagError(f'{log} holds messages that never reached {path.name}: {ADVICE}')
    with path.open('rb') as file:
        header = file.read(100)
    page = int.from_bytes(header[16:18], 'big')
    page = 65536 if page == 1 else page
    size = path.stat().st_size
    if len(header) < 100 or size < page * int.from_bytes(header[28:32], 'big'):
        raise BagError(f'{path} is cut short at {size} bytes: {ADVICE}')


def _line(error: Exception) -> str:
    """Return an error of another library as one line."""
    return ' '.join(str(error).split()) or type(error).__name__
