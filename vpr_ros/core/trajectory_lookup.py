# SPDX-License-Identifier: Apache-2.0
"""Where a trajectory was at given moments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.core.types import Trajectory
from vpr_ros.errors import BagError

MAX_GAP_S = 1.0


def poses_at(trajectory: Trajectory, stamps_ns: NDArray[np.int64], max_gap_s: float = MAX_GAP_S,
             name: str = 'the trajectory') -> tuple[se3.Array, NDArray[np.bool_]]:
    """Return poses (N, 7) at `stamps_ns` (N,), and whether each stamp is inside (N,).

    Between two samples the pose is interpolated as tf2 does (lerp and slerp) and it is never
    extrapolated: before the first sample, after the last, and in a long gap between two
    recordings a stamp is outside, and its row is NaN.
    Raises BagError, calling the trajectory `name`, when a stamp falls into another gap of more
    than `max_gap_s`.
    """
    asked = np.asarray(stamps_ns, np.int64)
    known = trajectory.stamps_ns
    poses = np.full((len(asked), 7), np.nan)
    if len(known) == 0:
        return poses, np.zeros(len(asked), np.bool_)
    after = np.searchsorted(known, asked)  # the first sample at the stamp or later
    right = np.minimum(after, len(known) - 1)
    left = np.where(known[right] == asked, right, np.maximum(right - 1, 0))
    inside = (after < len(known)) & (known[left] <= asked)
    span_ns = known[right] - known[left]
    in_gap = inside & (span_ns > max_gap_s * 1e9)
    between = in_gap & np.isin(right, trajectory.breaks)
    if (lost := in_gap & ~between).any():
        first = int(np.flatnonzero(lost)[0])
        raise gap_error(name, int(known[left[first]]), int(span_ns[first]),
                        f', in which {int(lost.sum())} of {len(asked)} stamps fall')
    inside &= ~between
    left, right, span_ns = left[inside], right[inside], span_ns[inside]
    fraction = (asked[inside] - known[left]) / np.maximum(span_ns, 1)
    poses[inside] = se3.interpolate(trajectory.poses[left], trajectory.poses[right], fraction)
    return poses, inside


def refuse_gaps(trajectory: Trajectory, max_gap_s: float, name: str) -> None:
    """Raise BagError for the first gap above `max_gap_s` that is not between two recordings."""
    span_ns = np.diff(trajectory.stamps_ns)
    span_ns[[row - 1 for row in trajectory.breaks]] = 0
    for row in np.flatnonzero(span_ns > max_gap_s * 1e9)[:1]:
        raise gap_error(name, int(trajectory.stamps_ns[row]), int(span_ns[row]))


def gap_error(name: str, start_ns: int, length_ns: int, detail: str = '') -> BagError:
    """Return the error for a gap: where it starts, how long it is, and what to do."""
    enough_tenths = length_ns // 10**8 + 1
    return BagError(f'{name} has a gap of {length_ns * 1e-9:.2f} s after {seconds(start_ns)}'
                    f'{detail}; use a pose source without the gap, or allow it with '
                    f'--max-gap-s {enough_tenths / 10:.1f}')


def seconds(stamp_ns: int) -> str:
    """Return a stamp as text in seconds; not by a float, which has too few digits for it."""
    return f'{stamp_ns // 10**9}.{stamp_ns % 10**9 // 10**6:03d} s'
