# SPDX-License-Identifier: Apache-2.0
"""Where cameras are mounted, asked of tf2 once; never guessed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
import time
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from vpr_ros.core import pose as se3
from vpr_ros.core.intrinsics import camera_info_topic
from vpr_ros.core.types import Camera
from vpr_ros.errors import VprError
from vpr_ros.ros.qos import odometry_qos

# Given the names of two frames, base_from_frame (7,), or None while it is not known.
Lookup = Callable[[str, str], 'se3.Array | None']
_COMPRESSED = '/compressed'


def mounts_from_tf(node: Node, cameras: Sequence[Camera], topics: Mapping[str, str],
                   base_frame: str, timeout_s: float,
                   listen: Callable[[Node], Lookup] | None = None) -> tuple[Camera, ...]:
    """Return the cameras with the mounts that tf2 knows; those that have one keep it.

    `topics` gives the resolved image topic of each camera. The frame of a camera is what the
    header of its image, or of its CameraInfo, says. `listen` makes a look-up of a node's /tf.
    Raises VprError, naming the camera, when one is not known after `timeout_s`, or without tf2.
    """
    wanted = [camera.name for camera in cameras if camera.base_from_camera is None]
    if not wanted:
        return tuple(cameras)
    # A node and an executor of its own: the caller is within a callback of its own executor.
    helper = Node(f'{node.get_name()}_mounts', context=node.context, use_global_arguments=False,
                  namespace=node.get_namespace(), cli_args=_tf_remaps(node),
                  start_parameter_services=False)
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(helper)
    try:
        lookup = (listen or tf2_lookup)(helper)
        frames = _frames(helper, wanted, topics)
        mounts = _wait(executor, lookup, frames, wanted, base_frame, timeout_s)
    finally:
        executor.shutdown()
        helper.destroy_node()
    for name in wanted:
        if name not in mounts:
            raise VprError(_lacking(name, topics[name], base_frame, frames.get(name, ''),
                                    timeout_s))
        numbers = ', '.join(f'{value:.3f}' for value in mounts[name])
        node.get_logger().info(f'camera {name} is mounted at [{numbers}] on {base_frame}, as '
                               f'tf2 says of {frames[name]}')
    return tuple(Camera(camera.name, mounts.get(camera.name, camera.base_from_camera))
                 for camera in cameras)


def tf2_lookup(node: Node) -> Lookup:
    """Return a look-up of what is published on /tf and /tf_static. Raises VprError without tf2."""
    try:
        from tf2_ros import Buffer, TransformException, TransformListener
    except ImportError as error:
        raise VprError(f'mounts_from_tf is true, but tf2_ros cannot be imported ({error}); '
                       'install ros-<distro>-tf2-ros-py, or give base_from_camera.<name> and '
                       'set mounts_from_tf to false') from error
    buffer = Buffer()
    listener = TransformListener(buffer, node, spin_thread=False)

    def lookup(base_frame: str, frame: str, _kept: Any = listener) -> se3.Array | None:
        try:
            transform = buffer.lookup_transform(base_frame, frame, Time()).transform
        except TransformException:
            return None
        shift, turn = transform.translation, transform.rotation
        return se3.checked([shift.x, shift.y, shift.z, turn.x, turn.y, turn.z, turn.w])

    return lookup


def _tf_remaps(node: Node) -> list[str]:
    """Return arguments by which another node finds /tf where `node` would."""
    remaps = [part for topic in ('/tf', '/tf_static')
              for part in ('-r', f'{topic}:={node.resolve_topic_name(topic)}')]
    return ['--ros-args', *remaps]


def _frames(helper: Node, names: Sequence[str], topics: Mapping[str, str]) -> dict[str, str]:
    """Return a dict that fills with the frame of each camera while the helper is spun."""
    frames: dict[str, str] = {}

    def heard(name: str, message: Any) -> None:
        if message.header.frame_id:
            frames.setdefault(name, message.header.frame_id)

    for name in names:
        topic = topics[name]
        raw = topic.removesuffix(_COMPRESSED)
        for kind, where in ((CameraInfo, camera_info_topic(topic)), (Image, raw),
                            (CompressedImage, raw + _COMPRESSED)):
            helper.create_subscription(kind, where, partial(heard, name), odometry_qos())
    return frames


def _wait(executor: SingleThreadedExecutor, lookup: Lookup, frames: Mapping[str, str],
          wanted: Sequence[str], base_frame: str, timeout_s: float) -> dict[str, se3.Array]:
    """Spin until every mount is known or the time is over, and return those that are."""
    mounts: dict[str, se3.Array] = {}
    end_s = time.monotonic() + timeout_s
    while len(mounts) < len(wanted) and time.monotonic() < end_s:
        executor.spin_once(timeout_sec=0.05)
        for name in set(frames) - set(mounts):
            mount = lookup(base_frame, frames[name])
            if mount is not None:
                mounts[name] = mount
    return mounts


def _lacking(name: str, topic: str, base_frame: str, frame: str, timeout_s: float) -> str:
    """Return what kept a mount from being known, and what to do."""
    remedy = f'give base_from_camera.{name}, or wait longer (mounts_timeout_s)'
    if not frame:
        return (f'mounts_from_tf: no image and no CameraInfo of camera {name} came on {topic} '
                f'within {timeout_s:g} s, so its frame is not known; start the camera first, '
                f'{remedy}')
    return (f'mounts_from_tf: tf2 knows no transform from {base_frame} to {frame} (camera {name}) '
            f'after {timeout_s:g} s; publish it, set base_frame, {remedy}')
