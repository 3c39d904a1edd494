# SPDX-License-Identifier: Apache-2.0
"""Outcomes as messages; every stamp is the image's, every frame the map's."""

from __future__ import annotations

from array import array  # the one type that every release takes without a look at each byte
from collections.abc import Mapping, Sequence
import math

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from geometry_msgs.msg import Pose, PoseArray, PoseWithCovarianceStamped
import numpy as np
from sensor_msgs.msg import Image, PointCloud2, PointField
from std_msgs.msg import Header

from vpr_ros.core import pose as se3
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.published import MATCH_FIELDS, match_rows, SENTENCES, status_values
from vpr_ros.core.types import Hypothesis, Image as Picture, Outcome

_POINT_TYPES = {'f': PointField.FLOAT32, 'i': PointField.INT32}
_POINT_FIELDS = [
    PointField(name=name, offset=4 * column, datatype=_POINT_TYPES[MATCH_FIELDS[name].kind],
               count=1)
    for column, name in enumerate(MATCH_FIELDS.names or ())]
_SMALLEST_VARIANCE = 1e-6


def header(stamp_ns: int, frame_id: str) -> Header:
    """Return a header."""
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    return Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=frame_id)


def pose(row: se3.Array) -> Pose:
    """Return the message of a pose (7,); its quaternion is of unit length to the last bit."""
    message = Pose()
    position, turn = message.position, message.orientation
    position.x, position.y, position.z = (float(value) for value in row[:3])
    turn.x, turn.y, turn.z, turn.w = (float(v) for v in row[3:] / np.linalg.norm(row[3:]))
    return message


def pose_with_covariance(hypothesis: Hypothesis) -> PoseWithCovarianceStamped:
    """Return what goes to `~/pose`."""
    message = PoseWithCovarianceStamped()
    message.header = header(hypothesis.stamp_ns, hypothesis.frame_id)
    message.pose.pose = pose(hypothesis.pose)
    message.pose.covariance = hypothesis.covariance.astype(np.float64).ravel()
    return message


def initialpose(hypothesis: Hypothesis) -> PoseWithCovarianceStamped:
    """Return the pose as AMCL takes it: with the diagonal of the covariance only.

    AMCL drops a message in which any element is negative, off-diagonals included, and a zero
    would seed all its particles on one spot.
    """
    message = pose_with_covariance(hypothesis)
    variances = np.maximum(np.diag(hypothesis.covariance), _SMALLEST_VARIANCE)
    message.pose.covariance = np.diag(variances).ravel()
    return message


def hypotheses(outcome: Outcome, frame_id: str) -> PoseArray:
    """Return what goes to `~/hypotheses`: best first, also when nothing was accepted."""
    return PoseArray(header=header(outcome.stamp_ns, frame_id),
                     poses=[pose(hypothesis.pose) for hypothesis in outcome.hypotheses])


def place_matches(outcome: Outcome, place_map: PlaceMap,
                  probabilities: Sequence[float]) -> PointCloud2:
    """Return what goes to `~/place_matches`: a row of `MATCH_FIELDS` for every candidate.

    `probabilities` say what is believed of each of the outcome's matches.
    """
    rows = match_rows(outcome, place_map, probabilities)
    return PointCloud2(
        header=header(outcome.stamp_ns, place_map.frame_id), height=1, width=len(rows),
        fields=_POINT_FIELDS,
        is_bigendian=False, point_step=MATCH_FIELDS.itemsize, row_step=rows.nbytes,
        data=array('B', rows.tobytes()), is_dense=True)


def status(outcome: Outcome, name: str, timing_ms: Mapping[str, float]) -> DiagnosticStatus:
    """Return what goes to `~/status`, for every frame that was judged.

    `timing_ms` adds what the node measured (latency, decoding, age). The message has no
    header, so the image's stamp is among the values.
    """
    accepted = outcome.accepted is not None
    return DiagnosticStatus(
        level=DiagnosticStatus.OK if accepted else DiagnosticStatus.WARN, name=name,
        message=SENTENCES[outcome.reason], hardware_id=outcome.camera,
        values=key_values(status_values(outcome, timing_ms)))


def key_values(values: Mapping[str, object]) -> list[KeyValue]:
    """Return the values of a DiagnosticStatus."""
    return [KeyValue(key=key, value=str(value)) for key, value in values.items()]


def verdict(outcome: Outcome) -> str:
    """Return what `~/trigger` replies: the reason, and the place when there is one."""
    text = SENTENCES[outcome.reason]
    if (fix := outcome.accepted) is None:
        return text
    return (f'{text}: {in_the_plane(fix.pose)} in {fix.frame_id}, '
            f'probability {fix.probability:.2f}')


def in_the_plane(row: se3.Array) -> str:
    """Return a pose (7,) as people read it."""
    return (f'x {row[0]:.2f} m, y {row[1]:.2f} m, '
            f'heading {math.degrees(se3.yaw_rad(row)):.0f} deg')


def image(picture: Picture, stamp_ns: int, frame_id: str) -> Image:
    """Return an RGB picture (H, W, 3) as a message."""
    height, width, _ = picture.shape
    return Image(header=header(stamp_ns, frame_id), height=height, width=width, encoding='rgb8',
                 is_bigendian=0, step=3 * width, data=array('B', picture.tobytes()))
