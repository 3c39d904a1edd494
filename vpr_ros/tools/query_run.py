# SPDX-License-Identifier: Apache-2.0
"""A recording that is asked of a map: its pictures, its true poses and its odometry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from vpr_ros.bags.frames import decode_or_skip, FrameCount, LazyFrame, read_images
from vpr_ros.bags.prefetch import prefetch
from vpr_ros.bags.recording import Recording
from vpr_ros.bags.trajectory import BASE_FRAME, read_mount, read_trajectory
from vpr_ros.bags.wire import IMAGE_TYPES
from vpr_ros.core import pose as se3
from vpr_ros.core.motion import OdometryBuffer
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.trajectory_lookup import MAX_GAP_S, poses_at
from vpr_ros.core.types import Camera, Frame, Trajectory
from vpr_ros.errors import BagError, MapError
from vpr_ros.tools.build_map import salvaged
from vpr_ros.tools.progress import progress

_AHEAD = 8


@dataclass(frozen=True)
class QuerySource:
    """What of a recording is asked of the map; what is left empty is as in the map."""

    image: str = ''
    pose: str = ''
    odom: str = ''         # odometry for the belief, as the node's `odom`; empty: none
    camera: str = ''       # under which name; the map's, where it has only one
    base_frame: str = BASE_FRAME
    map_frame: str | None = None
    max_gap_s: float = MAX_GAP_S

    def filled(self, place_map: PlaceMap) -> QuerySource:
        """Return this with the map's own camera, topic and pose source where none was named."""
        camera = self.camera
        if not camera:
            names = [known.name for known in place_map.cameras]
            if len(names) > 1:
                raise MapError(f'the map has the cameras {", ".join(names)}; '
                               'say which one with --camera')
            camera = names[0]
        image = self.image or place_map.topics.get(camera, '')
        pose = self.pose or place_map.pose_source
        if not image or not pose:
            missing = '--image' if not image else '--pose'
            raise MapError(f'the map does not say where its images and poses came from; '
                           f'give {missing}')
        return QuerySource(image, pose, self.odom, camera, self.base_frame, self.map_frame,
                           self.max_gap_s)


class Motion:
    """Odometry fed to the same buffer as on the robot, as far as time has come."""

    def __init__(self, trajectory: Trajectory | None) -> None:
        self._trajectory = trajectory
        self._buffer = OdometryBuffer()
        self._next = 0

    def at(self, stamp_ns: int) -> se3.Array | None:
        """Return `odom_from_base` (7,) at a moment, or None; moments do not go back."""
        if self._trajectory is None:
            return None
        stamps_ns = self._trajectory.stamps_ns
        while self._next < len(stamps_ns) and not self._buffer.covers(stamp_ns):
            self._buffer.add(int(stamps_ns[self._next]), self._trajectory.poses[self._next])
            self._next += 1
        return self._buffer.at(stamp_ns)


@dataclass(frozen=True, eq=False)
class QueryRun:
    """A recording opened to be asked of a map: `truth` in the map's frame, and its `motion`."""

    recording: Recording
    asked: QuerySource
    truth: Trajectory
    motion: Motion
    camera: Camera
    count: FrameCount

    @classmethod
    def opened(cls, recording: Recording, place_map: PlaceMap, source: QuerySource) -> QueryRun:
        """Raise BagError when the recording lacks a topic or its poses are in another frame."""
        asked = source.filled(place_map)
        recording.require(asked.image, IMAGE_TYPES)
        truth = read_trajectory(recording, asked.pose, asked.map_frame, asked.base_frame,
                                asked.max_gap_s)
        if truth.frame_id != place_map.frame_id:
            raise BagError(f'{asked.pose} gives poses in frame {truth.frame_id}, the map is in '
                           f'{place_map.frame_id}: they cannot be compared; choose another '
                           '--pose')
        motion = Motion(read_trajectory(recording, asked.odom, None, asked.base_frame,
                                        asked.max_gap_s) if asked.odom else None)
        camera = Camera(asked.camera, read_mount(recording, asked.image, asked.base_frame))
        return cls(recording, asked, truth, motion, camera, FrameCount())

    def frames(self, what: str) -> Iterator[tuple[Frame, float]]:
        """Yield each frame and the milliseconds that decoding took, which runs ahead."""
        topic = self.recording.require(self.asked.image, IMAGE_TYPES)
        images = progress(read_images(self.recording, self.asked.image, self.asked.camera,
                                      self.count), topic.count, what)
        return prefetch(_decoded(images, self.count), _AHEAD)

    def truth_at(self, stamps_ns: NDArray[np.int64]) -> tuple[se3.Array, NDArray[np.bool_]]:
        """Return the true poses (n, 7) at moments, and for which of them they are known."""
        return poses_at(self.truth, stamps_ns, self.asked.max_gap_s, self.asked.pose)

    def remarks(self) -> tuple[str, ...]:
        """Return what was salvaged, and which images could not be decoded."""
        return (*salvaged(self.recording), *((str(self.count),) if self.count.skipped else ()))


def _decoded(images: Iterator[LazyFrame], count: FrameCount) -> Iterator[tuple[Frame, float]]:
    for image in images:
        started = perf_counter()
        if (frame := decode_or_skip(image, count)) is not None:
            yield frame, (perf_counter() - started) * 1e3


def nothing_to_judge(asked: QuerySource, without_truth: int, count: FrameCount) -> str:
    """Return why no frame of a recording can be judged."""
    if without_truth:
        return (f'none of the {without_truth} images on {asked.image} was taken while '
                f'{asked.pose} gave poses; check that both were recorded at the same time and by '
                'the same clock')
    return f'no image on {asked.image} can be judged: {count}'
