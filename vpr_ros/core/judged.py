# SPDX-License-Identifier: Apache-2.0
"""What is scored: an outcome beside the truth, and how near is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.core.types import Outcome
from vpr_ros.errors import VprError


@dataclass(frozen=True)
class Tolerance:
    """How near is right."""

    m: float = 2.0
    deg: float = 45.0

    def __post_init__(self) -> None:
        if not (self.m > 0.0 and self.deg > 0.0):
            raise VprError('tolerances must be positive; see --tolerance-m and --tolerance-deg')

    def holds(self, a: se3.Array, b: se3.Array) -> NDArray[np.bool_]:
        """Say which poses of `a` are near those of `b` (they broadcast)."""
        near: NDArray[np.bool_] = ((se3.distance_m(a, b) <= self.m)
                                   & (se3.angle_rad(a, b) <= np.radians(self.deg)))
        return near


@dataclass(frozen=True, eq=False)
class JudgedFrame:
    """An outcome, the true `map_from_base` (7,), and what it cost.

    `latency_ms`: from the encoded message to the verdict. `decode_ms`: of it, from bytes to the
    picture; None where nobody measured. The other stops are in `outcome.timing`.
    """

    outcome: Outcome
    truth: se3.Array
    latency_ms: float
    decode_ms: float | None = None

    def errors(self) -> tuple[float, float]:
        """Return metres and radians between the best hypothesis and the truth; NaN without one."""
        if not self.outcome.hypotheses:
            return float('nan'), float('nan')
        best = self.outcome.hypotheses[0].pose
        return float(se3.distance_m(best, self.truth)), float(se3.angle_rad(best, self.truth))
