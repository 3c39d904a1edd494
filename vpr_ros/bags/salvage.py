# SPDX-License-Identifier: Apache-2.0
"""Bags that were cut short or damaged, read as far as they go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
import re
from tempfile import TemporaryDirectory

import zstandard

from vpr_ros.bags.scan import Entry, Scan
from vpr_ros.bags.scan_mcap import McapScan
from vpr_ros.bags.scan_rosbag1 import Rosbag1Scan
from vpr_ros.bags.scan_sqlite import SqliteScan
from vpr_ros.bags.source import ADVICE, Raw, SalvageReport, Source, Topic
from vpr_ros.bags.whole import storage_files, WholeBag
from vpr_ros.errors import BagError

_ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'  # CDR, the other thing that a message may begin with, never does


def salvaged(path: Path) -> tuple[Source, SalvageReport]:
    """Return what can be read of a bag, and a report of it.

    A bag that is whole after all is opened as usual.
    Raises BagError when not one message can be saved.
    """
    try:
        whole = WholeBag(path)
        try:
            read = sum(1 for _ in whole.raw(whole.topics))
        except BaseException:
            whole.close()
            raise
        return whole, SalvageReport(path, read, read, '')
    except BagError as error:
        problem = str(error).replace(f': {ADVICE}', '').removeprefix(f'{path} ')
    saved = SalvagedBag(path)
    if not saved.count:
        problems = '; '.join([problem, *saved.problems])
        saved.close()
        raise BagError(f'{path}: not one message can be saved ({problems}); record again')
    return saved, SalvageReport(path, saved.count, _promised(path),
                                '; '.join([problem, *saved.problems]))


class SalvagedBag:
    """The messages that survived in a bag's files; a `Source`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ros1 = path.name.endswith(('.bag', '.bag.active'))
        self.problems: list[str] = []
        self._stack = ExitStack()
        self._entries: list[tuple[Scan, Entry]] = []
        types: dict[str, str] = {}
        try:
            for file in storage_files(path) if path.is_dir() else [path]:
                scan = self._scanned(file)
                self._stack.callback(scan.close)
                types.update(scan.types)
                self._entries += [(scan, entry) for entry in scan.entries]
                if scan.problem:
                    self.problems.append(f'{file.name}: {scan.problem}')
        except BaseException:
            self.close()
            raise
        self._entries.sort(key=lambda found: found[1].record_ns)
        counts = Counter(entry.topic for _, entry in self._entries)
        self.topics: Mapping[str, Topic] = {
            name: Topic(name, types[name], counts[name]) for name in sorted(types)}

    @property
    def count(self) -> int:
        """How many messages there are."""
        return len(self._entries)

    def _scanned(self, file: Path) -> Scan:
        try:
            if file.suffix == '.zstd':
                file = self._unzipped(file)
            if file.suffix == '.mcap':
                return McapScan(file)
            if file.suffix == '.db3':
                return SqliteScan(file)
            return Rosbag1Scan(file)
        except OSError as error:
            raise BagError(f'{file} cannot be read ({error}); check the disk') from error

    def _unzipped(self, file: Path) -> Path:
        """Return a temporary copy of a compressed file, unpacked as far as that goes."""
        folder = self._stack.enter_context(TemporaryDirectory())
        unpacked = Path(folder, file.stem)
        with file.open('rb') as source, unpacked.open('wb') as target:
            stream = zstandard.ZstdDecompressor().stream_reader(source)
            try:
                while block := stream.read(1 << 20):
                    target.write(block)
            except zstandard.ZstdError as error:
                self.problems.append(f'{file.name}: {error}')
        return unpacked

    def raw(self, topics: Collection[str], start_ns: int | None = None,
            stop_ns: int | None = None) -> Iterator[Raw]:
        """Yield serialized messages in the order of recording; see `Source.raw`."""
        for scan, entry in self._entries:
            if (entry.topic in topics and (start_ns is None or entry.record_ns >= start_ns)
                    and (stop_ns is None or entry.record_ns < stop_ns)):
                try:
                    data = scan.fetch(entry.place)
                except OSError as error:
                    raise BagError(f'{self.path} cannot be read on ({error}); '
                                   'check the disk') from error
                yield Raw(entry.record_ns, entry.topic, _inflated(data))

    def close(self) -> None:
        """Close the files."""
        self._stack.close()


def _inflated(data: bytes) -> bytes:
    """Return a message of a bag that was compressed message by message, or of any other."""
    if data[:4] != _ZSTD_MAGIC:
        return data
    try:
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    except zstandard.ZstdError:
        return b''  # whoever parses it finds it damaged, and counts it


def _promised(path: Path) -> int | None:
    """Return how many messages a bag's metadata promises, where there is any."""
    try:
        text = (path / 'metadata.yaml').read_text(errors='replace')
    except OSError:
        return None
    found = re.search(r'^  message_count: (\d+)$', text, re.MULTILINE)
    return int(found[1]) if found else None
