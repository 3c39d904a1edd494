# SPDX-License-Identifier: Apache-2.0
"""Pictures that a user has: a folder of files, or the camera of a bag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vpr_ros.bags.frames import decode_or_skip, FrameCount, LazyFrame, read_images
from vpr_ros.bags.recording import Recording
from vpr_ros.bags.trajectory import BASE_FRAME, read_trajectory
from vpr_ros.bags.wire import IMAGE_TYPES
from vpr_ros.core import pose as se3
from vpr_ros.core.trajectory_lookup import MAX_GAP_S, poses_at
from vpr_ros.core.types import Image
from vpr_ros.datasets.run import LazyImages, Run
from vpr_ros.errors import BagError, DatasetError
from vpr_ros.tools.progress import progress

_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.ppm', '.pgm', '.tif', '.tiff', '.webp')
_BAGS = ('.mcap', '.db3', '.bag')


def is_bag(path: Path) -> bool:
    """Return whether a path is a recording, and not a folder of pictures."""
    if not path.is_dir():
        return path.suffix in _BAGS
    return (path / 'metadata.yaml').is_file() or any(
        file.suffix in _BAGS for file in path.iterdir())


def spread(total: int, count: int) -> list[int]:
    """Return up to `count` of the numbers below `total`, evenly apart."""
    count = min(total, count)
    return [(2 * i + 1) * total // (2 * count) for i in range(count)]


def folder_pictures(folder: Path, count: int) -> Sequence[Image]:
    """Return up to `count` pictures of a folder and those in it, evenly spread by name.

    Files with other endings are left alone; pictures are decoded when they are asked for.
    Raises DatasetError when there is no folder or no picture in it; when read, for a picture that
    cannot be decoded.
    """
    if not folder.is_dir():
        raise DatasetError(f'{folder} is neither a folder of pictures nor a bag; check the path')
    files = sorted(file for file in folder.rglob('*') if file.suffix.lower() in _SUFFIXES)
    if not files:
        raise DatasetError(f'{folder} holds no pictures ({", ".join(_SUFFIXES)}); give a folder '
                           'of pictures or a bag')
    chosen = [files[i] for i in spread(len(files), count)]
    return LazyImages(len(chosen), lambda i: _picture(chosen[i]))


@dataclass(frozen=True)
class BagCamera:
    """A camera in a bag; `topic` '' is its only image topic, `truth` '' without poses."""

    path: Path
    topic: str = ''
    truth: str = ''
    base_frame: str = BASE_FRAME
    map_frame: str | None = None
    max_gap_s: float = MAX_GAP_S

    def images(self, count: int) -> Sequence[Image]:
        """Return up to `count` images, evenly spread over the recording.

        They are kept as they were recorded, and decoded when they are asked for.
        Raises BagError when there is no such topic, or none of its images can be decoded.
        """
        with Recording(self.path) as recording:
            return _decoded(self._frames(recording, count))

    def run(self, count: int) -> Run:
        """Return up to `count` frames that have a true pose, as a run.

        Raises BagError as `images` does, and when no image was taken while there were poses.
        """
        with Recording(self.path) as recording:
            frames = self._frames(recording, count)
            truth = read_trajectory(recording, self.truth, self.map_frame, self.base_frame,
                                    self.max_gap_s)
        stamps_ns = np.array([frame.stamp_ns for frame in frames], np.int64)
        poses, known = poses_at(truth, stamps_ns, self.max_gap_s, self.truth)
        kept = [i for i in np.flatnonzero(known) if i == 0 or stamps_ns[i] > stamps_ns[i - 1]]
        if not kept:
            raise BagError(f'none of the images of {self.path} was taken while {self.truth} gave '
                           'poses; choose another source of poses')
        return Run(self.path.name, truth.frame_id, 'camera', None, stamps_ns[kept],
                   se3.checked(poses[kept]), None, _decoded([frames[i] for i in kept]))

    def _frames(self, recording: Recording, count: int) -> list[LazyFrame]:
        topic = recording.require(self.topic or self._only_topic(recording), IMAGE_TYPES)
        wanted, counted = set(spread(topic.count, count)), FrameCount()
        images = progress(read_images(recording, topic.name, 'camera', counted), topic.count,
                          'read images')
        frames = [image for row, image in enumerate(images) if row in wanted
                  and decode_or_skip(image, counted) is not None]
        if not frames:
            raise BagError(f'no image on {topic.name} can be decoded: {counted}')
        return sorted(frames, key=lambda frame: frame.stamp_ns)

    def _only_topic(self, recording: Recording) -> str:
        names = [topic.name for topic in recording.image_topics() if topic.count]
        if len(names) != 1:
            listed = ', '.join(names) or 'none'
            raise BagError(f'{self.path} has {len(names)} image topics ({listed}); '
                           + ('say which one with --image' if names else 'give another bag'))
        return names[0]


def _decoded(frames: Sequence[LazyFrame]) -> Sequence[Image]:
    return LazyImages(len(frames), lambda i: frames[i].decode().image)


def _picture(file: Path) -> Image:
    picture = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR) \
        if file.stat().st_size else None
    if picture is None:
        raise DatasetError(f'{file} is not a picture that can be decoded; take it out')
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
