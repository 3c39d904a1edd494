# SPDX-License-Identifier: Apache-2.0
"""Parts of ROS 2 messages, made without ROS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from vpr_ros.bags import wire
from vpr_ros.core import pose as se3


class Said(NamedTuple):
    """A serialized ROS 2 message, and where it goes."""

    topic: str
    type: str
    data: bytes


def said(topic: str, msgtype: str, *fields: Any) -> Said:
    """Return a message of these fields, in the order of its definition, serialized."""
    store = wire.typestore(ros1=False)
    return Said(topic, msgtype, bytes(store.serialize_cdr(new(msgtype, *fields), msgtype)))


def new(msgtype: str, *fields: Any) -> Any:
    """Return a message as rosbags has it."""
    return wire.typestore(ros1=False).types[msgtype](*fields)


def header(stamp_ns: int, frame_id: str) -> Any:
    """Return a header."""
    return new('std_msgs/msg/Header',
               new('builtin_interfaces/msg/Time', *divmod(stamp_ns, 1_000_000_000)), frame_id)


def pose(row: se3.Array) -> Any:
    """Return the message of a pose (7,); its quaternion is of unit length to the last bit."""
    x, y, z = map(float, row[:3])
    return new('geometry_msgs/msg/Pose', new('geometry_msgs/msg/Point', x, y, z),
               new('geometry_msgs/msg/Quaternion',
                   *map(float, row[3:] / np.linalg.norm(row[3:]))))


def key_values(values: Mapping[str, str]) -> list[Any]:
    """Return the values of a DiagnosticStatus."""
    return [new('diagnostic_msgs/msg/KeyValue', key, value) for key, value in values.items()]
