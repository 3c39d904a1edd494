# SPDX-License-Identifier: Apache-2.0
"""The judged frames of an evaluation as columns, read from `outcomes.jsonl`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.types import Reason
from vpr_ros.errors import VprError

MATCHES = 10
REASONS = tuple(reason.value for reason in Reason)
ACCEPTED = REASONS.index(Reason.ACCEPTED.value)

_NAN = float('nan')
_AGAIN = 'run vpr evaluate again'


@dataclass(frozen=True, eq=False)
class FrameTable:
    """F frames in the order of time; what a frame does not have is NaN, or -1 for a place.

    `truth` and `pose` (F, 7), `pose` of the best hypothesis. `places` and `similarity`
    (F, MATCHES), best first. `right` says whether the best hypothesis was right, false without
    one. `nearest_place` is the positive that is nearest to the truth. `reason` (F,) indexes
    REASONS, `camera` (F,) indexes `cameras`.
    """

    stamps_ns: NDArray[np.int64]
    truth: NDArray[np.float64]
    pose: NDArray[np.float64]
    probability: NDArray[np.float64]
    unknown_probability: NDArray[np.float64]
    position_error_m: NDArray[np.float64]
    heading_error_deg: NDArray[np.float64]
    places: NDArray[np.int32]
    similarity: NDArray[np.float32]
    has_match: NDArray[np.bool_]
    accepted: NDArray[np.bool_]
    right: NDArray[np.bool_]
    nearest_place: NDArray[np.int32]
    reason: NDArray[np.uint8]
    camera: NDArray[np.uint8]
    cameras: tuple[str, ...]
    latency_ms: NDArray[np.float64]
    stages_ms: Mapping[str, NDArray[np.float64]]   # decode, describe, search, judge; those known

    def __len__(self) -> int:
        return len(self.stamps_ns)

    @property
    def seconds(self) -> NDArray[np.float64]:
        """Seconds since the first frame."""
        return np.asarray((self.stamps_ns - self.stamps_ns[0]) * 1e-9)


def read_frames(path: Path) -> FrameTable:
    """Return the frames of an `outcomes.jsonl`.

    Raises VprError that names the file and the line when it cannot be read, holds no frame, or
    lacks what a frame needs.
    """
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise VprError(f'{path} cannot be read ({error}); {_AGAIN}') from error
    records = [_record(path, number, line) for number, line in enumerate(lines, 1) if line]
    if not records:
        raise VprError(f'{path} holds no frame; {_AGAIN}')
    try:
        return _table(records)
    except KeyError as error:
        raise VprError(f'{path} lacks {error} of a frame: another version wrote it; {_AGAIN}'
                       ) from error
    except (TypeError, ValueError) as error:
        raise VprError(f'{path} is damaged ({error}); {_AGAIN}') from error


def _record(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise VprError(f'{path} is damaged in line {number} ({error}); {_AGAIN}') from error
    if not isinstance(record, dict):
        raise VprError(f'{path} is damaged in line {number} (no frame); {_AGAIN}')
    return record


def _table(records: Sequence[dict[str, Any]]) -> FrameTable:
    def numbers(key: str) -> NDArray[np.float64]:
        return np.array([_NAN if (value := record.get(key)) is None else value
                         for record in records], dtype=np.float64)

    matches = [record['matches'][:MATCHES] for record in records]
    places = np.full((len(records), MATCHES), -1, np.int32)
    similarity = np.full((len(records), MATCHES), np.nan, np.float32)
    for row, pairs in enumerate(matches):
        if pairs:
            places[row, :len(pairs)] = [place for place, _ in pairs]
            similarity[row, :len(pairs)] = [value for _, value in pairs]
    cameras = sorted({str(record['camera']) for record in records})
    stages = {stage: numbers(f'{stage}_ms') for stage in ('decode', 'describe', 'search', 'judge')}
    return FrameTable(
        stamps_ns=np.array([record['stamp_ns'] for record in records], dtype=np.int64),
        truth=_poses([record['truth'] for record in records]),
        pose=_poses([record['pose'] for record in records]),
        probability=numbers('probability'),
        unknown_probability=numbers('unknown_probability'),
        position_error_m=numbers('position_error_m'),
        heading_error_deg=numbers('heading_error_deg'),
        places=places,
        similarity=similarity,
        has_match=np.array([bool(record['has_match']) for record in records]),
        accepted=np.array([bool(record['accepted']) for record in records]),
        right=np.array([bool(record['right']) for record in records]),
        nearest_place=np.array([-1 if (place := record.get('nearest_place')) is None else place
                                for record in records], dtype=np.int32),
        reason=np.array([REASONS.index(Reason(record['reason']).value)
                         for record in records], dtype=np.uint8),
        camera=np.array([cameras.index(str(record['camera'])) for record in records],
                        dtype=np.uint8),
        cameras=tuple(cameras),
        latency_ms=numbers('latency_ms'),
        stages_ms={stage: values for stage, values in stages.items()
                   if np.isfinite(values).any()},
    )


def _poses(rows: Sequence[Sequence[float] | None]) -> NDArray[np.float64]:
    """Return (F, 7); a row of NaN where there is no pose."""
    nothing = (_NAN,) * 7
    poses = np.array([nothing if row is None else row for row in rows], dtype=np.float64)
    if poses.shape != (len(rows), 7):
        raise ValueError(f'poses of shape {poses.shape}')
    return poses
