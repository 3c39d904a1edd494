# SPDX-License-Identifier: Apache-2.0
"""Bags with poses -> a map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from vpr_ros.bags.camera_info import read_intrinsics
from vpr_ros.bags.frames import decode_or_skip, FrameCount, LazyFrame, read_images
from vpr_ros.bags.prefetch import prefetch
from vpr_ros.bags.recording import Recording
from vpr_ros.bags.trajectory import BASE_FRAME, read_mount, read_trajectory
from vpr_ros.bags.wire import IMAGE_TYPES
from vpr_ros.core import pose as se3
from vpr_ros.core.folder import refuse_existing
from vpr_ros.core.intrinsics import Intrinsics
from vpr_ros.core.local_features import extract, FeatureConfig, FeatureKind, Features
from vpr_ros.core.packed_features import PackedFeatures
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.precision import Precision, stored
from vpr_ros.core.trajectory_lookup import MAX_GAP_S, poses_at
from vpr_ros.core.types import Camera, Describer, Frame, Image, Trajectory
from vpr_ros.errors import BagError, FrameError, MapError, VprError
from vpr_ros.tools.progress import progress

_THUMBNAIL_WIDTH_PX = 160
_BATCH = 8


@dataclass(frozen=True)
class MapSource:
    """What of a recording becomes a map."""

    image: str
    pose: str
    camera: str = 'camera'
    spacing_m: float = 1.0          # a place is kept this far from the last one
    turn_deg: float = 15.0          # or after a turn by this much
    every: int = 1                  # only each n-th image is looked at
    base_frame: str = BASE_FRAME
    map_frame: str | None = None
    max_gap_s: float = MAX_GAP_S
    camera_info: str | None = None  # its topic; None: beside the image's, where it is there
    features: FeatureKind | None = None  # local features, to check geometry with
    precision: Precision = Precision.FLOAT32  # in which descriptors are kept

    def __post_init__(self) -> None:
        if self.spacing_m < 0.0 or self.turn_deg <= 0.0 or self.every < 1:
            raise VprError('--spacing-m must not be negative, --turn-deg positive and --every at '
                           'least 1')


@dataclass(frozen=True, eq=False)
class _Place:
    session: int
    pose: se3.Array
    frame: Frame
    features: Features | None


@dataclass(frozen=True)
class MapSummary:
    """What came of it."""

    places: int
    images: FrameCount
    without_pose: int
    mounted: bool      # whether the recording told how the camera is mounted
    salvaged: tuple[str, ...] = ()   # what was got out of bags that were cut short
    no_lens: str = ''  # why the map does not know the lens of the camera

    def lines(self) -> Iterator[str]:
        """Yield what a person should know."""
        yield from self.salvaged
        yield f'{self.places} places'
        if self.images.skipped:
            yield str(self.images)
        if self.without_pose:
            yield f'{self.without_pose} images were taken before the first or after the last pose'
        if not self.mounted:
            yield ('no /tf_static says how the camera is mounted: only the same camera, '
                   'mounted as it was, can use this map')
        if self.no_lens:
            yield self.no_lens


def build_map(recording: Recording, source: MapSource, describer: Describer
              ) -> tuple[PlaceMap, MapSummary]:
    """Return the map of a recording and what was left out of it.

    Decoding runs ahead of the network in a thread of its own.
    Local features are taken in that thread too.
    Raises BagError when nothing in the recording can become a place, or a CameraInfo that was
    asked for is not there.
    """
    topic = recording.require(source.image, IMAGE_TYPES)
    trajectory = read_trajectory(recording, source.pose, source.map_frame, source.base_frame,
                                 source.max_gap_s)
    mount = read_mount(recording, source.image, source.base_frame)
    lens, no_lens = _lens(recording, source)
    count, chosen = FrameCount(), _Chosen(source, trajectory)
    config = None if source.features is None else FeatureConfig(source.features)
    images = progress(read_images(recording, source.image, source.camera, count), topic.count,
                      'map')
    decoded = prefetch(_decoded(chosen.of(images), count, config), 2 * _BATCH)
    places: list[_Place] = []
    descriptors: list[np.ndarray[tuple[int, int], np.dtype[np.float32]]] = []
    thumbnails: list[bytes] = []
    while batch := list(islice(decoded, _BATCH)):
        descriptors.append(describer.describe([place.frame.image for place in batch]))
        thumbnails += [thumbnail(place.frame.image) for place in batch]
        # The picture itself is let go: a map run has more of them than memory.
        places += [replace(p, frame=replace(p.frame, image=_NO_IMAGE)) for p in batch]
    if not places:
        raise BagError(_nothing(source, chosen, count))
    place_map = PlaceMap(
        frame_id=trajectory.frame_id, card=describer.card,
        cameras=(Camera(source.camera, mount, lens),),
        descriptors=stored(np.concatenate(descriptors), source.precision),
        poses=np.stack([place.pose for place in places]),
        stamps_ns=np.array([place.frame.stamp_ns for place in places], dtype=np.int64),
        camera_of=np.zeros(len(places), dtype=np.int32),
        session_of=np.array([place.session for place in places], dtype=np.int32),
        sessions=tuple(path.name for path in recording.paths),
        thumbnails=tuple(thumbnails),
        topics={source.camera: source.image}, pose_source=source.pose,
        features=None if config is None else PackedFeatures.pack(
            config, [place.features for place in places if place.features is not None]))
    return place_map, MapSummary(len(places), count, chosen.without_pose, mount is not None,
                                 salvaged(recording), no_lens)


_NO_IMAGE: Image = np.zeros((0, 0, 3), dtype=np.uint8)


class _Chosen:
    """Chooses by stamp and pose alone, before anything is decoded."""

    def __init__(self, source: MapSource, trajectory: Trajectory) -> None:
        self._source = source
        self._trajectory = trajectory
        self.seen = 0
        self.without_pose = 0

    def of(self, images: Iterator[LazyFrame]) -> Iterator[tuple[LazyFrame, se3.Array]]:
        last: dict[int, se3.Array] = {}
        for image in images:
            self.seen += 1
            if (self.seen - 1) % self._source.every:
                continue
            poses, inside = poses_at(self._trajectory, np.array([image.stamp_ns]),
                                     self._source.max_gap_s, self._source.pose)
            if not inside[0]:
                self.without_pose += 1
            elif image.bag not in last or self._is_new(last[image.bag], poses[0]):
                last[image.bag] = poses[0]
                yield image, poses[0]

    def _is_new(self, last: se3.Array, pose: se3.Array) -> bool:
        return (float(se3.distance_m(last, pose)) >= self._source.spacing_m
                or float(np.degrees(se3.angle_rad(last, pose))) >= self._source.turn_deg)


def _decoded(chosen: Iterator[tuple[LazyFrame, se3.Array]], count: FrameCount,
             config: FeatureConfig | None) -> Iterator[_Place]:
    for image, pose in chosen:
        if (frame := decode_or_skip(image, count)) is not None:
            yield _Place(image.bag, pose, frame,
                         None if config is None else extract(frame.image, config))


def _lens(recording: Recording, source: MapSource) -> tuple[Intrinsics | None, str]:
    """Return the camera's lens, or why it is not known where geometry would need it."""
    try:
        lens = read_intrinsics(recording, source.image, source.camera_info)
    except FrameError as error:
        if source.camera_info is not None:
            raise
        return None, str(error)
    if lens is None and source.features is not None:
        return None, (f'no calibrated CameraInfo for {source.image}: geometry will be checked '
                      'without a lens, and headings cannot be corrected')
    return lens, ''


def salvaged(recording: Recording) -> tuple[str, ...]:
    """Return a line for each bag that was cut short, and for messages that were damaged."""
    lines = [f'salvaged {report}' for report in recording.reports]
    lines += [f'{count} damaged messages on {topic} were left out'
              for topic, count in recording.damaged.items()]
    return tuple(lines)


def thumbnail(image: Image) -> bytes:
    """Return a JPEG of `image`, 160 pixels wide."""
    height_px = max(1, round(image.shape[0] * _THUMBNAIL_WIDTH_PX / image.shape[1]))
    small = cv2.resize(image, (_THUMBNAIL_WIDTH_PX, height_px), interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode('.jpg', small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    return jpeg.tobytes()


def _nothing(source: MapSource, chosen: _Chosen, count: FrameCount) -> str:
    if count.skipped:
        return f'no place could be made from {source.image}: {count}'
    return (f'none of the {chosen.without_pose} images on {source.image} was taken while '
            f'{source.pose} gave poses; check that both were recorded at the same time and are '
            'stamped by the same clock')


def write_map(bags: Sequence[Path], out: Path, source: MapSource, describer: Describer,
              salvage: bool, force: bool) -> MapSummary:
    """Build the map of `bags` and save it; nothing is left at `out` when that fails."""
    refuse_existing(out, force, MapError)
    with Recording(bags, salvage) as recording:
        place_map, summary = build_map(recording, source, describer)
    place_map.save(out, force)
    return summary
