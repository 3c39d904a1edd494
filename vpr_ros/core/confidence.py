# SPDX-License-Identifier: Apache-2.0
"""How probable a hypothesis is, measured: from the signs that speak for it to a probability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from vpr_ros.errors import MapError

# Beyond, more of a sign makes nothing surer: how far it reaches is a matter of light and weather,
# and a calibration on a fair day would not hold on a foul one.
_MOST_ODDS = 6.0
_MOST_MARGIN = 16.0
_MOST_SUPPORT = 0.2
_MOST_FIT = 3.0
_MOST_AGREEMENT = 5.0
_RIDGE = 1e-3         # of the weights of standardized signs, a frame
_EDGES = np.linspace(0.0, 1.0, 11)

Flags = NDArray[np.bool_]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Signs:
    """What speaks for the best hypothesis; more of each never makes it less probable.

    `odds`: of the belief, logarithm, for it against everything else. `margin`: gain over the best
    rival elsewhere (logarithm of a likelihood ratio). `support`: fading mean similarity, relative
    to the map, along the way that leads to it. `fit`: evidence of the last picture alone.
    `agreement`: logarithm of 1 + the corners that agree geometrically; 0 where none were sought.
    """

    odds: float
    margin: float
    support: float
    fit: float
    agreement: float = 0.0

    def values(self) -> Values:
        """Return (5,): the signs, bounded."""
        return np.array([
            min(max(self.odds, -_MOST_ODDS), _MOST_ODDS),
            min(max(self.margin, 0.0), _MOST_MARGIN), min(self.support, _MOST_SUPPORT),
            min(self.fit, _MOST_FIT),
            min(self.agreement, _MOST_AGREEMENT)])


@dataclass(frozen=True)
class Confidence:
    """A logistic model (Platt, 1999) of a hypothesis being right, over `Signs`.

    The defaults were fitted by `bench/worlds.py --fit` on procedural buildings: they are a start
    for a map of which nothing was measured. `vpr calibrate` fits those of a map.
    """

    bias: float = -5.42
    odds: float = 0.006
    margin: float = 0.36
    support: float = 7.9
    fit: float = 1.0
    agreement: float = 0.0

    def __post_init__(self) -> None:
        weights = self._weights()
        if not np.isfinite([self.bias, *weights]).all() or (weights < 0.0).any():
            raise MapError('the calibration holds a weight that is negative or no number; '
                           'run vpr calibrate again')

    def probability(self, signs: Signs) -> float:
        """Return the probability that the hypothesis of these signs is right."""
        return _logistic(self.bias + float(self._weights() @ signs.values()))

    def probabilities(self, signs: Sequence[Signs]) -> Values:
        """Return the probabilities (n,) of hypotheses."""
        return np.array([self.probability(sign) for sign in signs])

    def record(self) -> dict[str, float]:
        """Return the weights as JSON holds them."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Confidence:
        """Return the model of a record. Raises MapError for another one."""
        names = {knob.name for knob in fields(cls)}
        if set(record) != names:
            raise MapError('the calibration of the map is not of this version; '
                           'run vpr calibrate again')
        return cls(**{name: float(record[name]) for name in names})

    def _weights(self) -> Values:
        return np.array([self.odds, self.margin, self.support, self.fit, self.agreement])


def fit(signs: Sequence[Signs], right: Flags) -> Confidence:
    """Return the model under which it is likeliest that just these (n,) were right.

    No weight is negative, so more evidence never makes a hypothesis less probable.
    Raises MapError unless there are hypotheses of both kinds.
    """
    if not 0 < int(np.sum(right)) < len(right):
        raise MapError('a calibration needs hypotheses that were right and some that were wrong')
    values = np.array([sign.values() for sign in signs])
    center, scale = values.mean(axis=0), np.maximum(values.std(axis=0), 1e-9)
    flat = values.std(axis=0) < 1e-9
    standard = np.where(flat, 0.0, (values - center) / scale)
    target = np.where(right, 1.0, -1.0)

    def loss(model: Values) -> tuple[float, Values]:
        score = target * (standard @ model[1:] + model[0])
        slope = -target * _expit(-score) / len(target)
        gradient = np.concatenate([[slope.sum()], standard.T @ slope + 2 * _RIDGE * model[1:]])
        return (float(np.logaddexp(0.0, -score).mean() + _RIDGE * (model[1:] ** 2).sum()),
                gradient)

    count = values.shape[1]
    found = minimize(loss, np.zeros(count + 1), jac=True, method='L-BFGS-B',
                     bounds=[(None, None)] + [(0.0, None)] * count).x
    weights = np.where(flat, 0.0, found[1:] / scale)
    return Confidence(float(found[0] - weights @ center), *map(float, weights))


@dataclass(frozen=True)
class Reliability:
    """Ten bins of probability: how many fell into each, what was said, and what was true."""

    count: tuple[int, ...]
    said: tuple[float, ...]
    true: tuple[float, ...]

    @property
    def error(self) -> float:
        """Expected calibration error (Naeini et al., AAAI 2015): mean gap, by bin size."""
        total = max(sum(self.count), 1)
        return sum(n * abs(a - b) for n, a, b in zip(self.count, self.said, self.true,
                                                     strict=True)) / total


def reliability(probability: Values, right: Flags) -> Reliability:
    """Return the reliability diagram of probabilities (n,)."""
    of_bin = np.clip(np.digitize(probability, _EDGES) - 1, 0, len(_EDGES) - 2)
    members = [of_bin == i for i in range(len(_EDGES) - 1)]
    return Reliability(tuple(int(m.sum()) for m in members),
                       tuple(float(probability[m].mean()) if m.any() else 0.0 for m in members),
                       tuple(float(right[m].mean()) if m.any() else 0.0 for m in members))


def _logistic(score: float) -> float:
    return 1.0 / (1.0 + math.exp(-score)) if score > -700.0 else 0.0


def _expit(score: Values) -> Values:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * score)))
