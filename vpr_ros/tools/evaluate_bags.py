# SPDX-License-Identifier: Apache-2.0
"""A recording against a map: every frame through the localizer, as on the robot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from vpr_ros.bags.recording import Recording
from vpr_ros.core.drive import recording_starts
from vpr_ros.core.frame_scores import score_frames
from vpr_ros.core.judged import JudgedFrame, Tolerance
from vpr_ros.core.localizer import Localizer, LocalizerConfig
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.positives import why_no_positive
from vpr_ros.core.scoring import report_on
from vpr_ros.core.types import Describer, Outcome
from vpr_ros.errors import BagError
from vpr_ros.tools.description_cache import DescriptionCache
from vpr_ros.tools.descriptions import look, Seen
from vpr_ros.tools.evaluation import Evaluation
from vpr_ros.tools.examination import Described
from vpr_ros.tools.memory_record import memory_of
from vpr_ros.tools.progress import progress
from vpr_ros.tools.query_run import nothing_to_judge, QueryRun, QuerySource


@dataclass(frozen=True)
class Looking:
    """How pictures are described: kept in a cache or not, with thumbnails or without."""

    cache: DescriptionCache | None = None
    thumbnails: bool = False


@dataclass(frozen=True, eq=False)
class Answer:
    """What the localizer said of a picture, and from its bytes to that, the milliseconds."""

    seen: Seen
    outcome: Outcome
    latency_ms: float


def evaluate(recording: Recording, place_map: PlaceMap, describer: Describer,
             config: LocalizerConfig, source: QuerySource, tolerance: Tolerance,
             looking: Looking = Looking(), model_bytes: int | None = None
             ) -> Evaluation:
    """Return what the localizer says of every image of a recording, and how true that is.

    Frames before the first and after the last true pose are localized too, since the belief
    lives on them, but not judged. Raises BagError when no image can be judged.
    """
    run = QueryRun.opened(recording, place_map, source)
    known = Described(describer.card)
    localizer = Localizer(config, place_map, known, [run.camera])
    seen, described, measured = _seen(run, describer, looking, config.verify.is_on)
    answers = [_answered(localizer, known, run, one) for one in seen]
    stamps_ns = np.array([answer.outcome.stamp_ns for answer in answers], dtype=np.int64)
    poses, inside = run.truth_at(stamps_ns)
    frames = [JudgedFrame(answer.outcome, pose, answer.latency_ms, answer.seen.decode_ms)
              for answer, pose, is_known in zip(answers, poses, inside, strict=True) if is_known]
    without_truth = len(answers) - len(frames)
    if not frames:
        raise BagError(nothing_to_judge(run, stamps_ns))
    judged = [answer.seen for answer, is_known in zip(answers, inside, strict=True) if is_known]
    places = localizer.poses_seen_by(run.asked.camera)
    scores = score_frames(frames, places, tolerance,
                          recording_starts(run.truth, np.array([s.frame.stamp_ns
                                                                for s in judged])))
    report = report_on(scores, Counter(frame.outcome.reason.value for frame in frames),
                       without_truth, run.count.skipped, measured,
                       memory=memory_of(place_map, model_bytes))
    remarks = (*run.remarks(), *_of_stamps(run, stamps_ns),
               *_of_calibration(localizer, run.asked, place_map))
    if not scores.has_match.any():
        remarks += (why_no_positive(places, np.stack([f.truth for f in frames]), tolerance),)
    return Evaluation(
        report, tuple(frames), scores, remarks, localizer.threshold, localizer.calibration, places,
        tuple(one.thumbnail for one in judged if one.thumbnail),
        np.stack([one.descriptor for one in judged]), described)


def _seen(run: QueryRun, describer: Describer, looking: Looking, with_images: bool
          ) -> tuple[Iterator[Seen], str, str]:
    """Return the described pictures, where they came from, and how their time was measured."""
    if looking.cache is None or with_images:
        line = ('' if looking.cache is None else 'the cache of descriptions is not used: verify '
                'compares the pictures themselves')
        return _streamed(run, describer, looking, with_images), line, 'in process'
    kept = looking.cache.describe(run, describer, looking.thumbnails)
    seen = progress(kept.descriptions.seen(run.asked.camera), len(kept.descriptions), 'judge')
    return seen, kept.line, ('in process' if not kept.day else
                             f'in process; decoding and describing as measured on {kept.day}')


def _streamed(run: QueryRun, describer: Describer, looking: Looking, with_images: bool
              ) -> Iterator[Seen]:
    for item in look(run, describer, looking.thumbnails, keep_images=with_images):
        if isinstance(item, Seen):
            run.count.read += 1
            yield item
        else:
            run.count.skipped += 1
            run.count.first_problem = run.count.first_problem or item.problem


def _answered(localizer: Localizer, known: Described, run: QueryRun, seen: Seen) -> Answer:
    known.descriptor = seen.descriptor
    started = perf_counter()
    outcome = localizer.localize(seen.frame, run.motion.at)
    localize_ms = (perf_counter() - started) * 1e3
    timing = replace(outcome.timing, describe_ms=seen.describe_ms)
    without_image = replace(seen, frame=replace(seen.frame, image=seen.frame.image[:0]))
    return Answer(without_image, replace(outcome, timing=timing),
                  seen.decode_ms + seen.describe_ms + localize_ms)


def _of_stamps(run: QueryRun, stamps_ns: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
               ) -> Iterator[str]:
    repeated = int((np.diff(np.sort(stamps_ns)) == 0).sum())
    if repeated:
        yield (f'{repeated} of {len(stamps_ns)} images on {run.asked.image} have the stamp of '
               'another one: each is judged by itself, and what they cost in the belief is not '
               "the robot's; is the topic published twice, or its stamp not set?")


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
