# SPDX-License-Identifier: Apache-2.0
"""How much light falls where: lamps seen past corners, the sky, a sun that casts shadows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vpr_ros.datasets.world_conditions import Conditions
from vpr_ros.datasets.world_facades import TOP_M
from vpr_ros.datasets.world_plan import CELL_M, Kind, Plan, SOLID

Floats = NDArray[np.float64]
_LAMP_REACH_M = 9.0
_LAMP_POWER = 3.4
_AMBIENT = 0.42


def lamp_gains(plan: Plan, conditions: Conditions) -> Floats:
    """Return (L,) how bright each lamp burns; some are out, the others differ a little."""
    rng = np.random.default_rng([conditions.seed, 11])
    count = len(plan.lamps_m)
    gains = conditions.lamp_gain * rng.uniform(0.9, 1.1, count)
    gains[rng.random(count) < conditions.lamps_off] = 0.04
    return np.asarray(gains)


def irradiance(plan: Plan, conditions: Conditions, points_m: Floats, normals: Floats) -> Floats:
    """Return (N, 3) RGB factors for the color of surfaces at `points_m` facing `normals`."""
    area = plan.area_at(points_m[:, 0], points_m[:, 1])
    street = np.array([a.kind is Kind.STREET for a in plan.areas] + [False])[area]
    light = np.empty((len(points_m), 3))
    inside = ~street
    lamps = _lamplight(plan, conditions, points_m[inside], normals[inside])
    light[inside] = lamps[:, None] * np.array(conditions.lamp_color)
    light[street] = _daylight(plan, conditions, points_m[street], normals[street])
    return light


def _lamplight(plan: Plan, conditions: Conditions, points: Floats, normals: Floats) -> Floats:
    light = np.full(len(points), _AMBIENT * conditions.lamp_gain)
    for lamp, gain in zip(plan.lamps_m, lamp_gains(plan, conditions), strict=True):
        near = np.flatnonzero(np.abs(points[:, :2] - lamp[:2]).max(axis=1) < _LAMP_REACH_M)
        if len(near) == 0:
            continue
        way = lamp - points[near]
        distance = np.maximum(np.linalg.norm(way, axis=1), 0.3)
        down = np.maximum(way[:, 2] / distance, 0.0)
        facing = np.maximum((way * normals[near]).sum(axis=1) / distance, 0.0)
        seen = np.ones(len(near), bool)
        for share in np.linspace(0.1, 0.95, 18):
            at = points[near] + share * way
            seen &= plan.area_at(at[:, 0], at[:, 1]) != SOLID
        light[near] += gain * _LAMP_POWER * seen * down * facing / distance ** 2
    return light


def _daylight(plan: Plan, conditions: Conditions, points: Floats, normals: Floats) -> Floats:
    azimuth, elevation = conditions.sun_azimuth_rad, conditions.sun_elevation_rad
    flat = np.array([math.cos(azimuth), math.sin(azimuth)])
    sun = np.array([*(flat * math.cos(elevation)), math.sin(elevation)])
    street = np.array([a.kind is Kind.STREET for a in plan.areas] + [False])
    lit = np.ones(len(points), bool)
    for step in np.arange(0.45, TOP_M / math.tan(elevation), 0.45):
        at = points[:, :2] + step * flat
        row = (at[:, 1] - plan.origin_m[1]) / CELL_M
        column = (at[:, 0] - plan.origin_m[0]) / CELL_M
        rows, columns = plan.area_of.shape
        within = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        open_air = street[plan.area_at(at[:, 0], at[:, 1])]
        lit &= ~(within & ~open_air & (points[:, 2] + step * math.tan(elevation) < TOP_M))
    direct = conditions.sun * lit * np.maximum(normals @ sun, 0.0)
    sky = 1.0 - 0.45 * conditions.sun
    sky_seen = 0.8 + 0.2 * normals[:, 2] + 0.02 * np.minimum(points[:, 2], 6.0)
    warm = np.array([1.12, 1.02, 0.86])
    light: Floats = conditions.day_gain * np.array(conditions.day_color) * (
        (sky * sky_seen)[:, None] + 1.1 * direct[:, None] * warm)
    return light
