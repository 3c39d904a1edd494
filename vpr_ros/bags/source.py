# SPDX-License-Identifier: Apache-2.0
"""What every kind of bag is to the rest of this room."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

ADVICE = ('the recording did not end properly or the file is damaged; '
          'add --salvage to use what can still be read')


@dataclass(frozen=True)
class Topic:
    """A topic, its type by its ROS 2 name (also in a ROS 1 bag), and how many messages it has."""

    name: str
    type: str
    count: int


@dataclass(frozen=True)
class SalvageReport:
    """What was got out of one bag: messages read, and what its own records promised (if known)."""

    path: Path
    messages: int
    expected: int | None
    problem: str  # empty: nothing is wrong with it

    def __str__(self) -> str:
        of = '' if self.expected is None else f' of {self.expected}'
        return f'{self.path}: {self.messages}{of} messages; {self.problem or "nothing is missing"}'


class Raw(NamedTuple):
    """A serialized message and the moment at which it was recorded."""

    record_ns: int
    topic: str
    data: bytes


class Source(Protocol):
    """One open bag."""

    @property
    def path(self) -> Path:
        """Where it lies."""

    @property
    def ros1(self) -> bool:
        """Whether messages are serialized as in ROS 1."""

    @property
    def topics(self) -> Mapping[str, Topic]:
        """Topics by name."""

    def raw(self, topics: Collection[str], start_ns: int | None = None,
            stop_ns: int | None = None) -> Iterator[Raw]:
        """Yield the messages recorded from `start_ns` to before `stop_ns`, in that order.

        Raises BagError where the bag cannot be read on.
        """

    def close(self) -> None:
        """Close the files."""
