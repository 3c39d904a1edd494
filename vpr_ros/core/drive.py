# SPDX-License-Identifier: Apache-2.0
"""How far and how long a run went, by its true poses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.core.types import Trajectory

STRIDE_M = 0.1   # least motion that counts: the jitter of a truth that stands still does not


@dataclass(frozen=True, eq=False)
class Drive:
    """The way up to each frame (Q,): `driven_m`, `elapsed_s`, and the number of its recording.

    Between two recordings nothing is driven and no time passes.
    """

    driven_m: NDArray[np.float64]
    elapsed_s: NDArray[np.float64]
    recording: NDArray[np.int64]

    @property
    def length_m(self) -> float:
        """The length of the whole way."""
        return float(self.driven_m[-1]) if len(self.driven_m) else 0.0

    @property
    def duration_s(self) -> float:
        """The time of the whole way."""
        return float(self.elapsed_s[-1]) if len(self.elapsed_s) else 0.0


def drive_along(stamps_ns: NDArray[np.int64], truth: se3.Array, begins: NDArray[np.bool_]
                ) -> Drive:
    """Return the drive past true poses (Q, 7) at stamps (Q,), in the order of time.

    `begins` (Q,): with which frames another recording begins. The length is that of the line
    through the poses of which each is at least STRIDE_M from the one before.
    """
    step_s = np.diff(stamps_ns, prepend=stamps_ns[:1]) * 1e-9
    elapsed_s = np.cumsum(np.where(begins, 0.0, np.maximum(step_s, 0.0)))
    driven_m, total_m, last = np.zeros(len(truth)), 0.0, (0.0, 0.0, 0.0)
    for row, (position, is_first) in enumerate(zip(truth[:, :3].tolist(), begins.tolist(),
                                                   strict=True)):
        if row == 0 or is_first:
            last = position
        elif (moved_m := math.dist(last, position)) >= STRIDE_M:
            total_m += moved_m
            last = position
        driven_m[row] = total_m
    return Drive(driven_m, elapsed_s, np.cumsum(begins))


def recording_starts(truth: Trajectory, stamps_ns: NDArray[np.int64]) -> Sequence[int]:
    """Return the rows of `stamps_ns` (Q,), rising, with which another recording begins."""
    starts = np.searchsorted(stamps_ns, truth.stamps_ns[list(truth.breaks)])
    return [int(row) for row in np.unique(starts) if 0 < row < len(stamps_ns)]
