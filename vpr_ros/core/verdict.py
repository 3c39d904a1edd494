# SPDX-License-Identifier: Apache-2.0
"""The hypotheses of one frame side by side: what speaks for the best, and what geometry says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
import math

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.core.belief import Belief
from vpr_ros.core.clusters import Cluster, ClusterConfig
from vpr_ros.core.confidence import Signs
from vpr_ros.core.types import Hypothesis
from vpr_ros.core.verification import Verification
from vpr_ros.errors import MapError

_CLEARLY = 2.0        # times the corners of the rival: the views tell the two apart
_ELSEWHERE = 1.5      # times the reach of a cluster: no longer the same hypothesis
_HEADING_STD_RAD = 0.05   # of a heading that was measured between two views
_MODES = ('off', 'ambiguous', 'always')


@dataclass(frozen=True)
class VerifyConfig:
    """Whether the picture is compared with the stored views of a place."""

    verify: str = 'off'        # off, ambiguous, always
    verify_inliers: int = 20   # corners that must agree

    def __post_init__(self) -> None:
        if self.verify not in _MODES:
            raise MapError(f'verify is {self.verify!r}; choose one of {", ".join(_MODES)}')
        if self.verify_inliers < 1:
            raise MapError('verify_inliers must be at least 1')

    @property
    def is_on(self) -> bool:
        """Whether views are ever compared."""
        return self.verify != 'off'

    @property
    def always(self) -> bool:
        """Whether no pose leaves without its view having been compared."""
        return self.verify == 'always'


@dataclass(frozen=True, eq=False)
class Rivals:
    """Clusters, most probable first; `view` is how the first agrees with the picture, if known.

    `ruled_out` are clusters that geometry has excluded; `is_verified` says that it confirmed the
    first.
    """

    found: tuple[Cluster, ...]
    view: Verification | None = None
    ruled_out: tuple[Cluster, ...] = ()
    is_verified: bool = False

    def are_close(self, limit: float) -> bool:
        """Say whether the second is so probable that both are doubted."""
        return len(self.found) > 1 and self.found[1].probability >= limit

    def verified(self, views: Sequence[Verification], yaws_rad: Sequence[float],
                 config: VerifyConfig) -> Rivals:
        """Return the rivals after the picture was compared with the first one or two of them.

        `yaws_rad` are the headings stored with the views.
        """
        best = max(range(len(views)), key=lambda i: views[i].inliers)
        others = [view.inliers for i, view in enumerate(views) if i != best]
        if others and views[best].inliers < max(_CLEARLY * max(others), config.verify_inliers):
            return replace(self, view=views[0])  # geometry cannot tell them apart
        confirmed = views[best].inliers >= config.verify_inliers
        losers = tuple(self.found[i] for i in range(len(views)) if i != best)
        # What spoke for the excluded has looked the same all along: it speaks for this one.
        first = replace(self.found[best], probability=self.found[best].probability
                        + sum(loser.probability for loser in losers))
        turn_rad = views[best].heading_rad
        if confirmed and turn_rad is not None:
            first = _turned(first, yaws_rad[best] + turn_rad)
        rest = tuple(c for c in self.found if c is not self.found[best] and c not in losers)
        return Rivals((first, *rest), views[best], losers, confirmed)

    def hypotheses(self, stamp_ns: int, frame_id: str, probability: float
                   ) -> tuple[Hypothesis, ...]:
        """Return what is published; the first has `probability`, the others share the rest."""
        first = self.found[0].probability
        share = (1.0 - probability) / max(1.0 - first, 1e-12)
        return tuple(Hypothesis(stamp_ns, frame_id, cluster.pose, cluster.covariance,
                                probability if i == 0 else min(cluster.probability * share, 1.0))
                     for i, cluster in enumerate(self.found))


def signs_of(rivals: Rivals, belief: Belief, evidence: NDArray[np.float64],
             config: ClusterConfig) -> Signs:
    """Return what speaks for the best of the rivals; `evidence` (M,) is of the last picture."""
    best = rivals.found[0]
    against = 1.0 - best.probability
    gain = belief.gain
    elsewhere = se3.distance_m(belief.poses, best.pose) > _ELSEWHERE * config.cluster_m
    elsewhere |= se3.angle_rad(belief.poses, best.pose) > _ELSEWHERE * config.cluster_rad
    for cluster in rivals.ruled_out:
        elsewhere[cluster.members] = False
    rival = max(float(gain[elsewhere].max()), 0.0) if elsewhere.any() else 0.0
    top = best.members[np.argmax(gain[best.members])]
    inliers = 0 if rivals.view is None else rivals.view.inliers
    return Signs(
        odds=math.log(max(best.probability, 1e-12)) - math.log(max(against, 1e-12)),
        margin=float(gain[top]) - rival,
        support=float(belief.support[top]),
        fit=float(evidence[best.members].max()),
        agreement=math.log1p(inliers))


def _turned(cluster: Cluster, yaw_rad: float) -> Cluster:
    """Return the cluster with a heading that was measured."""
    x_m, y_m, z_m = cluster.pose[:3]
    covariance = cluster.covariance.copy()
    covariance[5, :5] = covariance[:5, 5] = 0.0
    covariance[5, 5] = _HEADING_STD_RAD ** 2
    return replace(cluster, covariance=covariance,
                   pose=se3.from_xy_yaw(float(x_m), float(y_m), yaw_rad, float(z_m)))
