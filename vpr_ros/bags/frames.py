# SPDX-License-Identifier: Apache-2.0
"""Pictures out of a recording."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vpr_ros.bags.recording import BagMessage, Recording
from vpr_ros.bags.wire import IMAGE_TYPES
from vpr_ros.core.types import Frame
from vpr_ros.errors import BagError, FrameError


@dataclass
class FrameCount:
    """How many images were decoded and how many could not be; the caller prints it once."""

    read: int = 0
    skipped: int = 0
    first_problem: str = ''

    def __str__(self) -> str:
        if not self.skipped:
            return f'{self.read} images'
        return (f'{self.skipped} of {self.read + self.skipped} images were skipped; '
                f'the first because {self.first_problem}')

    def skip(self, error: Exception) -> None:
        """Count an image that cannot be decoded."""
        self.first_problem = self.first_problem or str(error)
        self.skipped += 1


@dataclass(frozen=True)
class LazyFrame:
    """An image that is known by its stamp and not decoded yet."""

    stamp_ns: int
    camera: str
    bag: int               # which of the recording's paths
    message: BagMessage

    def decode(self) -> Frame:
        """Return the frame. Raises FrameError when the image cannot be decoded."""
        try:
            return Frame.from_message(self.message.decoded(), self.camera)
        except BagError as error:  # bytes that are no message are an image that cannot be decoded
            raise FrameError(str(error)) from error


def read_images(recording: Recording, topic: str, camera: str, count: FrameCount | None = None,
                start_ns: int | None = None, stop_ns: int | None = None) -> Iterator[LazyFrame]:
    """Yield the images of a topic undecoded, in the order of recording.

    Choose by `stamp_ns`, then `decode()` what is kept. A message too short for a stamp is counted
    in `count` and skipped. `start_ns`, `stop_ns` are as in `Recording.messages`.
    Raises BagError at once when the topic is missing or holds no images.
    """
    recording.require(topic, IMAGE_TYPES)
    count = FrameCount() if count is None else count
    return _images(recording, topic, camera, count, start_ns, stop_ns)


def _images(recording: Recording, topic: str, camera: str, count: FrameCount,
            start_ns: int | None, stop_ns: int | None) -> Iterator[LazyFrame]:
    for message in recording.messages((topic,), start_ns, stop_ns):
        try:
            stamp_ns = message.stamp_ns
        except BagError as error:
            count.skip(error)
            continue
        yield LazyFrame(stamp_ns, camera, message.bag, message)


def decode_or_skip(image: LazyFrame, count: FrameCount) -> Frame | None:
    """Return the frame of `image`, or None when it cannot be decoded; `count` knows of both."""
    try:
        frame = image.decode()
    except FrameError as error:
        count.skip(error)
        return None
    count.read += 1
    return frame


def decode_frames(images: Iterator[LazyFrame], count: FrameCount) -> Iterator[Frame]:
    """Yield the frames of `images`; those that cannot be decoded are counted and skipped.

    Raises BagError at the end when there were images and none of them could be decoded.
    """
    topic = ''
    for image in images:
        topic = image.message.topic
        if (frame := decode_or_skip(image, count)) is not None:
            yield frame
    if count.skipped and not count.read:
        where = f' of {topic}' if topic else ''
        raise BagError(f'none of the {count.skipped} images{where} can be decoded; '
                       f'the first: {count.first_problem}')


def read_frames(recording: Recording, topic: str, camera: str, count: FrameCount | None = None,
                start_ns: int | None = None, stop_ns: int | None = None) -> Iterator[Frame]:
    """Yield the decoded frames of a topic: `decode_frames` over `read_images`."""
    count = count if count is not None else FrameCount()
    return decode_frames(read_images(recording, topic, camera, count, start_ns, stop_ns), count)
