# SPDX-License-Identifier: Apache-2.0
"""What a node published about images, read back as the outcomes that it had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from vpr_ros.bags.compose import Said
from vpr_ros.bags.outcome_messages import HYPOTHESES, MATCHES, POSE, STATUS, TYPES
from vpr_ros.bags.recording import Recording
from vpr_ros.core import pose as se3
from vpr_ros.core.confidence import Signs
from vpr_ros.core.published import MATCH_FIELDS
from vpr_ros.core.types import Hypothesis, Match, Outcome, Reason, stamp_ns_of, Timing

# The covariance of what was not accepted is not published, and none is made up.
_UNSAID = np.full((6, 6), np.nan)


@dataclass(frozen=True, eq=False)
class Answer:
    """An outcome as it was published, what the frame took in the node, and the messages of it.

    The outcome has one hypothesis, the best: no probability is published of the others.
    """

    outcome: Outcome
    decode_ms: float
    latency_ms: float   # from receiving the image to publishing
    messages: tuple[Said, ...]


def read_answers(recording: Recording) -> list[Answer]:
    """Return each image's answer, in the order of publishing; what is incomplete is left out.

    Of an image that was answered twice, the first answer counts.
    Raises BagError for a damaged message.
    """
    heard: dict[int, dict[str, tuple[Said, Any]]] = {}
    topics = [topic for topic in TYPES if topic in recording.topics]
    for message, decoded in recording.decoded(topics):
        said = Said(message.topic, message.type, message.cdr)
        heard.setdefault(_stamp_ns(said.topic, decoded), {}).setdefault(
            said.topic, (said, decoded))
    return [_answer(stamp_ns, parts) for stamp_ns, parts in heard.items() if _is_whole(parts)]


def status_stamp_ns(values: Mapping[str, str]) -> int:
    """Return the stamp among the values of `~/status`."""
    seconds, nanoseconds = values['stamp'].split('.')
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def _stamp_ns(topic: str, decoded: Any) -> int:
    return status_stamp_ns(_values(decoded)) if topic == STATUS else stamp_ns_of(decoded)


def _values(status: Any) -> dict[str, str]:
    return {item.key: item.value for item in status.values}


def _is_whole(parts: Mapping[str, tuple[Said, Any]]) -> bool:
    if not {HYPOTHESES, MATCHES, STATUS} <= set(parts):
        return False
    return POSE in parts or _values(parts[STATUS][1])['reason'] != Reason.ACCEPTED.value


def _answer(stamp_ns: int, parts: Mapping[str, tuple[Said, Any]]) -> Answer:
    decoded = {topic: message for topic, (_, message) in parts.items()}
    status, poses = decoded[STATUS], decoded[HYPOTHESES].poses
    values = _values(status)
    rows = np.frombuffer(bytes(decoded[MATCHES].data), MATCH_FIELDS)
    outcome = Outcome(
        stamp_ns, status.hardware_id,
        tuple(Match(int(row['place']), float(row['similarity'])) for row in rows), (),
        Reason(values['reason']), float(values['unknown_probability']),
        values['restarted'] == 'true', _signs(values),
        Timing(*(float(values[f'{stop}_ms']) for stop in ('describe', 'search', 'judge'))))
    if POSE in decoded or poses:
        outcome = replace(outcome, hypotheses=(_best(stamp_ns, decoded, values),))
    return Answer(outcome, float(values['decode_ms']), float(values['latency_ms']),
                  tuple(said for said, _ in parts.values()))


def _best(stamp_ns: int, decoded: Mapping[str, Any], values: Mapping[str, str]) -> Hypothesis:
    frame_id, probability = decoded[HYPOTHESES].header.frame_id, float(values['probability'])
    if (fix := decoded.get(POSE)) is None:
        return Hypothesis(stamp_ns, frame_id, _row(decoded[HYPOTHESES].poses[0]), _UNSAID,
                          probability)
    return Hypothesis(stamp_ns, fix.header.frame_id, _row(fix.pose.pose),
                      np.array(fix.pose.covariance).reshape(6, 6), probability)


def _row(pose: Any) -> se3.Array:
    p, q = pose.position, pose.orientation
    return np.array([p.x, p.y, p.z, q.x, q.y, q.z, q.w])


def _signs(values: Mapping[str, str]) -> Signs | None:
    signs = Signs(**{sign.name: float(values[sign.name]) for sign in fields(Signs)})
    return None if np.isnan(signs.odds) else signs
