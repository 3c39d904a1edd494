# SPDX-License-Identifier: Apache-2.0
"""A recording against a map: every frame through the localizer, as on the robot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
import json
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from vpr_ros.bags.recording import Recording
from vpr_ros.core.calibration import Calibration
from vpr_ros.core.folder import new_folder, refuse_existing
from vpr_ros.core.knobs import flat
from vpr_ros.core.localizer import Localizer, LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.scoring import JudgedFrame, Report, score, Tolerance
from vpr_ros.core.types import Describer, Frame, Outcome
from vpr_ros.errors import BagError, VprError
from vpr_ros.tools.query_run import Motion, nothing_to_judge, QueryRun, QuerySource


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The report, and every frame behind it."""

    report: Report
    frames: tuple[JudgedFrame, ...]
    remarks: tuple[str, ...]   # what a person should know of the recording and the map
    threshold: float           # least probability of an accepted pose
    calibration: Calibration | None   # of the map, as far as it was in use


def evaluate(recording: Recording, place_map: PlaceMap, describer: Describer,
             config: LocalizerConfig, source: QuerySource, tolerance: Tolerance) -> Evaluation:
    """Return what the localizer says of every image of a recording, and how true that is.

    Frames before the first and after the last true pose are localized too, since the belief
    lives on them, but not judged. Raises BagError when no image can be judged.
    """
    run = QueryRun.opened(recording, place_map, source)
    asked = run.asked
    localizer = Localizer(config, place_map, describer, [run.camera])
    answers = [(frame.stamp_ns, decode_ms, *_localized(localizer, run.motion, frame))
               for frame, decode_ms in run.frames('evaluate')]
    stamps_ns = np.array([stamp_ns for stamp_ns, *_ in answers], dtype=np.int64)
    poses, inside = run.truth_at(stamps_ns)
    frames = [JudgedFrame(outcome, pose, decode_ms + localize_ms)
              for (_, decode_ms, outcome, localize_ms), pose, known
              in zip(answers, poses, inside, strict=True) if known]
    without_truth = len(answers) - len(frames)
    if not frames:
        raise BagError(nothing_to_judge(asked, without_truth, run.count))
    report = score(frames, localizer.poses_seen_by(asked.camera), tolerance, without_truth,
                   run.count.skipped)
    return Evaluation(report, tuple(frames), (*run.remarks(), *_of_calibration(localizer, asked,
                                                                               place_map)),
                      localizer.threshold, localizer.calibration)


def _localized(localizer: Localizer, motion: Motion, frame: Frame) -> tuple[Outcome, float]:
    started = perf_counter()
    outcome = localizer.localize(frame, motion.at)
    return outcome, (perf_counter() - started) * 1e3


def _of_calibration(localizer: Localizer, asked: QuerySource, place_map: PlaceMap
                    ) -> Iterator[str]:
    """Yield why the probabilities may not be what they say."""
    stored = place_map.calibration
    if stored is None:
        yield ('the map is not calibrated: its probabilities are those of other maps; '
               'see vpr calibrate')
    elif localizer.calibration is None:
        yield f'the calibration of the map is not used: {localizer.unlike_calibration}'
    elif stored.odometry != bool(asked.odom):
        yield ('the map was calibrated ' + ('with odometry, and this run gave none'
               if stored.odometry else 'without odometry, and this run gave some')
               + ': its probabilities do not hold')


def write_evaluation(bags: Sequence[Path], map_path: Path, out: Path, describer: Describer,
                     config: LocalizerConfig, source: QuerySource, tolerance: Tolerance,
                     salvage: bool, force: bool, engine: str = '') -> Evaluation:
    """Evaluate `bags` on a map and write report.json, outcomes.jsonl and the settings.

    `engine` says in the settings what ran the network.
    """
    refuse_existing(out, force, VprError)
    place_map = PlaceMap.load(map_path)
    with Recording(bags, salvage) as recording:
        evaluation = evaluate(recording, place_map, describer, config, source, tolerance)
    settings = {'bags': [str(bag) for bag in bags], 'map': str(map_path),
                'map_digest': place_map.digest, 'model': describer.card.name,
                'model_digest': describer.card.digest, 'engine': engine,
                **asdict(source.filled(place_map)),
                **flat(config), 'tolerance_m': tolerance.m, 'tolerance_deg': tolerance.deg,
                'threshold': evaluation.threshold,
                'calibrated': evaluation.calibration is not None}
    with new_folder(out, force, VprError) as folder:
        (folder / 'report.json').write_text(evaluation.report.to_json())
        (folder / 'settings.json').write_text(json.dumps(settings, indent=2) + '\n')
        with (folder / 'outcomes.jsonl').open('w') as lines:
            for frame in evaluation.frames:
                lines.write(json.dumps(outcome_record(frame)) + '\n')
    return evaluation


def outcome_record(frame: JudgedFrame) -> dict[str, Any]:
    """Return one line of outcomes.jsonl: the verdict on a frame and the truth."""
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
        'matches': [[match.place, round(match.similarity, 6)] for match in outcome.matches[:10]],
        'restarted': outcome.restarted,
        'latency_ms': round(frame.latency_ms, 3),
        'describe_ms': round(outcome.timing.describe_ms, 3),
    }


def print_report(report: Report, console: Console) -> None:
    """Print the numbers as a table, the protocol beside them."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in asdict(report).items():
        if name == 'protocol':
            continue
        if isinstance(value, dict):
            value = ', '.join(f'{key} {number}' for key, number in value.items())
        elif isinstance(value, float):
            value = f'{value:.3f}'
        table.add_row(name, '-' if value is None else str(value))
    console.print(table)
    console.print(f'protocol: {report.protocol}', style='dim')
