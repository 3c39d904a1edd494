# SPDX-License-Identifier: Apache-2.0
"""What is said of an outcome, in words, rows and numbers, whoever carries it as a message.

The node's messages and those that a bag is given afterwards are both made of this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.core.confidence import Signs
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.types import Outcome, Reason

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


def match_rows(outcome: Outcome, place_map: PlaceMap, probabilities: Sequence[float]
               ) -> NDArray[Any]:
    """Return (M,) of `MATCH_FIELDS`, a row for each match, best first.

    `probabilities` say what is believed of each of them.
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
    return rows


def status_values(outcome: Outcome, timing_ms: Mapping[str, float]) -> dict[str, str]:
    """Return the values of `~/status`, which has no header: so the stamp is among them.

    `timing_ms` adds what was measured around the localizer (latency_ms, decode_ms, age_ms).
    """
    best = outcome.hypotheses[0].probability if outcome.hypotheses else 0.0
    timing = outcome.timing
    return {
        'reason': outcome.reason.value,
        'probability': f'{best:.6f}',
        'unknown_probability': f'{outcome.unknown_probability:.6f}',
        **_signs(outcome),
        'describe_ms': f'{timing.describe_ms:.2f}',
        'search_ms': f'{timing.search_ms:.2f}',
        'judge_ms': f'{timing.judge_ms:.2f}',
        **{key: f'{value:.2f}' for key, value in timing_ms.items()},
        'stamp': stamp_text(outcome.stamp_ns),
        'restarted': str(outcome.restarted).lower(),
    }


def _signs(outcome: Outcome) -> dict[str, str]:
    """Return what speaks for the best hypothesis; NaN where there is none."""
    return {sign.name: 'nan' if outcome.signs is None
            else f'{getattr(outcome.signs, sign.name):.3f}' for sign in fields(Signs)}


def stamp_text(stamp_ns: int) -> str:
    """Return a stamp as seconds with all its nanoseconds."""
    return f'{stamp_ns // 1_000_000_000}.{stamp_ns % 1_000_000_000:09d}'
