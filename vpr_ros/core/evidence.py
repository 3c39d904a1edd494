# SPDX-License-Identifier: Apache-2.0
"""What a similarity means on this map: evidence for a place against being elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.errors import MapError

_LEAST_DEVIATION = 0.01  # a view that resembles all places alike tells nothing

Field = NDArray[np.float64]


@dataclass(frozen=True)
class EvidenceConfig:
    """How a similarity becomes evidence (natural logarithm of a likelihood ratio)."""

    sharpness: float = 1.0          # evidence per standard deviation above the rest of the map
    doubt: float = 0.3              # evidence for unknown that every look brings along
    max_evidence: float = 4.0       # one look never says more than this for a place
    min_evidence: float = -2.0      # nor less than this against one: somebody may stand in view

    def __post_init__(self) -> None:
        if self.sharpness <= 0.0 or self.doubt < 0.0:
            raise MapError('sharpness must be positive and doubt not negative')
        if not self.min_evidence < 0.0 < self.max_evidence:
            raise MapError('min_evidence must be below zero and max_evidence above')


def evidence_of(config: EvidenceConfig, similarity: Field) -> Field:
    """Return the evidence for each place (N,) from the similarity of one view to each (N,).

    Similarities of winter images to a summer map are all low, of a corridor to itself all high;
    what tells a place is how far it stands out from the others for *this* view:
    `z = (similarity - mean) / deviation`. Off the map z is about normal over the places, for
    which `E[exp(a z)] = exp(a^2 / 2)`, so `a z - a^2 / 2` (a = sharpness) is a likelihood ratio
    that favors neither side there: no place gains by chance alone.
    """
    z = (similarity - similarity.mean()) / max(float(similarity.std()), _LEAST_DEVIATION)
    evidence = config.sharpness * (z - config.sharpness / 2.0) - config.doubt
    bounded: Field = np.clip(evidence, config.min_evidence, config.max_evidence)
    return bounded
