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
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from vpr_ros.bags.frames import decode_or_skip, FrameCount, LazyFrame, read_images
from vpr_ros.bags.prefetch import prefetch
from vpr_ros.bags.recording import Recording
from vpr_ros.bags.trajectory import BASE_FRAME, read_mount, read_trajectory
from vpr_ros.bags.wire import IMAGE_TYPES
from vpr_ros.core import pose as se3
from vpr_ros.core.calibration import Calibration
from vpr_ros.core.folder import new_folder, refuse_existing
from vpr_ros.core.knobs import flat
from vpr_ros.core.localizer import Localizer, LocalizerConfig
from vpr_ros.core.motion import OdometryBuffer
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.scoring import JudgedFrame, Report, score, Tolerance
from vpr_ros.core.trajectory_lookup import MAX_GAP_S, poses_at
from vpr_ros.core.types import Camera, Describer, Frame, Outcome, Trajectory
from vpr_ros.errors import BagError, MapError, VprError
from vpr_ros.tools.build_map import salvaged
from vpr_ros.tools.progress import progress

_AHEAD = 8


@dataclass(frozen=True)
class QuerySource:
    """What of a recording is asked of the map; what is left empty is as in the map."""

    image: str = ''
    pose: str = ''
    odom: str = ''         # odometry for the belief, as the node's `odom`; empty: none
    camera: str = ''       # under which name; the map's, where it has only one
    base_frame: str = BASE_FRAME
    map_frame: str | None = None
    max_gap_s: float = MAX_GAP_S

    def filled(self, place_map: PlaceMap) -> QuerySource:
        """Return this with the map's own camera, topic and pose source where none was named."""
        camera = self.camera
        if not camera:
            names = [known.name for known in place_map.cameras]
            if len(names) > 1:
                raise MapError(f'the map has the cameras {", ".join(names)}; '
                               'say which one with --camera')
            camera = names[0]
        image = self.image or place_map.topics.get(camera, '')
        pose = self.pose or place_map.pose_source
        if not image or not pose:
            missing = '--image' if not image else '--pose'
            raise MapError(f'the map does not say where its images and poses came from; '
                           f'give {missing}')
        return QuerySource(image, pose, self.odom, camera, self.base_frame, self.map_frame,
                           self.max_gap_s)


class Motion:
    """Odometry fed to the same buffer as on the robot, as far as time has come."""

    def __init__(self, trajectory: Trajectory | None) -> None:
        self._trajectory = trajectory
        self._buffer = OdometryBuffer()
        self._next = 0

    def at(self, stamp_ns: int) -> se3.Array | None:
        """Return `odom_from_base` (7,) at a moment, or None; moments do not go back."""
        if self._trajectory is None:
            return None
        stamps_ns = self._trajectory.stamps_ns
        while self._next < len(stamps_ns) and not self._buffer.covers(stamp_ns):
            self._buffer.add(int(stamps_ns[self._next]), self._trajectory.poses[self._next])
            self._next += 1
        return self._buffer.at(stamp_ns)


@dataclass(frozen=True, eq=False)
class QueryRun:
    """A recording opened to be asked of a map: `truth` in the map's frame, and its `motion`."""

    recording: Recording
    asked: QuerySource
    truth: Trajectory
    motion: Motion
    camera: Camera
    count: FrameCount

    @classmethod
    def opened(cls, recording: Recording, place_map: PlaceMap, source: QuerySource) -> QueryRun:
        """Raise BagError when the recording lacks a topic or its poses are in another frame."""
        asked = source.filled(place_map)
        recording.require(asked.image, IMAGE_TYPES)
        truth = read_trajectory(recording, asked.pose, asked.map_frame, asked.base_frame,
                                asked.max_gap_s)
        if truth.frame_id != place_map.frame_id:
            raise BagError(f'{asked.pose} gives poses in frame {truth.frame_id}, the map is in '
                           f'{place_map.frame_id}: they cannot be compared; choose another '
                           '--pose')
        motion = Motion(read_trajectory(recording, asked.odom, None, asked.base_frame,
                                        asked.max_gap_s) if asked.odom else None)
        camera = Camera(asked.camera, read_mount(recording, asked.image, asked.base_frame))
        return cls(recording, asked, truth, motion, camera, FrameCount())

    def frames(self, what: str) -> Iterator[tuple[Frame, float]]:
        """Yield each frame and the milliseconds that decoding took, which runs ahead."""
        topic = self.recording.require(self.asked.image, IMAGE_TYPES)
        images = progress(read_images(self.recording, self.asked.image, self.asked.camera,
                                      self.count), topic.count, what)
        return prefetch(_decoded(images, self.count), _AHEAD)

    def truth_at(self, stamps_ns: NDArray[np.int64]) -> tuple[se3.Array, NDArray[np.bool_]]:
        """Return the true poses (n, 7) at moments, and for which of them they are known."""
        return poses_at(self.truth, stamps_ns, self.asked.max_gap_s, self.asked.pose)

    def remarks(self) -> tuple[str, ...]:
        """Return what was salvaged, and which images could not be decoded."""
        return (*salvaged(self.recording), *((str(self.count),) if self.count.skipped else ()))


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


def _decoded(images: Iterator[LazyFrame], count: FrameCount) -> Iterator[tuple[Frame, float]]:
    for image in images:
        started = perf_counter()
        if (frame := decode_or_skip(image, count)) is not None:
            yield frame, (perf_counter() - started) * 1e3


def _localized(localizer: Localizer, motion: Motion, frame: Frame) -> tuple[Outcome, float]:
    started = perf_counter()
    outcome = localizer.localize(frame, motion.at)
    return outcome, (perf_counter() - started) * 1e3


def nothing_to_judge(asked: QuerySource, without_truth: int, count: FrameCount) -> str:
    """Return why no frame of a recording can be judged."""
    if without_truth:
        return (f'none of the {without_truth} images on {asked.image} was taken while '
                f'{asked.pose} gave poses; check that both were recorded at the same time and by '
                'the same clock')
    return f'no image on {asked.image} can be judged: {count}'


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
