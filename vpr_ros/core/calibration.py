# SPDX-License-Identifier: Apache-2.0
"""What a map's own confidence model is worth: a threshold that keeps a promised precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import beta

from vpr_ros.core.confidence import Confidence, Flags, Reliability, Values
from vpr_ros.errors import MapError

LEAST_PROBABILITY = 0.9   # no single pose less probable than this is accepted by a calibration
_SURE = 0.95              # confidence with which the precision is promised


@dataclass(frozen=True)
class Calibration:
    """A confidence model, the threshold for it, and how both were found.

    `threshold` is the least probability of an accepted pose. `precision` was promised; `accepted`
    and `wrong` are the frames that the threshold lets through, each judged by a model that had
    not seen its stretch of the run. `coverage`: share of the frames with a match that it lets
    through. `settings` are the knobs for which all this holds. `source` says on what it was
    measured, `odometry` whether the localizer had odometry there. `model` is the digest of the
    network that asked, empty where it was the one that built the map. The defaults are of a map
    of which nothing was measured.
    """

    confidence: Confidence = field(default_factory=Confidence)
    threshold: float = LEAST_PROBABILITY
    precision: float = 0.0
    accepted: int = 0
    wrong: int = 0
    coverage: float = 0.0
    reliability: Reliability = field(default_factory=lambda: Reliability((), (), ()))
    source: str = ''
    odometry: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    model: str = ''

    def record(self) -> dict[str, Any]:
        """Return the calibration as JSON holds it."""
        record = {**asdict(self), 'settings': dict(self.settings)}
        if not self.model:  # versions that know of no other model can read it as well
            del record['model']
        return record

    def unlike(self, settings: Mapping[str, Any], asked_by: str = '', built_by: str = '') -> str:
        """Return which of the settings are others than those measured with; '' when none is.

        The model that asks counts among them; `asked_by` and `built_by` are the digests of that
        one and of the map's own.
        """
        model = self.model or built_by
        other = [f'the model is {asked_by[:12]}, not {model[:12]}'] if asked_by != model else []
        return ', '.join(other + [
            f'{name} is {settings.get(name)}, not {self.settings.get(name)}'
            for name in sorted({*settings, *self.settings})
            if settings.get(name) != self.settings.get(name)])

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Calibration:
        """Return the calibration of a record. Raises MapError for another one."""
        try:
            if set(record) | {'model'} != {knob.name for knob in fields(cls)}:
                raise ValueError('it is not of this version')
            bins = record['reliability']
            found = cls(**{**record, 'confidence': Confidence.from_record(record['confidence']),
                           'reliability': Reliability(*(tuple(bins[name]) for name in
                                                        ('count', 'said', 'true'))),
                           'settings': dict(record['settings'])})
            if not isinstance(found.model, str):
                raise ValueError('its model is no digest')
            if not 0.0 <= found.threshold <= 1.0:
                raise ValueError('its threshold is no probability')
            return found
        except (KeyError, TypeError, ValueError) as error:
            raise MapError(f'the calibration of the map cannot be read ({error!r}); '
                           'run vpr calibrate again') from error


def check_precision(precision: float) -> None:
    """Raise MapError for a precision that nobody can promise."""
    if not 0.5 <= precision < 1.0:
        raise MapError(f'precision is {precision}; it must be at least 0.5 and below 1')


def precision_bound(count: ArrayLike, wrong: ArrayLike) -> Values:
    """Return what the precision is at least, with 95 % confidence, when `wrong` of `count` were.

    Clopper and Pearson (Biometrika 1934), one-sided; it takes the poses to be independent.
    """
    total, errors = np.asarray(count), np.asarray(wrong)
    bound = np.asarray(beta.ppf(1.0 - _SURE, total - errors, errors + 1), dtype=np.float64)
    return np.where(total > errors, bound, 0.0)


def threshold_for(probability: Values, right: Flags, precision: float,
                  least: float = LEAST_PROBABILITY) -> float:
    """Return the lowest threshold, at or above `least`, that keeps `precision`, to 95 %.

    `probability` and `right` (n,): of hypotheses, each judged by a model that had not seen it.
    Raises MapError when no threshold does, with what is lacking.
    """
    check_precision(precision)
    order = np.argsort(-probability, kind='stable')
    wrong = np.cumsum(~right[order])
    count = np.arange(1, len(order) + 1)
    bound = precision_bound(count, wrong)
    last = np.append(np.diff(probability[order]) < 0.0, True)  # equals stand or fall together
    eligible = last & (probability[order] >= least)
    kept = np.flatnonzero(eligible & (bound >= precision))
    if len(kept):
        return float(probability[order][kept[-1]])
    sure = probability >= least
    errors = int((sure & ~right).sum())
    needed = _frames_needed(precision, errors) - int(sure.sum())
    most = math.floor(1000.0 * float(np.max(bound, where=eligible, initial=0.0))) / 1000.0
    raise MapError(
        f'these runs cannot show a precision of {precision:g}: of {int(sure.sum())} frames at '
        f'or above a probability of {least:g}, {errors} were wrong; it needs '
        + (f'{needed} more confirmed frames without a further error'
           if needed > 0 else 'a better separation') + ', or a lower precision'
        + (f' (they show {most:g})' if most >= 0.5 else ''))


def _frames_needed(precision: float, errors: int) -> int:
    """Return how many frames with so many errors would show the precision."""
    count = errors + math.ceil(math.log(1.0 - _SURE) / math.log(precision))
    while beta.ppf(1.0 - _SURE, count - errors, errors + 1) < precision:
        count += max(count // 100, 1)
    return count
