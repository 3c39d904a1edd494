# SPDX-License-Identifier: Apache-2.0
"""What a similarity means on this map: evidence for a place against being elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.place_index import PlaceIndex
from vpr_ros.core.types import Match
from vpr_ros.errors import MapError

_SAMPLE = 512  # places that stand for all when the map is asked about itself


@dataclass(frozen=True)
class EvidenceConfig:
    """How a similarity becomes evidence (natural logarithm of a likelihood ratio)."""

    sharpness: float = 2.5          # evidence per standard deviation above the map's background
    unknown_z: float = 0.9          # standard deviations at which evidence is even
    max_evidence: float = 2.5       # one look never says more than this for a place
    min_evidence: float = -1.5      # nor less than this against one: somebody may stand in view
    alien_share: float = 0.6        # below this share of the map's own look, a view is alien

    def __post_init__(self) -> None:
        if self.sharpness <= 0.0 or not self.min_evidence < 0.0 < self.max_evidence:
            raise MapError('sharpness must be positive, min_evidence below and max_evidence '
                           'above zero')


class Evidence:
    """Judges matches against the whole map.

    Similarities of winter images to a summer map are all low, of a corridor to itself all high;
    what tells a place is how far it stands out from the *background* of this image against this
    map: `z = (similarity - mean) / deviation`. A view that resembles nothing in the map (far
    below how the map's places resemble one another) is evidence against all of it.
    """

    def __init__(self, config: EvidenceConfig, index: PlaceIndex,
                 descriptors: NDArray[np.float32]) -> None:
        self._config = config
        self._index = index
        stride = max(1, len(descriptors) // _SAMPLE)
        sample = np.asarray(descriptors[::stride], dtype=np.float32)
        alike = np.sort(sample @ sample.T, axis=1)
        # The level at which a tenth of the map resembles a place of it, in the middle.
        self._familiar = float(np.median(alike[:, -1 - len(sample) // 10]))

    def of(self, descriptor: NDArray[np.float32], matches: tuple[Match, ...]
           ) -> NDArray[np.float64]:
        """Return the evidence for each match (k,); the last also bounds all unlisted places."""
        config = self._config
        mean, deviation = self._index.background(descriptor)
        similarity = np.array([match.similarity for match in matches])
        z = (similarity - mean) / max(deviation, 1e-3)
        evidence = config.sharpness * (z - config.unknown_z)
        alien = config.alien_share * self._familiar
        evidence -= np.maximum(alien - similarity, 0.0) * 20.0
        return np.clip(evidence, config.min_evidence, config.max_evidence)
