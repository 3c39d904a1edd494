# SPDX-License-Identifier: Apache-2.0
"""A recording that is asked of a map: its pictures, its true poses and its odometry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpr_ros.bags.frames import decode_or_skip, FrameCount, LazyFrame, read_images
from vpr_ros.bags.prefetch import prefetch
from vpr_ros.bags.recording import Recording
from vpr_ros.bags.trajectory import BASE_FRAME, read_mount, read_trajectory
from vpr_ros.bags.trajectory_files import (
    read_trajectory_file,
    refuse_apart,
    TrajectoryFile,
    TrajectoryFormat,
)
from vpr_ros.bags.wire import IMAGE_TYPES
from vpr_ros.core import pose as se3
from vpr_ros.core.motion import OdometryBuffer
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.trajectory_lookup import MAX_GAP_S, poses_at, seconds
from vpr_ros.core.types import Camera, Frame, Trajectory
from vpr_ros.errors import BagError, MapError
from vpr_ros.tools.build_map import salvaged
from vpr_ros.tools.progress import progress

_AHEAD = 8


@dataclass(frozen=True)
class TruthFile:
    """True poses in a file instead of the recording, `map_from_base` in the frame of the map."""

    path: Path
    frame_id: str = ''          # which frame they are in; empty: nobody said, so that of the map
    times: Path | None = None   # KITTI's file of times
    layout: str = ''            # tum, kitti or csv; empty: by name and number of columns
    unit: str = 's'             # of the stamps
    offset_s: float = 0.0       # added to each stamp

    def read(self, map_frame: str) -> TrajectoryFile:
        """Return the trajectory. Raises BagError as `read_trajectory_file`, for another frame."""
        if self.frame_id and self.frame_id != map_frame:
            raise BagError(f'{self.path} gives poses in frame {self.frame_id}, the map is in '
                           f'{map_frame}: they cannot be compared; carry the poses over, or give '
                           'others with --truth')
        return read_trajectory_file(
            self.path, map_frame, TrajectoryFormat(self.layout) if self.layout else None,
            self.times, self.unit, round(self.offset_s * 1e9))


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
    truth: TruthFile | None = None   # instead of `pose`

    def record(self) -> dict[str, Any]:
        """Return it flat, as settings.json has it."""
        plain = {**asdict(self), 'truth': None if self.truth is None else str(self.truth.path)}
        if self.truth is None:
            return plain
        return {**plain, **{f'truth_{name}': None if value is None else str(value)
                            for name, value in asdict(self.truth).items() if name != 'path'}}

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
        if not image or not (pose or self.truth):
            missing = '--image' if not image else '--pose or --truth'
            raise MapError(f'the map does not say where its images and poses came from; '
                           f'give {missing}')
        return replace(self, image=image, pose='' if self.truth else pose, camera=camera)


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
    of_truth: tuple[str, ...] = ()   # what a person should know of the true poses

    @classmethod
    def opened(cls, recording: Recording, place_map: PlaceMap, source: QuerySource) -> QueryRun:
        """Raise BagError when the recording lacks a topic or its poses are in another frame."""
        asked = source.filled(place_map)
        recording.require(asked.image, IMAGE_TYPES)
        truth, of_truth = _truth(recording, asked, place_map)
        if truth.frame_id != place_map.frame_id:
            raise BagError(f'{asked.pose} gives poses in frame {truth.frame_id}, the map is in '
                           f'{place_map.frame_id}: they cannot be compared; choose another '
                           '--pose')
        motion = Motion(read_trajectory(recording, asked.odom, None, asked.base_frame,
                                        asked.max_gap_s) if asked.odom else None)
        camera = Camera(asked.camera, read_mount(recording, asked.image, asked.base_frame))
        return cls(recording, asked, truth, motion, camera, FrameCount(), of_truth)

    def frames(self, what: str) -> Iterator[tuple[Frame, float]]:
        """Yield each frame and the milliseconds that decoding took, which runs ahead."""
        topic = self.recording.require(self.asked.image, IMAGE_TYPES)
        images = progress(read_images(self.recording, self.asked.image, self.asked.camera,
                                      self.count), topic.count, what)
        return prefetch(_decoded(images, self.count), _AHEAD)

    def truth_at(self, stamps_ns: NDArray[np.int64]) -> tuple[se3.Array, NDArray[np.bool_]]:
        """Return the true poses (n, 7) at moments, and for which of them they are known."""
        return poses_at(self.truth, stamps_ns, self.asked.max_gap_s, self.truth_name)

    @property
    def truth_name(self) -> str:
        """Where the true poses come from."""
        return self.asked.pose if self.asked.truth is None else str(self.asked.truth.path)

    def remarks(self) -> tuple[str, ...]:
        """Return what was salvaged, and which images could not be decoded."""
        return (*salvaged(self.recording), *self.of_truth,
                *((str(self.count),) if self.count.skipped else ()))


def _truth(recording: Recording, asked: QuerySource, place_map: PlaceMap
           ) -> tuple[Trajectory, tuple[str, ...]]:
    """Return the true poses, and what a person should know of them."""
    if asked.truth is None:
        return read_trajectory(recording, asked.pose, asked.map_frame, asked.base_frame,
                               asked.max_gap_s), ()
    file = asked.truth.read(place_map.frame_id)
    # Asked before the long work: the clocks of a file and of a bag are often two.
    stamps_ns = np.array([image.stamp_ns for image in read_images(recording, asked.image, '')],
                         dtype=np.int64)
    bags = ', '.join(str(path) for path in recording.paths)
    refuse_apart(file.trajectory, stamps_ns, str(asked.truth.path), bags)
    taken = () if asked.truth.frame_id else (
        f'{asked.truth.path} does not say in which frame its poses are: they are taken to be of '
        f'{asked.base_frame} in the frame of the map, {place_map.frame_id} (--truth-frame says '
        'so)',)
    return file.trajectory, (*file.remarks, *taken)


def _decoded(images: Iterator[LazyFrame], count: FrameCount) -> Iterator[tuple[Frame, float]]:
    for image in images:
        started = perf_counter()
        if (frame := decode_or_skip(image, count)) is not None:
            yield frame, (perf_counter() - started) * 1e3


def nothing_to_judge(run: QueryRun, stamps_ns: NDArray[np.int64]) -> str:
    """Return why no frame, taken at `stamps_ns` (F,), can be judged."""
    asked = run.asked
    if not len(stamps_ns):
        return f'no image on {asked.image} can be judged: {run.count}'
    known = run.truth.stamps_ns
    return (f'none of the {len(stamps_ns)} images on {asked.image} was taken while '
            f'{run.truth_name} gave poses: images from {seconds(int(stamps_ns.min()))} to '
            f'{seconds(int(stamps_ns.max()))}, poses from {seconds(int(known[0]))} to '
            f'{seconds(int(known[-1]))}; check that both were recorded at the same time and by '
            'the same clock')
