# SPDX-License-Identifier: Apache-2.0
"""Whether somebody else's pose and ours are of the same place: the sign that somebody is lost."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
import math

from vpr_ros.core import pose as se3


@dataclass(frozen=True)
class Gap:
    """How far two poses are apart in the plane: between their origins, and in heading (>= 0)."""

    distance_m: float
    angle_rad: float

    def is_within(self, distance_m: float, angle_rad: float) -> bool:
        """Say whether the two poses are as near as that."""
        return self.distance_m <= distance_m and self.angle_rad <= angle_rad


def gap(a: se3.Array, b: se3.Array) -> Gap:
    """Return the gap between two poses (7,) of one frame.

    In the plane, since that is where most localizers live: they know no height and no slope.
    """
    turn = float(se3.yaw_rad(a) - se3.yaw_rad(b))
    return Gap(float(math.hypot(*(a[:2] - b[:2]))), abs(math.remainder(turn, math.tau)))


def moved(pose: se3.Array, odom_from_then: se3.Array, odom_from_now: se3.Array) -> se3.Array:
    """Return where `pose` (7,), true then, has gone by now as odometry has it."""
    return se3.compose(pose, se3.compose(se3.inverse(odom_from_then), odom_from_now))


class Verdict(Enum):
    """What is said of an external pose."""

    AGREES = 'agrees'
    DISAGREES = 'disagrees'
    ABSENT = 'absent'     # there is none of the moment, or nothing to compare it with


class Disagreement:
    """Counts before it speaks: one outlier raises nothing, and one agreement settles nothing."""

    def __init__(self) -> None:
        self.verdict = Verdict.ABSENT
        self.count = 0   # comparisons in a row that speak against the verdict

    def judge(self, near: bool | None, frames: int) -> Verdict:
        """Return the verdict after one more accepted frame.

        `near`: whether the poses were near each other; None: there was no pose to compare with.
        The verdict changes between AGREES and DISAGREES after `frames` comparisons in a row.
        """
        if near is None:
            self.verdict, self.count = Verdict.ABSENT, 0
            return self.verdict
        if self.verdict is Verdict.ABSENT:
            self.verdict = Verdict.AGREES
        against = near is (self.verdict is Verdict.DISAGREES)
        self.count = self.count + 1 if against else 0
        if self.count >= frames:
            self.verdict = Verdict.AGREES if near else Verdict.DISAGREES
            self.count = 0
        return self.verdict
