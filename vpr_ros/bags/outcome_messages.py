# SPDX-License-Identifier: Apache-2.0
"""Outcomes as the messages that the node publishes of them, for bags; no ROS is needed.

A test holds these against the node's own messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vpr_ros.bags import wire
from vpr_ros.bags.compose import header, key_values, new, pose, Said, said
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.published import MATCH_FIELDS, match_rows, SENTENCES, status_values
from vpr_ros.core.types import Hypothesis, Outcome

NODE = '/relocalizer'
POSE, HYPOTHESES = f'{NODE}/pose', f'{NODE}/hypotheses'
MATCHES, STATUS = f'{NODE}/place_matches', f'{NODE}/status'
TYPES = {POSE: wire.POSE_WITH_COVARIANCE, HYPOTHESES: 'geometry_msgs/msg/PoseArray',
         MATCHES: 'sensor_msgs/msg/PointCloud2', STATUS: 'diagnostic_msgs/msg/DiagnosticStatus'}

_INT32, _FLOAT32 = 5, 7   # of sensor_msgs/PointField
_OK, _WARN = 0, 1         # of diagnostic_msgs/DiagnosticStatus


def outcome_messages(outcome: Outcome, place_map: PlaceMap, probabilities: Sequence[float],
                     timing_ms: Mapping[str, float]) -> list[Said]:
    """Return all that the node publishes of a frame; the pose only when it was accepted.

    `probabilities` say what is believed of each of the outcome's matches; `timing_ms` is what was
    measured around the localizer.
    """
    fix = outcome.accepted
    return [*([] if fix is None else [_pose(fix)]), _hypotheses(outcome, place_map.frame_id),
            _matches(outcome, place_map, probabilities), _status(outcome, timing_ms)]


def _pose(fix: Hypothesis) -> Said:
    covariance = fix.covariance.astype(np.float64).ravel()
    return said(POSE, TYPES[POSE], header(fix.stamp_ns, fix.frame_id),
                new('geometry_msgs/msg/PoseWithCovariance', pose(fix.pose), covariance))


def _hypotheses(outcome: Outcome, frame_id: str) -> Said:
    return said(HYPOTHESES, TYPES[HYPOTHESES], header(outcome.stamp_ns, frame_id),
                [pose(hypothesis.pose) for hypothesis in outcome.hypotheses])


def _matches(outcome: Outcome, place_map: PlaceMap, probabilities: Sequence[float]) -> Said:
    rows = match_rows(outcome, place_map, probabilities)
    fields = [new('sensor_msgs/msg/PointField', name, 4 * column,
                  _INT32 if MATCH_FIELDS[name].kind == 'i' else _FLOAT32, 1)
              for column, name in enumerate(MATCH_FIELDS.names or ())]
    return said(MATCHES, TYPES[MATCHES], header(outcome.stamp_ns, place_map.frame_id), 1,
                len(rows), fields, False, MATCH_FIELDS.itemsize, rows.nbytes,
                np.frombuffer(rows.tobytes(), np.uint8), True)


def _status(outcome: Outcome, timing_ms: Mapping[str, float]) -> Said:
    level = _WARN if outcome.accepted is None else _OK
    return said(STATUS, TYPES[STATUS], level, f'{NODE[1:]}: {outcome.camera}',
                SENTENCES[outcome.reason], outcome.camera,
                key_values(status_values(outcome, timing_ms)))
