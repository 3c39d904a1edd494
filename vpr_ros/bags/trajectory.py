# SPDX-License-Identifier: Apache-2.0
"""Where the robot was, and how a camera is mounted on it, as a recording tells."""

from __future__ import annotations

from vpr_ros.bags.recording import Recording
from vpr_ros.bags.samples import Samples
from vpr_ros.bags.transforms import Transforms
from vpr_ros.bags.wire import IMAGE_TYPES, ODOMETRY, POSE_STAMPED, POSE_TYPES, TF_TYPES
from vpr_ros.core import pose as se3
from vpr_ros.core.trajectory_lookup import MAX_GAP_S
from vpr_ros.core.types import Trajectory
from vpr_ros.errors import BagError

TF_SOURCE = 'tf'
MAP_FRAME = 'map'
BASE_FRAME = 'base_link'


def read_trajectory(recording: Recording, source: str, map_frame: str | None = None,
                    base_frame: str = BASE_FRAME, max_gap_s: float = MAX_GAP_S) -> Trajectory:
    """Return `map_from_base` over time, by header stamps, from a pose topic or from transforms.

    `source` is a topic of Odometry, PoseStamped or PoseWithCovarianceStamped, whose
    header.frame_id becomes the frame of the trajectory (and must be `map_frame` where that is
    given); or 'tf', which joins `map_frame` (`map` unless given) to `base_frame`. Several bags
    make one trajectory with `breaks`. `max_gap_s` bounds the gaps within a link of tf; gaps of
    a topic are found where somebody looks into them, by `poses_at`.
    An Odometry of another child_frame_id is carried over to `base_frame` by /tf_static.
    Raises BagError for a missing topic or one of another type (lists those there are), several
    or empty frames, bad poses, stamps that jump back, and as `Transforms.trajectory` does.
    """
    topic = recording.topics.get('/tf' if source == TF_SOURCE else source)
    if source == TF_SOURCE or (topic is not None and topic.type in TF_TYPES):
        if topic is None or topic.type not in TF_TYPES or topic.count == 0:
            listed = ', '.join(t.name for t in recording.pose_topics()) or 'none'
            raise BagError('no transforms on /tf in the recording; '
                           f'pose topics there: {listed}')
        transforms = Transforms.read(recording, topic.name, topic.name + '_static')
        return transforms.trajectory(map_frame or MAP_FRAME, base_frame, max_gap_s)
    return _of_topic(recording, source, map_frame, base_frame)


def _of_topic(recording: Recording, source: str, map_frame: str | None,
              base_frame: str) -> Trajectory:
    topic = recording.require(source, POSE_TYPES)
    samples = Samples(source)
    frames: set[str] = set()
    children: set[str] = set()
    for message, decoded in recording.decoded((source,)):
        pose = decoded.pose if topic.type == POSE_STAMPED else decoded.pose.pose
        samples.add(message.bag, decoded.header.stamp, pose.position, pose.orientation)
        frames.add(decoded.header.frame_id.lstrip('/'))
        if topic.type == ODOMETRY:
            children.add(decoded.child_frame_id.lstrip('/'))
    frame_id = _the_one(frames, f'the header.frame_id of {source}')
    if map_frame is not None and frame_id != map_frame:
        raise BagError(f'{source} gives poses in the frame {frame_id!r}, not in {map_frame!r}; '
                       'choose another pose source or map frame')
    if not frame_id:
        raise BagError(f'{source} has an empty header.frame_id, so nobody knows which frame its '
                       'poses are in; choose another pose source')
    trajectory = samples.trajectory(frame_id)
    child = _the_one(children, f'the child_frame_id of {source}') if children else ''
    if child in ('', base_frame):
        return trajectory
    child_from_base = Transforms.read(recording, moving=None).fixed(child, base_frame)
    if child_from_base is None:
        raise BagError(f'{source} gives poses of {child!r}, and /tf_static does not say where '
                       f'{base_frame!r} is on it; use --base-frame {child}')
    return Trajectory(trajectory.stamps_ns, se3.compose(trajectory.poses, child_from_base),
                      frame_id, trajectory.breaks)


def _the_one(names: set[str], what: str) -> str:
    if len(names) != 1:
        raise BagError(f'{what} is not always the same: {", ".join(sorted(names)) or "none"}; '
                       'use bags of one frame at a time')
    return next(iter(names))


def read_mount(recording: Recording, image_topic: str,
               base_frame: str = BASE_FRAME) -> se3.Array | None:
    """Return `base_from_camera` (7,) by /tf_static and the header.frame_id of the images.

    None where the recording does not say; an identity is never made up.
    Raises BagError when /tf_static contradicts itself.
    """
    recording.require(image_topic, IMAGE_TYPES)
    for _, image in recording.decoded((image_topic,)):
        return Transforms.read(recording, moving=None).fixed(
            base_frame, image.header.frame_id.lstrip('/'))
    return None
