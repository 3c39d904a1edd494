# SPDX-License-Identifier: Apache-2.0
"""The folder of an evaluation: all numbers, every frame, and what its pictures are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import csv
from dataclasses import asdict
import json
from pathlib import Path
from typing import Any

import numpy as np

from vpr_ros.core.frame_scores import FrameScores
from vpr_ros.core.judged import JudgedFrame
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.score_curves import curves_of
from vpr_ros.tools.evaluation import Evaluation
from vpr_ros.tools.similarity_blocks import similarity_blocks

_MATCHES = 10
_POSE = ('x', 'y', 'z', 'qx', 'qy', 'qz', 'qw')


def fill_folder(folder: Path, evaluation: Evaluation, place_map: PlaceMap,
                settings: Mapping[str, Any]) -> None:
    """Write report.json, settings.json, outcomes, curves, and what was kept of pictures.

    What the evaluation does not have (thumbnails, descriptors) is left out.
    """
    (folder / 'report.json').write_text(evaluation.report.to_json())
    (folder / 'settings.json').write_text(json.dumps(settings, indent=2) + '\n')
    (folder / 'curves.json').write_text(curves_of(evaluation.scores).to_json())
    write_outcomes(folder, list(outcome_records(evaluation)))
    np.savez(folder / 'places.npz', poses=evaluation.places, stamps_ns=place_map.stamps_ns)
    if evaluation.thumbnails:
        (folder / 'pictures.bin').write_bytes(b''.join(evaluation.thumbnails))
        np.savez(folder / 'pictures.npz', ends=np.cumsum(
            [len(jpeg) for jpeg in evaluation.thumbnails], dtype=np.int64))
    if evaluation.descriptors is not None:
        blocks = similarity_blocks(
            evaluation.descriptors, place_map.descriptors, evaluation.places,
            np.stack([frame.truth for frame in evaluation.frames]), evaluation.scores.tolerance)
        np.savez_compressed(folder / 'similarity.npz', **asdict(blocks))


def outcome_records(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """Yield a line of outcomes.jsonl for each frame, in the order of time."""
    for row, frame in enumerate(evaluation.frames):
        yield {**outcome_record(frame), **_judgment(evaluation.scores, row)}


def outcome_record(frame: JudgedFrame) -> dict[str, Any]:
    """Return the verdict on a frame, the truth, and what it cost."""
    outcome = frame.outcome
    best = outcome.hypotheses[0] if outcome.hypotheses else None
    error_m, error_rad = frame.errors()
    return {
        'stamp_ns': outcome.stamp_ns,
        'camera': outcome.camera,
        'reason': outcome.reason.value,
        'pose': None if best is None else [round(float(x), 6) for x in best.pose],
        'probability': None if best is None else round(best.probability, 6),
        'unknown_probability': round(outcome.unknown_probability, 6),
        'truth': [round(float(x), 6) for x in frame.truth],
        'position_error_m': None if best is None else round(error_m, 4),
        'heading_error_deg': None if best is None else round(float(np.degrees(error_rad)), 3),
        'matches': [[match.place, round(match.similarity, 6)]
                    for match in outcome.matches[:_MATCHES]],
        'restarted': outcome.restarted,
        'latency_ms': round(frame.latency_ms, 3),
        'decode_ms': None if frame.decode_ms is None else round(frame.decode_ms, 3),
        'describe_ms': round(outcome.timing.describe_ms, 3),
        'search_ms': round(outcome.timing.search_ms, 3),
        'judge_ms': round(outcome.timing.judge_ms, 3),
    }


def _judgment(scores: FrameScores, row: int) -> dict[str, Any]:
    place = int(scores.nearest_place[row])
    return {
        'has_match': place >= 0,
        'right': bool(scores.right[row]) if scores.guessed[row] else None,
        'accepted': bool(scores.accepted[row]),
        'nearest_place': place if place >= 0 else None,
    }


def write_outcomes(folder: Path, records: list[dict[str, Any]]) -> None:
    """Write outcomes.jsonl and, the same with a column for each number, outcomes.csv."""
    with (folder / 'outcomes.jsonl').open('w', encoding='utf-8') as lines:
        lines.writelines(json.dumps(record) + '\n' for record in records)
    with (folder / 'outcomes.csv').open('w', encoding='utf-8', newline='') as stream:
        table = csv.DictWriter(stream, list(_flat(records[0])) if records else [])
        table.writeheader()
        table.writerows(_flat(record) for record in records)


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record without lists; what it does not have is empty."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if key in ('pose', 'truth'):
            for name, number in zip(_POSE, value or [''] * len(_POSE), strict=True):
                flat[f'{key}_{name}'] = number
        elif key == 'matches':
            for rank in range(_MATCHES):
                pair = value[rank] if rank < len(value) else ('', '')
                flat[f'match_{rank + 1}_place'], flat[f'match_{rank + 1}_similarity'] = pair
        else:
            flat[key] = '' if value is None else value
    return flat
