# SPDX-License-Identifier: Apache-2.0
"""People who walk up and down the route and stand in the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vpr_ros.datasets.world_conditions import Conditions
from vpr_ros.datasets.world_plan import Floats, Plan
from vpr_ros.datasets.world_scene import light_at
from vpr_ros.datasets.world_shapes import Quad
from vpr_ros.datasets.world_sprites import person, pyramid

_PHASES = 4
_SEEN_M = 25.0


class Crowd:
    """Walkers along a route, each with a pace, a side and a coat of their own."""

    def __init__(self, plan: Plan, route_m: Floats, conditions: Conditions,
                 light: NDArray[np.float32]) -> None:
        rng = np.random.default_rng([conditions.seed, 51])
        self._plan, self._route, self._light = plan, route_m, light
        step = np.linalg.norm(np.diff(route_m, axis=0), axis=1)
        self._along = np.concatenate([[0.0], np.cumsum(step)])
        length = float(self._along[-1])
        count = round(conditions.people * length / 10.0)
        self._start = rng.uniform(0.0, length, count)
        self._pace = rng.choice([-1.0, 1.0], count) * rng.uniform(0.5, 1.5, count)
        self._side = rng.choice([-1.0, 1.0], count) * rng.uniform(0.45, 0.85, count)
        self._height = rng.uniform(1.58, 1.92, count)
        coats = [np.random.default_rng([conditions.seed, 52, k]) for k in range(8)]
        states = [coat.bit_generator.state for coat in coats]
        self._art = []
        for coat, state in zip(coats, states, strict=True):
            phases = []
            for phase in range(_PHASES):
                coat.bit_generator.state = state
                phases.append(pyramid(person(coat, phase / _PHASES)))
            self._art.append(phases)

    def at(self, seconds: float, x_m: float, y_m: float) -> Sequence[Quad]:
        """Return everybody near the point, as quads that face the camera."""
        length = float(self._along[-1])
        along = (self._start + self._pace * seconds) % length
        x = np.interp(along, self._along, self._route[:, 0])
        y = np.interp(along, self._along, self._route[:, 1])
        ahead = np.minimum(along + 0.3, length)
        dx = np.interp(ahead, self._along, self._route[:, 0]) - x
        dy = np.interp(ahead, self._along, self._route[:, 1]) - y
        norm = np.maximum(np.hypot(dx, dy), 1e-6)
        x, y = x - dy / norm * self._side, y + dx / norm * self._side
        near = np.hypot(x - x_m, y - y_m)
        quads = []
        for k in np.flatnonzero((near < _SEEN_M) & (near > 0.7)):
            phase = int((seconds * abs(self._pace[k]) * 0.8 + self._side[k]) * _PHASES) % _PHASES
            place = (float(x[k]), float(y[k]))
            height = float(self._height[k])
            quads.append(Quad(place, place, 0.0, height, self._art[k % len(self._art)][phase],
                              light_at(self._light, self._plan, *place), height / 2))
        return quads
