# SPDX-License-Identifier: Apache-2.0
"""The day on which a run is driven: light, weather, people, and how the camera takes it."""

from __future__ import annotations

from dataclasses import dataclass
import math

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Conditions:
    """Everything that differs between two runs through one world; the defaults are a fair day."""

    seed: int = 0
    # light
    lamp_gain: float = 1.0
    lamp_color: Rgb = (1.0, 0.97, 0.9)
    lamps_off: float = 0.0            # share of the ceiling lamps that are out
    day_gain: float = 1.0
    day_color: Rgb = (1.0, 1.0, 1.0)
    sun: float = 0.7                  # 0: overcast, no cast shadows
    sun_azimuth_rad: float = 0.9
    sun_elevation_rad: float = 0.75
    # weather, outdoors
    sight_m: float = math.inf         # fog
    rain: float = 0.0                 # 0 to 1
    snow: float = 0.0                 # 0 to 1: what lies, and what falls
    # what changed, who walks
    posters_changed: float = 0.0
    people: float = 0.0               # walkers per 10 m of route
    # camera
    exposure: float = 1.0
    adapts: float = 0.7               # 0: fixed exposure, 1: every frame equally bright
    balance: Rgb = (1.0, 1.0, 1.0)
    noise: float = 2.0                # sigma in grey levels
    shutter_s: float = 0.008


MAPPING = Conditions(noise=1.5)
"""A clear morning."""

QUERY = Conditions(
    seed=1, lamp_gain=0.78, lamp_color=(1.0, 0.86, 0.68), lamps_off=0.2, day_gain=0.72,
    day_color=(0.86, 0.93, 1.06), sun=0.15, sun_azimuth_rad=3.9, sun_elevation_rad=0.5,
    sight_m=45.0, rain=0.6, posters_changed=0.35, people=1.1, exposure=0.92,
    balance=(1.06, 1.0, 0.92), noise=5.0, shutter_s=0.02)
"""A rainy evening weeks later: fog in the street, warm dim lamps, people on the way."""
