# SPDX-License-Identifier: Apache-2.0
"""When the robot has moved on: only then does a look tell something new."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vpr_ros.core import pose as se3
from vpr_ros.core.belief import Belief
from vpr_ros.core.clusters import Cluster
from vpr_ros.core.types import Descriptors, Frame

_STEP_RAD = 0.26         # a turn of 15 degrees shows something new
_STILL_STEP_S = 0.2      # without odometry: no two steps within this time
_CHANGE = 0.5            # of the difference of two places: as much makes a new view
_LEAST_CHANGE = 1e-3     # and so much does in any map
_LONGEST_STEP_S = 10.0   # no robot is believed to have driven for longer than this unseen


@dataclass(frozen=True, eq=False)
class _Step:
    """The last moment at which the belief moved on."""

    stamp_ns: int
    odom_from_base: se3.Array | None
    best: se3.Array | None     # where the best hypothesis of then would be now


class Steps:
    """Moves the belief on when odometry, or else the pictures, say that the robot has moved."""

    reach_m = 6.0   # within it a hypothesis has gone on from the one before

    def __init__(self, belief: Belief, neighbors_alike: float, each_frame: bool) -> None:
        """Take how alike a place and the next look (cosine)."""
        self._belief = belief
        self._new_view = max(_CHANGE * (1.0 - neighbors_alike), _LEAST_CHANGE)
        self._each_frame = each_frame
        self.reset()

    def reset(self) -> None:
        """Forget how the robot moved."""
        self._last: _Step | None = None
        self._held = 0
        self.taken = 0
        self.found: tuple[Cluster, ...] = ()      # of the latest frame
        self._seen: dict[str, Descriptors] = {}   # by each camera, last
        self._changed = 0.0   # since the last step, between frame and frame of one camera

    def take(self, frame: Frame, descriptor: Descriptors, odom_from_base: se3.Array | None
             ) -> bool:
        """Move the belief on if this frame is a new step; say whether it is."""
        seen = self._seen.get(frame.camera, descriptor)
        self._changed += 1.0 - float(descriptor @ seen)
        self._seen[frame.camera] = descriptor
        last = self._last
        if last is None:
            self._last = _Step(frame.stamp_ns, odom_from_base, None)
            self.taken += 1
            return True
        motion = _motion(last, odom_from_base)
        if not self._is_step(last, frame.stamp_ns, motion):
            if last.odom_from_base is None and odom_from_base is not None:
                self._last = replace(last, odom_from_base=odom_from_base)
            return False
        best = self.found[0].pose if self.found else None
        self._held = self._held + 1 if best is not None and self._goes_on(best) else 0
        elapsed_s = min(max(frame.stamp_ns - last.stamp_ns, 0) * 1e-9, _LONGEST_STEP_S)
        # The same picture after a drive is a camera that hangs: it says nothing new.
        self._belief.move(motion, elapsed_s, min(self._changed / self._new_view, 1.0))
        self._changed = 0.0
        then = best if best is None or motion is None else se3.compose(best, motion)
        self._last = _Step(frame.stamp_ns, odom_from_base, then)
        self.taken += 1
        return True

    def held(self, best: se3.Array) -> int:
        """Return for how many steps the best hypothesis has been where the last one led."""
        return self._held if self._goes_on(best) else 0

    def _is_step(self, last: _Step, stamp_ns: int, motion: se3.Array | None) -> bool:
        if motion is not None:
            driven_m = float(np.linalg.norm(motion[:3]))
            turned_rad = float(se3.angle_rad(motion, se3.IDENTITY))
            return driven_m >= self._belief.spacing_m or turned_rad >= _STEP_RAD
        # Without odometry the pictures say so: what changed from one to the next adds up to what
        # tells one place from the next.
        elapsed_s = (stamp_ns - last.stamp_ns) * 1e-9
        return self._each_frame or (elapsed_s >= _STILL_STEP_S
                                    and self._changed >= self._new_view)

    def _goes_on(self, best: se3.Array) -> bool:
        then = None if self._last is None else self._last.best
        return then is not None and float(se3.distance_m(then, best)) <= self.reach_m


def _motion(last: _Step, odom_from_base: se3.Array | None) -> se3.Array | None:
    """Return `before_from_now` between a step and now, if odometry spoke at both."""
    if last.odom_from_base is None or odom_from_base is None:
        return None
    return se3.compose(se3.inverse(last.odom_from_base), odom_from_base)
