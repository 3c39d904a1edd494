# SPDX-License-Identifier: Apache-2.0
"""The numbers of one run, each with what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
import json
from typing import Any

from vpr_ros.core.block_bootstrap import Interval
from vpr_ros.errors import VprError


@dataclass(frozen=True)
class Memory:
    """Bytes that were in use, None where nobody looked.

    `model`: the network's files. `place_map`: descriptors and poses as they are searched.
    `process_peak`: the most that the whole process ever held.
    """

    model: int | None = None
    place_map: int | None = None
    process_peak: int | None = None


def _means(text: str) -> Mapping[str, str]:
    return {'means': text}


def _recall(n: int, of_all: bool) -> Mapping[str, str]:
    among = 'of all frames' if of_all else 'of the frames with a match'
    return _means(f'share {among} with a positive among the {n} most similar places, from the '
                  'picture alone; none where fewer places were listed')


@dataclass(frozen=True)
class Report:
    """The numbers of one run; a share that divides by nothing is None.

    A place of the map is a *positive* of a frame when it is within the tolerance of the true
    pose; a frame *has a match* when there is one. What begins with `retrieval_` or `recall_` is
    of the best matches of single pictures, by similarity; what begins with `decision_` of the
    best hypotheses, by probability, whatever the verdict was; `precision`, `coverage` and the
    errors are of the verdicts as they were. `Report.meanings()` explains each number, `protocol`
    says how they were counted. `intervals` has those of the numbers that it names.
    """

    protocol: str = field(metadata=_means('how all this was counted'))
    tolerance_m: float = field(metadata=_means('how near is right'))
    tolerance_deg: float = field(metadata=_means('how well the heading must agree'))
    places: int = field(metadata=_means('places of the map'))
    frames: int = field(metadata=_means('frames with a known true pose: those that were judged'))
    frames_with_match: int = field(metadata=_means('frames for which the map holds a positive'))
    frames_without_truth: int = field(metadata=_means(
        'frames that were localized, but nobody knows where they were taken; in no other number'))
    frames_not_decoded: int = field(metadata=_means('images that could not be read'))
    frames_dropped: int = field(metadata=_means('images that were sent but never judged'))
    driven_m: float = field(metadata=_means(
        'length of the true way past the frames, without what is between two recordings'))
    elapsed_s: float = field(metadata=_means(
        'time from the first to the last frame, without what is between two recordings'))
    recall_at_1: float | None = field(metadata=_recall(1, False))
    recall_at_5: float | None = field(metadata=_recall(5, False))
    recall_at_10: float | None = field(metadata=_recall(10, False))
    recall_at_20: float | None = field(metadata=_recall(20, False))
    recall_at_1_of_all: float | None = field(metadata=_recall(1, True))
    recall_at_5_of_all: float | None = field(metadata=_recall(5, True))
    recall_at_10_of_all: float | None = field(metadata=_recall(10, True))
    recall_at_20_of_all: float | None = field(metadata=_recall(20, True))
    retrieval_average_precision: float | None = field(metadata=_means(
        'mean precision of the best match over recall, by falling similarity; recall is over the '
        'frames with a match, so it is at most recall@1'))
    retrieval_auc: float | None = field(metadata=_means(
        'area under the same curve by trapezoids, from recall 0 and precision 1 on'))
    retrieval_recall_at_100_precision: float | None = field(metadata=_means(
        'right best matches more similar than any wrong one, of the frames with a match'))
    decision_average_precision: float | None = field(metadata=_means(
        'mean precision of the best hypothesis over recall, by falling probability'))
    decision_auc: float | None = field(metadata=_means(
        'area under the same curve by trapezoids, from recall 0 and precision 1 on'))
    decision_recall_at_100_precision: float | None = field(metadata=_means(
        'right hypotheses more probable than any wrong one, of the frames with a match'))
    coverage_at_95_precision: float | None = field(metadata=_means(
        'most frames with a match that a threshold of the probability could give a pose, with at '
        'least 95 % of all its poses right; the threshold is chosen on this very run'))
    coverage_at_99_precision: float | None = field(metadata=_means(
        'the same with at least 99 % of all poses right'))
    accepted: int = field(metadata=_means('frames that got a pose'))
    wrong_fixes: int = field(metadata=_means('accepted poses beyond the tolerance'))
    wrong_stretches: int = field(metadata=_means(
        'times that wrong poses began: successive ones, with no right pose between, are one'))
    fixes_off_map: int = field(metadata=_means('accepted poses of frames without a match'))
    precision: float | None = field(metadata=_means('right share of the accepted poses'))
    coverage: float | None = field(metadata=_means('accepted share of the frames with a match'))
    coverage_of_all: float | None = field(metadata=_means('accepted share of all frames'))
    calibration_error: float | None = field(metadata=_means(
        'mean gap between the probability of the best hypothesis and how often it is right, over '
        'ten bins of probability by their size; of all frames with a hypothesis'))
    position_error_m_median: float | None = field(metadata=_means(
        'distance of accepted poses, wrong ones too, from the truth: half are nearer'))
    position_error_m_p95: float | None = field(metadata=_means('the same: 95 % are nearer'))
    heading_error_deg_median: float | None = field(metadata=_means(
        'angle of the rotation from accepted poses to the truth: half are smaller'))
    heading_error_deg_p95: float | None = field(metadata=_means('the same: 95 % are smaller'))
    first_fix_s: float | None = field(metadata=_means(
        'time from the first frame with a match to the first right pose'))
    first_fix_m: float | None = field(metadata=_means('true way driven meanwhile'))
    wrong_fixes_per_km: float | None = field(metadata=_means(
        'wrong fixes by the length of the true way; depends on how many frames a meter has'))
    wrong_fixes_per_h: float | None = field(metadata=_means('wrong fixes by the elapsed time'))
    wrong_stretches_per_km: float | None = field(metadata=_means(
        'wrong stretches by the length of the true way; does not depend on the rate of frames'))
    latency_ms_p50: float | None = field(metadata=_means(
        'from the encoded message to the verdict: half of the frames took less'))
    latency_ms_p95: float | None = field(metadata=_means('the same: 95 % took less'))
    decode_ms_p50: float | None = field(metadata=_means('from bytes to the picture'))
    decode_ms_p95: float | None = field(metadata=_means('from bytes to the picture, 95 %'))
    describe_ms_p50: float | None = field(metadata=_means('the network'))
    describe_ms_p95: float | None = field(metadata=_means('the network, 95 %'))
    search_ms_p50: float | None = field(metadata=_means('similar places in the map'))
    search_ms_p95: float | None = field(metadata=_means('similar places in the map, 95 %'))
    judge_ms_p50: float | None = field(metadata=_means('belief and verdict'))
    judge_ms_p95: float | None = field(metadata=_means('belief and verdict, 95 %'))
    model_bytes: int | None = field(metadata=_means("the network's files"))
    map_bytes: int | None = field(metadata=_means('descriptors and poses as they are searched'))
    process_peak_bytes: int | None = field(metadata=_means(
        'most that the process ever held, earlier evaluations of one command included'))
    interval_blocks: int = field(metadata=_means('stretches of the way behind the intervals'))
    intervals: dict[str, Interval | None] = field(metadata=_means(
        'low and high end for the numbers of these names, see protocol'))
    reasons: dict[str, int] = field(metadata=_means('frames by verdict'))

    def to_json(self) -> str:
        """Return the text of `report.json`."""
        return json.dumps(asdict(self), indent=2) + '\n'

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Return the report of a `report.json`. Raises VprError for one of another version."""
        try:
            record: dict[str, Any] = json.loads(text)
            unlike = set(record) ^ {number.name for number in fields(cls)}
            if unlike:
                raise ValueError(f'{", ".join(sorted(unlike))}')
            ends = {name: None if interval is None else (float(interval[0]), float(interval[1]))
                    for name, interval in record['intervals'].items()}
            return cls(**{**record, 'intervals': ends})
        except (TypeError, AttributeError, ValueError, IndexError) as error:
            raise VprError(f'this is no report of this version ({error}); run vpr evaluate '
                           'again') from error

    @classmethod
    def meanings(cls) -> dict[str, str]:
        """Return what each number means, by its name."""
        return {number.name: str(number.metadata['means']) for number in fields(cls)}
