# SPDX-License-Identifier: Apache-2.0
"""One or several bags as one recording."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from pathlib import Path
from types import TracebackType
from typing import Any

from vpr_ros.bags import wire
from vpr_ros.bags.salvage import salvaged
from vpr_ros.bags.source import SalvageReport, Source, Topic
from vpr_ros.bags.whole import WholeBag
from vpr_ros.errors import BagError


@dataclass(frozen=True)
class BagMessage:
    """A message as it lies in a bag; nothing of it is parsed before somebody asks."""

    bag: int        # which of the recording's paths
    topic: str
    type: str
    record_ns: int  # when it was recorded, which is not when it was measured: see stamp_ns
    data: bytes
    ros1: bool

    @property
    def stamp_ns(self) -> int:
        """The header's stamp. Raises BagError for a message too short for a header."""
        return wire.header_stamp_ns(self.data, self.ros1)

    @property
    def cdr(self) -> bytes:
        """The bytes as ROS 2 has them. Raises BagError for a ROS 1 message that is damaged."""
        return wire.as_ros2(self.data, self.type) if self.ros1 else bytes(self.data)

    def decoded(self) -> Any:
        """Return the message as rosbags gives it. Raises BagError when it is damaged."""
        return wire.deserialize(self.data, self.type, self.ros1)


class Recording:
    """Bags of any kind, opened together; a context manager.

    A path is a rosbag2 folder (mcap or sqlite3), one file of it (.mcap, .db3), or a ROS 1 .bag.
    Raises BagError when one of them is absent, empty, cut short or damaged. With `salvage` a cut
    or damaged bag is read as far as it goes, and `reports` says how far that was.
    One iteration at a time: the bags' files are shared by all iterators.
    """

    def __init__(self, paths: Path | Sequence[Path], salvage: bool = False) -> None:
        self.paths = (paths,) if isinstance(paths, Path) else tuple(paths)
        self.salvage = salvage
        self.reports: tuple[SalvageReport, ...] = ()
        self.damaged: Counter[str] = Counter()  # by topic, messages that `decoded` left out
        if not self.paths:
            raise BagError('no bag was given; give at least one')
        for path in self.paths:
            if not path.exists():
                raise BagError(f'{path} does not exist; check the path')
        self._sources: list[Source] = []
        try:
            for path in self.paths:
                self._sources.append(self._opened(path, salvage))
        except BaseException:
            self.close()
            raise
        self.topics: Mapping[str, Topic] = _merged(self._sources)

    def _opened(self, path: Path, salvage: bool) -> Source:
        source: Source
        if salvage:
            source, report = salvaged(path)
            self.reports += (report,)
        else:
            source = WholeBag(path)
        if not any(topic.count for topic in source.topics.values()):
            source.close()
            raise BagError(f'{path} holds no messages; record again, '
                           'with the camera and the pose source running')
        return source

    def image_topics(self) -> tuple[Topic, ...]:
        """Return the topics with pictures, raw or compressed."""
        return self._of(wire.IMAGE_TYPES)

    def pose_topics(self) -> tuple[Topic, ...]:
        """Return the topics that give a pose by themselves (/tf is not among them)."""
        return self._of(wire.POSE_TYPES)

    def _of(self, types: Collection[str]) -> tuple[Topic, ...]:
        return tuple(topic for topic in self.topics.values() if topic.type in types)

    def require(self, name: str, types: Collection[str]) -> Topic:
        """Return the topic of this name, which must be of one of `types` and hold messages.

        Raises BagError that lists the topics of those types when it is not there.
        """
        topic = self.topics.get(name)
        listed = ', '.join(f'{t.name} ({t.type}, {t.count})' for t in self._of(types)) or 'none'
        there = f'topics there that would do: {listed}'
        if topic is None:
            raise BagError(f'no topic {name} in {self._named()}; {there}')
        if topic.type not in types:
            raise BagError(f'{name} is of type {topic.type}, but {" or ".join(types)} is needed; '
                           f'{there}')
        if topic.count == 0:
            raise BagError(f'{name} has no messages in {self._named()}; {there}')
        return topic

    def _named(self) -> str:
        return ', '.join(map(str, self.paths))

    def messages(self, topics: Collection[str], start_ns: int | None = None,
                 stop_ns: int | None = None) -> Iterator[BagMessage]:
        """Yield the messages of these topics in the order in which they were recorded.

        `start_ns` (included) and `stop_ns` (excluded) bound the moment of recording. The order is
        that of recording also across bags. Raises BagError for a missing topic and where a bag
        cannot be read on or holds fewer messages than it says.
        """
        for name in topics:
            if name not in self.topics:
                raise BagError(f'no topic {name} in {self._named()}; '
                               f'topics there: {", ".join(self.topics) or "none"}')
        streams = [self._stream(bag, source, topics, start_ns, stop_ns)
                   for bag, source in enumerate(self._sources)]
        yield from merge(*streams, key=lambda message: message.record_ns)

    def decoded(self, topics: Collection[str]) -> Iterator[tuple[BagMessage, Any]]:
        """Yield the messages of these topics, each with its parsed form.

        Raises BagError for a damaged message; with `salvage` it is left out, and `damaged` counts.
        """
        for message in self.messages(topics):
            try:
                decoded = message.decoded()
            except BagError:
                if not self.salvage:
                    raise
                self.damaged[message.topic] += 1
                continue
            yield message, decoded

    @staticmethod
    def _stream(bag: int, source: Source, topics: Collection[str], start_ns: int | None,
                stop_ns: int | None) -> Iterator[BagMessage]:
        for record_ns, topic, data in source.raw(topics, start_ns, stop_ns):
            yield BagMessage(bag, topic, source.topics[topic].type, record_ns, data, source.ros1)

    def close(self) -> None:
        """Close all bags."""
        for source in self._sources:
            source.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def _merged(sources: Sequence[Source]) -> dict[str, Topic]:
    merged: dict[str, Topic] = {}
    for source in sources:
        for name, topic in source.topics.items():
            known = merged.get(name)
            if known is None:
                merged[name] = topic
            else:  # a topic of two types is of neither: whoever needs one refuses it by name
                types = known.type if known.type == topic.type else f'{known.type} | {topic.type}'
                merged[name] = Topic(name, types, known.count + topic.count)
    return dict(sorted(merged.items()))
