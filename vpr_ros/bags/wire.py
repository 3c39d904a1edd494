# SPDX-License-Identifier: Apache-2.0
"""Serialized messages: the types that are used here, and what their bytes say.

The definitions are the standard ones and never a bag's own: they have not changed in any ROS
release, and a bag need not be refused because some other package's type in it cannot be parsed.
"""

from __future__ import annotations

from functools import cache
import struct
from typing import Any

from rosbags.typesys import get_types_from_msg, get_typestore, Stores
from rosbags.typesys.store import Typestore

from vpr_ros.errors import BagError

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
ODOMETRY = 'nav_msgs/msg/Odometry'
POSE_STAMPED = 'geometry_msgs/msg/PoseStamped'
POSE_WITH_COVARIANCE = 'geometry_msgs/msg/PoseWithCovarianceStamped'
TF_MESSAGE = 'tf2_msgs/msg/TFMessage'
OLD_TF_MESSAGE = 'tf/msg/tfMessage'  # ROS 1 before tf2: another name for the same bytes

IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)
POSE_TYPES = (ODOMETRY, POSE_STAMPED, POSE_WITH_COVARIANCE)
TF_TYPES = (TF_MESSAGE, OLD_TF_MESSAGE)


@cache
def typestore(ros1: bool) -> Typestore:
    """Return the standard message definitions of ROS 1 or ROS 2."""
    store = get_typestore(Stores.ROS1_NOETIC if ros1 else Stores.ROS2_HUMBLE)
    if ros1:
        store.register(get_types_from_msg('geometry_msgs/TransformStamped[] transforms',
                                          TF_MESSAGE))
    return store


def deserialize(data: bytes, msgtype: str, ros1: bool) -> Any:
    """Return the message that `data` holds.

    Raises BagError when the bytes are not a message of that type.
    """
    name = TF_MESSAGE if msgtype == OLD_TF_MESSAGE else msgtype
    store = typestore(ros1)
    try:
        return store.deserialize_ros1(data, name) if ros1 else store.deserialize_cdr(data, name)
    except Exception as error:  # damaged bytes fail in as many ways as there are fields
        raise BagError(f'a message of type {msgtype} is damaged ({error})') from error


def as_ros2(data: bytes, msgtype: str) -> bytes:
    """Return the bytes of a ROS 1 message as ROS 2 has them. Raises BagError for damaged ones."""
    name = TF_MESSAGE if msgtype == OLD_TF_MESSAGE else msgtype
    try:
        return bytes(typestore(ros1=False).ros1_to_cdr(data, name))
    except Exception as error:  # damaged bytes fail in as many ways as there are fields
        raise BagError(f'a message of type {msgtype} is damaged ({error})') from error


def header_stamp_ns(data: bytes, ros1: bool) -> int:
    """Return the header stamp of a serialized message that begins with a header.

    It is read from its place in the bytes, so a picture that nobody wants is never parsed.
    Raises BagError when there are too few bytes.
    """
    try:
        if ros1:  # uint32 seq, then the stamp
            sec, nanosec = struct.unpack_from('<II', data, 4)
        else:     # CDR's four bytes, the second of which says the byte order
            sec, nanosec = struct.unpack_from('<iI' if data[1] & 1 else '>iI', data, 4)
    except (struct.error, IndexError) as error:
        raise BagError(f'a message of {len(data)} bytes is too short for a header') from error
    return int(sec) * 1_000_000_000 + int(nanosec)
