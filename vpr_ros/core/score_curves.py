# SPDX-License-Identifier: Apache-2.0
"""What a page draws of a run: curves of few points, whose ends and peaks are kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.confidence import Reliability, reliability
from vpr_ros.core.frame_scores import FrameScores
from vpr_ros.core.ranked_curve import ranked_curve, RankedCurve
from vpr_ros.errors import VprError

MOST_POINTS = 500
_NAMED = (1.0, 0.99, 0.95)   # precisions of which a report says what can be had

Values = NDArray[np.float64]
Points = tuple[float, ...]


@dataclass(frozen=True)
class DrawnCurve:
    """A `RankedCurve` of at most MOST_POINTS points, by falling threshold."""

    threshold: Points
    precision: Points
    recall: Points
    coverage: Points


@dataclass(frozen=True)
class ErrorCurve:
    """`share` of the accepted poses whose error is at most `error` (m or deg), both rising."""

    error: Points
    share: Points


@dataclass(frozen=True)
class Curves:
    """All curves of a run.

    `retrieval`: best matches by similarity. `decision`: best hypotheses by probability.
    `operating`: coverage and precision of the verdicts as they were, None without any; it may lie
    beside the decision curve, since a verdict asks for more than a probability.
    `reliability`: ten bins of probability. Errors are of accepted poses.
    """

    retrieval: DrawnCurve
    decision: DrawnCurve
    operating: tuple[float, float] | None
    reliability: Reliability
    position_error_m: ErrorCurve
    heading_error_deg: ErrorCurve

    def to_json(self) -> str:
        """Return the text of `curves.json`."""
        return json.dumps(asdict(self)) + '\n'

    @classmethod
    def from_json(cls, text: str) -> Curves:
        """Return the curves of a `curves.json`. Raises VprError for one of another version."""
        try:
            record: dict[str, Any] = json.loads(text)
            operating = record['operating']
            return cls(DrawnCurve(**_tuples(record['retrieval'])),
                       DrawnCurve(**_tuples(record['decision'])),
                       None if operating is None else (float(operating[0]), float(operating[1])),
                       Reliability(**_tuples(record['reliability'])),
                       ErrorCurve(**_tuples(record['position_error_m'])),
                       ErrorCurve(**_tuples(record['heading_error_deg'])))
        except (TypeError, AttributeError, KeyError, ValueError, IndexError) as error:
            raise VprError(f'these are no curves of this version ({error!r}); run vpr evaluate '
                           'again') from error


def retrieval_curve(scores: FrameScores) -> RankedCurve:
    """Return the curve of the best match of each frame, by similarity."""
    looked = scores.looked
    return ranked_curve(scores.similarity[looked], scores.hits(1)[looked],
                        scores.has_match[looked], int(scores.has_match.sum()))


def decision_curve(scores: FrameScores) -> RankedCurve:
    """Return the curve of the best hypothesis of each frame, accepted or not, by probability."""
    guessed = scores.guessed
    return ranked_curve(scores.probability[guessed], scores.right[guessed],
                        scores.has_match[guessed], int(scores.has_match.sum()))


def curves_of(scores: FrameScores) -> Curves:
    """Return the curves of a run, thinned for drawing."""
    accepted, has_match = scores.accepted, scores.has_match
    operating = (float(accepted[has_match].mean()), float(scores.right[accepted].mean())) if (
        accepted.any() and has_match.any()) else None
    return Curves(_drawn(retrieval_curve(scores)), _drawn(decision_curve(scores)), operating,
                  reliability_of(scores), _errors(scores.position_error_m[accepted]),
                  _errors(np.degrees(scores.heading_error_rad[accepted])))


def reliability_of(scores: FrameScores) -> Reliability:
    """Return what was said and what was true of the best hypotheses, accepted or not."""
    return reliability(scores.probability[scores.guessed], scores.right[scores.guessed])


def thinned(values: Values, most: int = MOST_POINTS) -> NDArray[np.int64]:
    """Return at most `most` rows (8 or more) of `values` (n,), rising.

    With the first, the last, and of each of equal parts the ends, the highest and the lowest; of
    equal peaks the last.
    """
    if len(values) <= most:
        return np.arange(len(values))
    kept: list[int] = []
    for part in np.array_split(np.arange(len(values)), most // 4):
        backwards = values[part][::-1]
        kept += [part[0], part[-1], part[-1] - int(np.argmax(backwards)),
                 part[-1] - int(np.argmin(backwards))]
    return np.unique(np.array(kept, dtype=np.int64))


def _drawn(curve: RankedCurve) -> DrawnCurve:
    # The points that a report names are kept, too: they need not be the peak of a part.
    named = [kept[-1:] for precision in _NAMED
             if len(kept := np.flatnonzero(curve.precision >= precision))]
    rows = np.unique(np.concatenate([thinned(curve.precision, MOST_POINTS - len(_NAMED)),
                                     *named]))
    return DrawnCurve(*(_points(values[rows]) for values in (
        curve.threshold, curve.precision, curve.recall, curve.coverage)))


def _errors(errors: Values) -> ErrorCurve:
    """Return the curve of errors (n,): every one of few, else quantiles with both ends."""
    count = len(errors)
    rows = np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(np.int64))
    return ErrorCurve(_points(np.sort(errors)[rows]), _points((rows + 1.0) / max(count, 1)))


def _points(values: Values) -> Points:
    return tuple(round(float(value), 6) for value in values)


def _tuples(record: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(values) for name, values in record.items()}
