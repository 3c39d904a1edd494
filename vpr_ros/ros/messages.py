# SPDX-License-Identifier: Apache-2.0
"""Outcomes as messages; every stamp is the image's, every frame the map's."""

from __future__ import annotations

from array import array  # the one type that every release takes without a look at each byte
from collections.abc import Mapping, Sequence
from dataclasses import fields
import math

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from geometry_msgs.msg import Pose, PoseArray, PoseWithCovarianceStamped
import numpy as np
from sensor_msgs.msg import Image, PointCloud2, PointField
from std_msgs.msg import Header

from vpr_ros.core import pose as se3
from vpr_ros.core.confidence import Signs
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.types import Hypothesis, Image as Picture, Outcome, Reason

SENTENCES: Mapping[Reason, str] = {
    Reason.ACCEPTED: 'accepted: this is where the robot is',
    Reason.UNKNOWN: 'unknown: most likely not a place of the map',
    Reason.WEAK: 'weak: no place is probable enough',
    Reason.AMBIGUOUS: 'ambiguous: several places are nearly as probable',
    Reason.UNCONFIRMED: 'unconfirmed: probable, but not for long enough yet',
    Reason.UNVERIFIED: 'unverified: the views do not agree geometrically',
    Reason.STALE: 'stale: older than what was already judged',
}

MATCH_FIELDS = np.dtype([
    ('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('yaw', '<f4'), ('similarity', '<f4'),
    ('probability', '<f4'), ('place', '<i4'), ('session', '<i4'), ('rank', '<i4')])
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
    place = np.array([match.place for match in outcome.matches], dtype=np.int64)
    rows = np.zeros(len(place), dtype=MATCH_FIELDS)
    rows['x'], rows['y'], rows['z'] = place_map.poses[place, :3].T
    rows['yaw'] = se3.yaw_rad(place_map.poses[place])
    rows['similarity'] = [match.similarity for match in outcome.matches]
    rows['probability'] = probabilities
    rows['place'] = place
    rows['session'] = place_map.session_of[place]
    rows['rank'] = np.arange(len(place))
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
    best = outcome.hypotheses[0].probability if outcome.hypotheses else 0.0
    timing = outcome.timing
    values = {
        'reason': outcome.reason.value,
        'probability': f'{best:.4f}',
        'unknown_probability': f'{outcome.unknown_probability:.4f}',
        **_signs(outcome),
        'describe_ms': f'{timing.describe_ms:.2f}',
        'search_ms': f'{timing.search_ms:.2f}',
        'judge_ms': f'{timing.judge_ms:.2f}',
        **{key: f'{value:.2f}' for key, value in timing_ms.items()},
        'stamp': stamp_text(outcome.stamp_ns),
        'restarted': str(outcome.restarted).lower(),
    }
    accepted = outcome.accepted is not None
    return DiagnosticStatus(
        level=DiagnosticStatus.OK if accepted else DiagnosticStatus.WARN, name=name,
        message=SENTENCES[outcome.reason], hardware_id=outcome.camera, values=key_values(values))


def _signs(outcome: Outcome) -> dict[str, str]:
    """Return what speaks for the best hypothesis; NaN where there is none."""
    return {sign.name: 'nan' if outcome.signs is None
            else f'{getattr(outcome.signs, sign.name):.3f}' for sign in fields(Signs)}


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


def stamp_text(stamp_ns: int) -> str:
    """Return a stamp as seconds with all its nanoseconds."""
    return f'{stamp_ns // 1_000_000_000}.{stamp_ns % 1_000_000_000:09d}'


def image(picture: Picture, stamp_ns: int, frame_id: str) -> Image:
    """Return an RGB picture (H, W, 3) as a message."""
    height, width, _ = picture.shape
    return Image(header=header(stamp_ns, frame_id), height=height, width=width, encoding='rgb8',
                 is_bigendian=0, step=3 * width, data=array('B', picture.tobytes()))
