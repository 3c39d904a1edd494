# SPDX-License-Identifier: Apache-2.0
"""A map and a run with poses -> a probability that means something, and a threshold for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
import json
from pathlib import Path

import numpy as np

from vpr_ros.bags.frames import read_images
from vpr_ros.bags.recording import Recording
from vpr_ros.core import pose as se3
from vpr_ros.core.calibration import Calibration, check_precision
from vpr_ros.core.folder import new_folder, refuse_existing
from vpr_ros.core.left_out import part_of, Replay, replays
from vpr_ros.core.localizer import LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.scoring import Tolerance
from vpr_ros.core.trials import apart, calibration_of, stretch_of, stretches, Trial
from vpr_ros.core.types import Describer, Frame, Image
from vpr_ros.errors import BagError, MapError, VprError
from vpr_ros.report.reliability import draw_reliability
from vpr_ros.tools.examination import Driven, Examination
from vpr_ros.tools.progress import progress
from vpr_ros.tools.query_run import nothing_to_judge, QueryRun, QuerySource

_PRECISION = 0.99
_NO_IMAGE: Image = np.zeros((0, 0, 3), dtype=np.uint8)


@dataclass(frozen=True)
class Target:
    """What is promised, of which localizer, and what counts as right."""

    precision: float = _PRECISION
    tolerance: Tolerance = field(default_factory=Tolerance)
    config: LocalizerConfig = field(default_factory=LocalizerConfig)

    def __post_init__(self) -> None:
        check_precision(self.precision)


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A calibration, and what it was measured on.

    `frames` were judged on the whole map and `off_map` on a map that lacked where they were. A
    map by itself, of which half is left out, is allowed `slack_m` more than the tolerance.
    """

    calibration: Calibration
    frames: int
    off_map: int
    tolerance: Tolerance
    slack_m: float = 0.0
    remarks: tuple[str, ...] = ()

    @property
    def protocol(self) -> str:
        """How it was measured, in a sentence."""
        slack = '' if not self.slack_m else (f' (and {self.slack_m:.1f} m more, as far as the '
                                             'next place is when every second one is left out)')
        return (f'right is within {self.tolerance.m:g} m{slack} and {self.tolerance.deg:g} deg of '
                f'the true pose; {self.frames} frames on the map and {self.off_map} with all that '
                'shows their stretch of the way taken out of it, a stretch judged by a model '
                'fitted on the others; bounds with 95 % confidence, frames taken to be '
                'independent')


def calibrate_by_run(recording: Recording, place_map: PlaceMap, describer: Describer,
                     source: QuerySource, target: Target) -> Calibrated:
    """Return the calibration of a map by another run with poses.

    Each picture is described once. Raises MapError when the model may not ask the map, and when
    the run cannot support the target, with what is lacking; BagError when nothing can be judged.
    """
    run = QueryRun.opened(recording, place_map, source)
    images = read_images(recording, run.asked.image, run.asked.camera)
    stamps_ns = np.array([image.stamp_ns for image in images], dtype=np.int64)
    poses, known = run.truth_at(stamps_ns)
    if not known.any():
        raise BagError(nothing_to_judge(run, stamps_ns))
    truth = poses[known]
    cuts = stretches(len(truth))
    examination = Examination(place_map, describer.card, target.config, target.tolerance,
                              [run.camera], [truth[cut.start:cut.stop] for cut in cuts])
    counts = apart(truth, examination.spacing_m)
    row_of = {int(stamp_ns): row for row, stamp_ns in enumerate(stamps_ns[known])}
    for frame, _ in run.frames('calibrate'):
        descriptor = describer.describe([frame.image])[0]
        row = row_of.get(frame.stamp_ns)
        if row is None:  # no truth, but the belief lives on such frames too
            examination.pass_by(frame, descriptor, run.motion.at)
            continue
        examination.take(Driven(frame, descriptor, row, truth[row], bool(counts[row]),
                                stretch_of(row, cuts)), run.motion.at)
    odometry = bool(run.asked.odom)
    names = ', '.join(path.name for path in recording.paths)
    calibrated = _calibrated(examination.trials, examination.off_map, len(truth), target,
                             f'{names}, {_with(odometry)}', odometry)
    by_own = describer.card.digest == place_map.card.digest
    return replace(calibrated, remarks=run.remarks(), calibration=replace(
        calibrated.calibration, model='' if by_own else describer.card.digest))


def calibrate_by_itself(place_map: PlaceMap, target: Target, odometry: bool = False
                        ) -> Calibrated:
    """Return the calibration of a map by its own places, each found from those beside it.

    With `odometry` the map's poses stand for it. Raises MapError when its places are too far
    apart for that or cannot support the target, with what is lacking.
    """
    if target.config.verify.is_on:
        raise MapError('a map holds no pictures, so it cannot verify itself: give a second run '
                       'with --query, or set verify to off')
    driven = replays(place_map, target.tolerance)
    trials: list[Trial] = []
    off_map = 0
    for replay in driven:
        examination = _replayed(place_map, replay, target, odometry)
        trials += examination.trials
        off_map += examination.off_map
    what = ('the map against itself (optimistic: the same light and the same day)'
            if any(replay.is_optimistic for replay in driven) else
            'the sessions of the map against one another')
    calibrated = _calibrated(trials, off_map, len(place_map), target,
                             f'{what}, {_with(odometry)}', odometry)
    return replace(calibrated, slack_m=max(replay.slack_m for replay in driven))


def _replayed(place_map: PlaceMap, replay: Replay, target: Target, odometry: bool) -> Examination:
    cuts = stretches(len(place_map))
    truth = place_map.poses[replay.asked]
    stretch = np.array([stretch_of(int(row), cuts) for row in replay.row])
    # Where every second place is missing, a pose is as much farther off as the next one is.
    tolerance = replace(target.tolerance, m=target.tolerance.m + replay.slack_m)
    examination = Examination(part_of(place_map, replay.kept), place_map.card, target.config,
                              tolerance, place_map.cameras,
                              [truth[stretch == number] for number in range(len(cuts))])
    counts = apart(truth, examination.spacing_m)
    for index, place in progress(enumerate(replay.asked), len(replay.asked), 'calibrate'):
        camera = place_map.cameras[int(place_map.camera_of[place])].name
        frame = Frame(int(place_map.stamps_ns[place]), camera, _NO_IMAGE)
        pose = truth[index]

        def motion(stamp_ns: int, pose: se3.Array = pose) -> se3.Array | None:
            return pose if odometry else None

        examination.take(
            Driven(frame, np.asarray(place_map.descriptors[place]), int(replay.row[index]), pose,
                   bool(counts[index]), int(stretch[index])), motion)
    return examination


def _calibrated(trials: Sequence[Trial], off_map: int, rows: int, target: Target, source: str,
                odometry: bool) -> Calibrated:
    if not off_map:
        raise MapError('the map is too small for this run: wherever a part of it is left out, too '
                       'little is left to be lost in; calibrate on a map that reaches farther')
    calibration = calibration_of(trials, rows, target.precision, target.config.settings(), source,
                                 odometry)
    return Calibrated(calibration, len(trials) - off_map, off_map, target.tolerance)


def _with(odometry: bool) -> str:
    return 'with odometry' if odometry else 'without odometry'


def store(map_path: Path, place_map: PlaceMap, calibrated: Calibrated) -> None:
    """Put a calibration into the map at once; the old map stays until then."""
    replace(place_map, calibration=calibrated.calibration).save(map_path, force=True)


def write_calibration(out: Path, calibrated: Calibrated, force: bool) -> None:
    """Write calibration.json and reliability.png. Raises VprError when `out` exists."""
    record = {**calibrated.calibration.record(), 'frames': calibrated.frames,
              'off_map': calibrated.off_map, 'protocol': calibrated.protocol,
              'calibration_error': calibrated.calibration.reliability.error}
    with new_folder(out, force, VprError) as folder:
        (folder / 'calibration.json').write_text(json.dumps(record, indent=2) + '\n')
        draw_reliability(folder / 'reliability.png', calibrated.calibration)


def calibrate_map(map_path: Path, bags: Sequence[Path], describer: Describer | None,
                  source: QuerySource, target: Target, odometry: bool = False,
                  out: Path | None = None, salvage: bool = False, force: bool = False
                  ) -> Calibrated:
    """Calibrate the map at `map_path` by `bags`, or by itself without any, and store it there.

    `describer` is needed with bags only, `odometry` counts without. The map is unchanged when
    anything fails.
    """
    if out is not None:
        refuse_existing(out, force, VprError)
    place_map = PlaceMap.load(map_path)
    if bags:
        assert describer is not None
        with Recording(bags, salvage) as recording:
            calibrated = calibrate_by_run(recording, place_map, describer, source, target)
    else:
        calibrated = calibrate_by_itself(place_map, target, odometry)
    if out is not None:
        write_calibration(out, calibrated, force)
    store(map_path, place_map, calibrated)
    return calibrated
