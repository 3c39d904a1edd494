# SPDX-License-Identifier: Apache-2.0
"""Bags made by ourselves: for the demo, for tests, and out of image folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import cv2
import numpy as np
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin, Writer as Writer2

from vpr_ros.bags import wire
from vpr_ros.bags.encode import Pixels, raw_image
from vpr_ros.core import pose as se3
from vpr_ros.core.folder import new_folder
from vpr_ros.core.intrinsics import Intrinsics
from vpr_ros.errors import BagError

Storage = Literal['mcap', 'sqlite3', 'rosbag1']

# Version 8 is the newest that Humble reads too: version 9 writes QoS in a way it cannot parse.
_METADATA_VERSION: Literal[8] = 8
_FOREVER = QosTime(9223372036, 854775807)
_LATCHED = Qos(QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL,
               _FOREVER, _FOREVER, QosLiveliness.AUTOMATIC, _FOREVER, False)


@contextmanager
def new_bag(path: Path, force: bool = False) -> Iterator[BagWriter]:
    """Yield the writer of an mcap bag, which is at `path` once the block has ended well.

    A process that is interrupted or killed on the way leaves no bag, and an old one as it was.
    Raises BagError when `path` exists and `force` is not given, or cannot be written.
    """
    with new_folder(path, force, BagError) as folder:
        inner = folder / path.name   # the files inside are named after the folder
        with BagWriter(inner) as bag:
            yield bag
        for file in inner.iterdir():
            file.rename(folder / file.name)
        inner.rmdir()


class BagWriter:
    """Writes a rosbag2 folder ('mcap' or 'sqlite3') or a ROS 1 .bag file ('rosbag1').

    A context manager: a bag is whole only after a clean exit. Every method takes the header stamp
    and, as `record_ns`, the moment of recording where that is another one. Poses are (7,).
    Raises BagError when the path exists already.
    """

    def __init__(self, path: Path, storage: Storage = 'mcap') -> None:
        if path.exists():
            raise BagError(f'{path} exists already and is not overwritten; '
                           'remove it or choose another name')
        self._ros1 = storage == 'rosbag1'
        self._store = wire.typestore(self._ros1)
        self._connections: dict[str, tuple[Connection, Callable[[Any], bytes | memoryview]]] = {}
        self._sequence: dict[str, int] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer: Writer1 | Writer2
        if self._ros1:
            self._writer = Writer1(path)
        elif storage in ('mcap', 'sqlite3'):
            self._writer = Writer2(path, version=_METADATA_VERSION,
                                   storage_plugin=StoragePlugin[storage.upper()])
        else:
            raise BagError(f'no storage {storage!r}; choose mcap, sqlite3 or rosbag1')

    def __enter__(self) -> BagWriter:
        self._writer.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._writer.__exit__(kind, error, trace)

    def image(self, topic: str, stamp_ns: int, rgb: Pixels, frame_id: str = 'camera',
              encoding: str = 'rgb8', padding_bytes: int = 0, is_bigendian: bool = False,
              record_ns: int | None = None) -> None:
        """Write `rgb` (H, W, 3) as an Image, each row padded by `padding_bytes`."""
        raw = raw_image(rgb, encoding, padding_bytes, is_bigendian)
        self.image_bytes(topic, stamp_ns, raw.height, raw.width, raw.encoding, raw.step, raw.data,
                         frame_id, raw.is_bigendian, record_ns)

    def image_bytes(self, topic: str, stamp_ns: int, height: int, width: int, encoding: str,
                    step: int, data: bytes | Pixels, frame_id: str = 'camera',
                    is_bigendian: bool = False, record_ns: int | None = None) -> None:
        """Write an Image of exactly these fields, also one that makes no sense."""
        self._write(topic, wire.IMAGE, stamp_ns, record_ns, self._new(
            wire.IMAGE, self._header(topic, stamp_ns, frame_id), height, width, encoding,
            int(is_bigendian), step, np.frombuffer(data, np.uint8)))

    def compressed_image(self, topic: str, stamp_ns: int, rgb: Pixels, frame_id: str = 'camera',
                         codec: Literal['jpeg', 'png'] = 'jpeg', jpeg_quality: int = 90,
                         record_ns: int | None = None) -> None:
        """Write `rgb` (H, W, 3) as a CompressedImage."""
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        options = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality] if codec == 'jpeg' else []
        _, data = cv2.imencode('.jpg' if codec == 'jpeg' else '.png', bgr, options)
        self.compressed_bytes(topic, stamp_ns, data.tobytes(), frame_id, codec, record_ns)

    def compressed_bytes(self, topic: str, stamp_ns: int, data: bytes, frame_id: str = 'camera',
                         format_name: str = 'jpeg', record_ns: int | None = None) -> None:
        """Write a CompressedImage of exactly these bytes, e.g. those of a JPEG file."""
        self._write(topic, wire.COMPRESSED_IMAGE, stamp_ns, record_ns, self._new(
            wire.COMPRESSED_IMAGE, self._header(topic, stamp_ns, frame_id), format_name,
            np.frombuffer(data, np.uint8)))

    def camera_info(self, topic: str, stamp_ns: int, lens: Intrinsics | None,
                    frame_id: str = 'camera', record_ns: int | None = None) -> None:
        """Write the CameraInfo of a lens; None writes the zeros of an uncalibrated camera."""
        k, p = np.zeros(9), np.zeros(12)
        if lens is not None:
            k = lens.matrix().reshape(9)
            p = np.column_stack([lens.matrix(), np.zeros(3)]).reshape(12)
        width, height = (0, 0) if lens is None else (lens.width, lens.height)
        region = self._new('sensor_msgs/msg/RegionOfInterest', 0, 0, 0, 0, False)
        self._write(topic, wire.CAMERA_INFO, stamp_ns, record_ns, self._new(
            wire.CAMERA_INFO, self._header(topic, stamp_ns, frame_id), height, width,
            '' if lens is None else lens.model,
            np.array(() if lens is None else lens.distortion, dtype=np.float64), k,
            np.eye(3).reshape(9), p, 0, 0, region))

    def odometry(self, topic: str, stamp_ns: int, pose: se3.Array, frame_id: str = 'odom',
                 child_frame_id: str = 'base_link', record_ns: int | None = None) -> None:
        """Write an Odometry without velocities or covariances."""
        zero = self._new('geometry_msgs/msg/Vector3', 0.0, 0.0, 0.0)
        twist = self._new('geometry_msgs/msg/TwistWithCovariance',
                          self._new('geometry_msgs/msg/Twist', zero, zero), np.zeros(36))
        self._write(topic, wire.ODOMETRY, stamp_ns, record_ns, self._new(
            wire.ODOMETRY, self._header(topic, stamp_ns, frame_id), child_frame_id,
            self._with_covariance(pose, None), twist))

    def pose_stamped(self, topic: str, stamp_ns: int, pose: se3.Array, frame_id: str = 'map',
                     record_ns: int | None = None) -> None:
        """Write a PoseStamped."""
        self._write(topic, wire.POSE_STAMPED, stamp_ns, record_ns, self._new(
            wire.POSE_STAMPED, self._header(topic, stamp_ns, frame_id), self._pose(pose)))

    def pose_with_covariance(self, topic: str, stamp_ns: int, pose: se3.Array,
                             frame_id: str = 'map', covariance: se3.Array | None = None,
                             record_ns: int | None = None) -> None:
        """Write a PoseWithCovarianceStamped; `covariance` is (6, 6), zero where None."""
        self._write(topic, wire.POSE_WITH_COVARIANCE, stamp_ns, record_ns, self._new(
            wire.POSE_WITH_COVARIANCE, self._header(topic, stamp_ns, frame_id),
            self._with_covariance(pose, covariance)))

    def tf(self, stamp_ns: int, links: Sequence[tuple[str, str, se3.Array]],
           topic: str = '/tf', record_ns: int | None = None) -> None:
        """Write a TFMessage of links (parent, child, parent_from_child)."""
        transforms = []
        for parent, child, pose in links:
            x, y, z, *quaternion = map(float, pose)
            transforms.append(self._new(
                'geometry_msgs/msg/TransformStamped', self._header(topic, stamp_ns, parent), child,
                self._new('geometry_msgs/msg/Transform',
                          self._new('geometry_msgs/msg/Vector3', x, y, z),
                          self._new('geometry_msgs/msg/Quaternion', *quaternion))))
        self._write(topic, wire.TF_MESSAGE, stamp_ns, record_ns,
                    self._new(wire.TF_MESSAGE, transforms))

    def tf_static(self, stamp_ns: int, links: Sequence[tuple[str, str, se3.Array]],
                  record_ns: int | None = None) -> None:
        """Write a TFMessage to /tf_static, which is latched."""
        self.tf(stamp_ns, links, '/tf_static', record_ns)

    def raw(self, topic: str, msgtype: str, record_ns: int, data: bytes,
            latched: bool = False) -> None:
        """Write a message that is serialized already, as this kind of bag has it.

        `latched`, by the first message of a topic: who comes late is given the last one.
        """
        if topic not in self._connections:
            self._connections[topic] = self._connect(topic, msgtype, latched)
        connection, _ = self._connections[topic]
        self._refuse_another_type(connection, msgtype)
        self._writer.write(connection, record_ns, data)

    def _write(self, topic: str, msgtype: str, stamp_ns: int, record_ns: int | None,
               message: Any) -> None:
        if topic not in self._connections:
            self._connections[topic] = self._connect(topic, msgtype)
        connection, serialized = self._connections[topic]
        self._refuse_another_type(connection, msgtype)
        self._writer.write(connection, stamp_ns if record_ns is None else record_ns,
                           serialized(message))

    @staticmethod
    def _refuse_another_type(connection: Connection, msgtype: str) -> None:
        if connection.msgtype != msgtype:
            raise BagError(f'{connection.topic} is of type {connection.msgtype} in this bag and '
                           f'cannot take a {msgtype}; choose another topic')

    def _connect(self, topic: str, msgtype: str, latched: bool = False
                 ) -> tuple[Connection, Callable[[Any], bytes | memoryview]]:
        latched = latched or topic.endswith('/tf_static')
        if isinstance(self._writer, Writer1):
            return (self._writer.add_connection(topic, msgtype, typestore=self._store,
                                                latching=1 if latched else None),
                    lambda message: self._store.serialize_ros1(message, msgtype))
        return (self._writer.add_connection(topic, msgtype, typestore=self._store,
                                            offered_qos_profiles=[_LATCHED] if latched else []),
                lambda message: self._store.serialize_cdr(message, msgtype))

    def _new(self, msgtype: str, *fields: Any) -> Any:
        return self._store.types[msgtype](*fields)

    def _header(self, topic: str, stamp_ns: int, frame_id: str) -> Any:
        stamp = self._new('builtin_interfaces/msg/Time', *divmod(stamp_ns, 1_000_000_000))
        if not self._ros1:
            return self._new('std_msgs/msg/Header', stamp, frame_id)
        self._sequence[topic] = self._sequence.get(topic, -1) + 1
        return self._new('std_msgs/msg/Header', self._sequence[topic], stamp, frame_id)

    def _pose(self, pose: se3.Array) -> Any:
        x, y, z, *quaternion = map(float, pose)
        return self._new('geometry_msgs/msg/Pose', self._new('geometry_msgs/msg/Point', x, y, z),
                         self._new('geometry_msgs/msg/Quaternion', *quaternion))

    def _with_covariance(self, pose: se3.Array, covariance: se3.Array | None) -> Any:
        flat = np.zeros(36) if covariance is None else np.asarray(covariance, float).reshape(36)
        return self._new('geometry_msgs/msg/PoseWithCovariance', self._pose(pose), flat)
