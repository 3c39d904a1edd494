# SPDX-License-Identifier: Apache-2.0
"""What a similarity means on this map: evidence for a place against being elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.place_index import PlaceIndex
from vpr_ros.core.types import Match
from vpr_ros.errors import MapError

_LEAST_DEVIATION = 1e-3  # a map whose places all look alike tells nothing
_ALIEN_SLOPE = 20.0   # evidence per unit of similarity below what is alien


@dataclass(frozen=True)
class EvidenceConfig:
    """How a similarity becomes evidence (natural logarithm of a likelihood ratio)."""

    sharpness: float = 1.4          # evidence per standard deviation above the map's background
    doubt: float = 0.1              # evidence for unknown that every look brings along
    max_evidence: float = 3.0       # one look never says more than this for a place
    min_evidence: float = -4.0      # nor less than this against one: somebody may stand in view
    alien_share: float = 0.6        # of how alike neighbors look; below it a view is alien

    def __post_init__(self) -> None:
        if self.sharpness <= 0.0 or self.doubt < 0.0:
            raise MapError('sharpness must be positive and doubt not negative')
        if not self.min_evidence < 0.0 < self.max_evidence:
            raise MapError('min_evidence must be below zero and max_evidence above')
        if not 0.0 <= self.alien_share < 1.0:
            raise MapError('alien_share must lie between 0 and 1')


class Evidence:
    """Judges matches against the whole map.

    Similarities of winter images to a summer map are all low, of a corridor to itself all high;
    what tells a place is how far it stands out from the *background* of this image against this
    map: `z = (similarity - mean) / deviation`. Off the map z is about normal over the places, for
    which `E[exp(a z)] = exp(a^2 / 2)`, so `a z - a^2 / 2` (a = sharpness) is a likelihood ratio
    that favors neither side there: no place gains by chance alone. A view that resembles nothing
    in the map (far below how a place resembles the next one) is evidence against all of it.
    """

    def __init__(self, config: EvidenceConfig, index: PlaceIndex, neighbor_similarity: float
                 ) -> None:
        self._config = config
        self._index = index
        share = config.alien_share
        self._alien = share * neighbor_similarity if share > 0.0 else -math.inf

    def of(self, descriptor: NDArray[np.float32], matches: tuple[Match, ...]
           ) -> NDArray[np.float64]:
        """Return the evidence for each match (k,); the last also bounds all unlisted places."""
        config = self._config
        mean, deviation = self._index.background(descriptor)
        similarity = np.array([match.similarity for match in matches])
        z = (similarity - mean) / max(deviation, _LEAST_DEVIATION)
        evidence = config.sharpness * (z - config.sharpness / 2.0) - config.doubt
        evidence -= _ALIEN_SLOPE * np.maximum(self._alien - similarity, 0.0)
        return np.clip(evidence, config.min_evidence, config.max_evidence)
