# SPDX-License-Identifier: Apache-2.0
"""The pictures of a run, each described once; how true that is, is judged apart from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from vpr_ros.bags.frames import FrameCount, LazyFrame, read_images
from vpr_ros.bags.prefetch import prefetch
from vpr_ros.bags.wire import IMAGE_TYPES
from vpr_ros.core.types import Describer, Descriptors, Frame, Image
from vpr_ros.errors import FrameError
from vpr_ros.tools.build_map import thumbnail
from vpr_ros.tools.progress import progress
from vpr_ros.tools.query_run import QueryRun

NO_IMAGE: Image = np.zeros((0, 0, 3), dtype=np.uint8)
_AHEAD = 8


@dataclass(frozen=True, eq=False)
class Seen:
    """A picture as a network sees it, and the milliseconds that decoding and describing took."""

    frame: Frame
    descriptor: NDArray[np.float32]   # (dim,)
    decode_ms: float
    describe_ms: float
    thumbnail: bytes                  # a JPEG; empty where none was asked for


@dataclass(frozen=True)
class Undecoded:
    """A picture that could not be decoded, and why."""

    problem: str


@dataclass(frozen=True, eq=False)
class Descriptions:
    """F pictures as a network sees them, in the order of recording.

    `thumbnails` holds a JPEG for each, or nothing at all; `problems` says why each of the pictures
    is missing that could not be decoded. `images` were looked at for all this.
    """

    stamps_ns: NDArray[np.int64]       # (F,)
    descriptors: Descriptors           # (F, dim)
    decode_ms: NDArray[np.float64]     # (F,)
    describe_ms: NDArray[np.float64]   # (F,)
    thumbnails: tuple[bytes, ...]
    problems: tuple[str, ...]
    images: int

    def __len__(self) -> int:
        return len(self.stamps_ns)

    def seen(self, camera: str, thumbnails: bool) -> Iterator[Seen]:
        """Yield each picture as if it had just been described; the image itself is gone."""
        for row, stamp_ns in enumerate(self.stamps_ns):
            yield Seen(Frame(int(stamp_ns), camera, NO_IMAGE), self.descriptors[row],
                       float(self.decode_ms[row]), float(self.describe_ms[row]),
                       self.thumbnails[row] if thumbnails and self.thumbnails else b'')

    @classmethod
    def of(cls, items: Sequence[Seen | Undecoded], dim: int) -> Descriptions:
        """Return what was yielded by `look`, in one record."""
        seen = [item for item in items if isinstance(item, Seen)]
        return cls(
            stamps_ns=np.array([one.frame.stamp_ns for one in seen], dtype=np.int64),
            descriptors=np.array([one.descriptor for one in seen], np.float32).reshape(-1, dim),
            decode_ms=np.array([one.decode_ms for one in seen], dtype=np.float64),
            describe_ms=np.array([one.describe_ms for one in seen], dtype=np.float64),
            thumbnails=tuple(one.thumbnail for one in seen if one.thumbnail),
            problems=tuple(i.problem for i in items if isinstance(i, Undecoded)),
            images=len(items))

    @classmethod
    def joined(cls, parts: Sequence[Descriptions], dim: int) -> Descriptions:
        """Return several in a row as one."""
        none = cls.of((), dim)
        parts = parts or [none]
        return cls(
            np.concatenate([part.stamps_ns for part in parts]),
            np.concatenate([part.descriptors for part in parts]),
            np.concatenate([part.decode_ms for part in parts]),
            np.concatenate([part.describe_ms for part in parts]),
            tuple(jpeg for part in parts for jpeg in part.thumbnails),
            tuple(problem for part in parts for problem in part.problems),
            sum(part.images for part in parts))


def look(run: QueryRun, describer: Describer, thumbnails: bool, skip: int = 0,
         keep_images: bool = False) -> Iterator[Seen | Undecoded]:
    """Yield each picture of a run as the network sees it, or why it could not be decoded.

    The first `skip` pictures are passed over; the images themselves are let go unless
    `keep_images`, since a run has more of them than memory. Decoding runs ahead in a thread of
    its own; pictures are described one at a time, as on the robot, so that the milliseconds are
    the robot's, too.
    """
    topic = run.recording.require(run.asked.image, IMAGE_TYPES)
    images = progress(read_images(run.recording, run.asked.image, run.asked.camera, run.count),
                      topic.count, 'describe')
    for item in prefetch(_decoded(images, thumbnails, skip), _AHEAD):
        if isinstance(item, Undecoded):
            yield item
            continue
        started = perf_counter()
        descriptor = describer.describe([item.frame.image])[0]
        describe_ms = (perf_counter() - started) * 1e3
        frame = item.frame if keep_images else replace(item.frame, image=NO_IMAGE)
        yield replace(item, frame=frame, descriptor=descriptor, describe_ms=describe_ms)


def _decoded(images: Iterator[LazyFrame], thumbnails: bool, skip: int
             ) -> Iterator[Seen | Undecoded]:
    for number, image in enumerate(images):
        if number < skip:
            continue
        started = perf_counter()
        try:
            frame = image.decode()
        except FrameError as error:
            yield Undecoded(str(error))
            continue
        decode_ms = (perf_counter() - started) * 1e3
        yield Seen(frame, _UNKNOWN, decode_ms, 0.0,
                   thumbnail(frame.image) if thumbnails else b'')


_UNKNOWN = np.zeros(0, dtype=np.float32)


def count_of(descriptions: Descriptions, without_stamp: FrameCount) -> FrameCount:
    """Return how many pictures were read and skipped, those that had no stamp included."""
    problem = without_stamp.first_problem or next(iter(descriptions.problems), '')
    return FrameCount(len(descriptions), without_stamp.skipped + len(descriptions.problems),
                      problem)
