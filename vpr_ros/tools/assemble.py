# SPDX-License-Identifier: Apache-2.0
"""What was answered of each image, beside the truth: one evaluation, whoever answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.drive import recording_starts
from vpr_ros.core.frame_scores import score_frames
from vpr_ros.core.judged import JudgedFrame, Tolerance
from vpr_ros.core.localizer import Localizer
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.positives import why_no_positive
from vpr_ros.core.scoring import report_on
from vpr_ros.core.types import Outcome
from vpr_ros.errors import BagError
from vpr_ros.tools.evaluation import Evaluation
from vpr_ros.tools.memory_record import memory_of
from vpr_ros.tools.query_run import nothing_to_judge, QueryRun, QuerySource


@dataclass(frozen=True, eq=False)
class Answered:
    """What was said of an image, what that took, and what was kept of the image."""

    outcome: Outcome
    latency_ms: float   # from the encoded message to the verdict
    decode_ms: float
    thumbnail: bytes = b''                           # a JPEG
    descriptor: NDArray[np.float32] | None = None    # (dim,)


def assembled(run: QueryRun, place_map: PlaceMap, localizer: Localizer,
              answers: Sequence[Answered], tolerance: Tolerance, through: str,
              remarks: Sequence[str] = (), *, frames_dropped: int = 0,
              model_bytes: int | None = None, described: str = '') -> Evaluation:
    """Return the evaluation of `answers`, in the order of recording.

    `localizer` is one like that which answered. Answers of which the truth is not known are
    counted, not judged. Raises BagError when none can be judged.
    """
    stamps_ns = np.array([answer.outcome.stamp_ns for answer in answers], dtype=np.int64)
    poses, inside = run.truth_at(stamps_ns)
    judged = [answer for answer, known in zip(answers, inside, strict=True) if known]
    if not judged:
        raise BagError(nothing_to_judge(run, stamps_ns))
    frames = [JudgedFrame(answer.outcome, pose, answer.latency_ms, answer.decode_ms)
              for answer, pose in zip(judged, poses[inside], strict=True)]
    places = localizer.poses_seen_by(run.asked.camera)
    scores = score_frames(frames, places, tolerance,
                          recording_starts(run.truth, stamps_ns[inside]))
    report = report_on(scores, Counter(frame.outcome.reason.value for frame in frames),
                       len(answers) - len(frames), run.count.skipped, through,
                       frames_dropped=frames_dropped, memory=memory_of(place_map, model_bytes))
    remarks = (*run.remarks(), *remarks, *_of_calibration(localizer, run.asked, place_map))
    if not scores.has_match.any():
        remarks += (why_no_positive(places, poses[inside], tolerance),)
    descriptors = [answer.descriptor for answer in judged if answer.descriptor is not None]
    return Evaluation(
        report, tuple(frames), scores, remarks, localizer.threshold, localizer.calibration, places,
        tuple(answer.thumbnail for answer in judged if answer.thumbnail),
        np.stack(descriptors) if descriptors else None, described)


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
