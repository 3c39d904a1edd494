# SPDX-License-Identifier: Apache-2.0
"""Floor, ceiling and sky as pictures: seen from above, from below, and all around."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.datasets.world_conditions import Conditions
from vpr_ros.datasets.world_light import irradiance, lamp_gains
from vpr_ros.datasets.world_plan import CELL_M, Kind, Plan, SOLID
from vpr_ros.datasets.world_shapes import GROUND_PPM, SKY_TOP
from vpr_ros.datasets.world_textures import Bytes, Floats32, hsv, noise
from vpr_ros.datasets.world_walls import Look

_ASPHALT, _SLABS = 3, 4  # of world_textures.detail_tiles
_PAVEMENT_M = 3.9


def floor_light(plan: Plan, conditions: Conditions) -> Floats32:
    """Return (rows, columns, 3): light on the floor of every cell, spread a little into walls."""
    rows, columns = plan.area_of.shape
    light = np.zeros((rows, columns, 3), np.float32)
    row, column = np.nonzero(plan.area_of != SOLID)
    points = np.stack([plan.origin_m[0] + (column + 0.5) * CELL_M,
                       plan.origin_m[1] + (row + 0.5) * CELL_M, np.zeros(len(row))], axis=1)
    normals = np.tile([0.0, 0.0, 1.0], (len(row), 1))
    light[row, column] = irradiance(plan, conditions, points, normals)
    free = (plan.area_of != SOLID).astype(np.float32)
    weight = cv2.GaussianBlur(free, (0, 0), 0.9)[..., None]
    return np.asarray(cv2.GaussianBlur(light, (0, 0), 0.9) / np.maximum(weight, 0.05), np.float32)


def detail_map(plan: Plan, looks: dict[Kind, Look]) -> NDArray[np.uint8]:
    """Return which grain each cell's floor has."""
    of_area = [_ASPHALT if a.kind is Kind.STREET else looks[a.kind].floor_detail
               for a in plan.areas]
    which = np.array(of_area + [0], np.uint8)[plan.area_of]
    street = (which == _ASPHALT).astype(np.uint8)
    which[(street > 0) & (cv2.distanceTransform(street, cv2.DIST_L2, 5) * CELL_M
                          < _PAVEMENT_M)] = _SLABS
    return np.asarray(which, np.uint8)


def _size(cells: tuple[int, ...]) -> tuple[int, int]:
    """Return (width, height) in pixels of a map over that many cells."""
    return (round(cells[1] * CELL_M * GROUND_PPM), round(cells[0] * CELL_M * GROUND_PPM))


def _areas(plan: Plan) -> NDArray[np.int_]:
    """Return the area under every pixel of a map from above."""
    codes = (plan.area_of - SOLID).astype(np.uint8)
    return cv2.resize(codes, _size(codes.shape), interpolation=cv2.INTER_NEAREST).astype(
        np.int_) + SOLID


def _smooth(cells: Floats32) -> Floats32:
    """Return values of cells (rows, columns, 3) for every pixel of a map from above."""
    return np.asarray(cv2.resize(cells, _size(cells.shape), interpolation=cv2.INTER_LINEAR),
                      np.float32)


def _pyramid(image: Bytes, levels: int = 4) -> tuple[Bytes, ...]:
    pictures = [image]
    for _ in range(levels - 1):
        h, w = pictures[-1].shape[:2]
        pictures.append(np.asarray(cv2.resize(pictures[-1], (w // 2, h // 2),
                                              interpolation=cv2.INTER_AREA), np.uint8))
    return tuple(pictures)


def paint_ground(plan: Plan, looks: dict[Kind, Look], conditions: Conditions, light: Floats32,
                 seed: int) -> tuple[Bytes, ...]:
    """Return the lit floor, RGB and how much it mirrors, as a pyramid."""
    rng = np.random.default_rng([seed, 8])
    area = _areas(plan)
    color = np.zeros((*area.shape, 4), np.float32)
    stains = noise(rng, area.shape[0], area.shape[1], 40, 3)
    streets = [i for i, a in enumerate(plan.areas) if a.kind is Kind.STREET]
    for i, place in enumerate(plan.areas):
        if i in streets:
            continue
        look = looks[place.kind]
        color[area == i] = (*look.floor, 255 * look.gloss)
    street = np.isin(area, streets)
    _pave(color, street, rng, conditions, stains)
    color[..., :3] *= 1.0 + 0.07 * stains[..., None]
    solid = (area == SOLID).astype(np.uint8)
    to_wall = cv2.distanceTransform(1 - solid, cv2.DIST_L2, 3) / GROUND_PPM
    corner = 1.0 - 0.4 * np.exp(-to_wall / 0.22)
    color[..., :3] *= _smooth(light) * corner[..., None]
    return _pyramid(np.clip(color, 0, 255).astype(np.uint8))


def _pave(color: Floats32, street: NDArray[np.bool_], rng: np.random.Generator,
          conditions: Conditions, stains: Floats32) -> None:
    """Lay slabs along the houses, asphalt in the middle, a curb between; then the weather."""
    to_house = cv2.distanceTransform(street.astype(np.uint8), cv2.DIST_L2, 5) / GROUND_PPM
    slabs = np.array(hsv(float(rng.uniform(0.05, 0.12)), 0.08, float(rng.uniform(0.55, 0.7))))
    wet = 255 * (0.05 + 0.4 * conditions.rain)
    color[street] = (*slabs, wet)
    road = street & (to_house > _PAVEMENT_M)
    color[road] = (92, 92, 96, wet)
    curb = street & (np.abs(to_house - _PAVEMENT_M) < 0.1)
    color[curb, :3] = (176, 174, 168)
    puddles = street & (stains > 0.33 - 0.2 * conditions.rain)
    if conditions.rain > 0.0:
        color[street, :3] *= 1.0 - 0.3 * conditions.rain
        color[puddles, 3] = 255 * min(0.75, 0.3 + 0.5 * conditions.rain)
    if conditions.snow > 0.0:
        cover = np.clip(conditions.snow * 1.5 - 0.35 + 0.8 * stains, 0.0, 1.0) * street
        color[..., :3] += cover[..., None] * (np.array([232, 236, 242]) - color[..., :3])
        color[..., 3] *= 1.0 - cover


def paint_ceiling(plan: Plan, conditions: Conditions, light: Floats32,
                  seed: int) -> tuple[Bytes, ...]:
    """Return the ceiling with its panels and lamps, alpha 255 where it is, as a pyramid."""
    rng = np.random.default_rng([seed, 9])
    area = _areas(plan)
    streets = [i for i, a in enumerate(plan.areas) if a.kind is Kind.STREET]
    inside = (area != SOLID) & ~np.isin(area, streets)
    # A rim over the walls, so that no sky shows in the joint.
    inside = cv2.dilate(inside.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    inside &= ~np.isin(area, streets)
    color = np.zeros((*area.shape, 4), np.float32)
    tone = float(rng.uniform(0.78, 0.92)) * 255
    color[inside] = (tone, tone, tone * 0.98, 255)
    pitch = round(0.6 * GROUND_PPM)
    lines = ((np.indices(area.shape) % pitch) == 0).any(axis=0)
    color[lines & inside, :3] *= 0.82
    bounce = _smooth(np.asarray(cv2.GaussianBlur(light, (0, 0), 3.0), np.float32))
    color[..., :3] *= 0.3 + 0.55 * bounce
    for lamp, gain in zip(plan.lamps_m, lamp_gains(plan, conditions), strict=True):
        u, v = ((lamp[i] - plan.origin_m[i]) * GROUND_PPM for i in (0, 1))
        half = (0.3 * GROUND_PPM, 0.6 * GROUND_PPM)
        a, b = (round(u - half[0]), round(v - half[1])), (round(u + half[0]), round(v + half[1]))
        glow = np.clip(np.array(conditions.lamp_color) * (90 + 190 * gain), 0, 255)
        cv2.rectangle(color, a, b, (*(float(c) for c in glow), 255.0), -1)
        cv2.rectangle(color, a, b, (150.0, 150.0, 150.0, 255.0), 1)
    return _pyramid(np.clip(color, 0, 255).astype(np.uint8))


def paint_sky(conditions: Conditions, seed: int) -> Bytes:
    """Return (256, 1024, 3): zenith side first, the horizon with a far skyline last."""
    rng = np.random.default_rng([seed, 10])
    weather = np.random.default_rng([conditions.seed, 12])
    h, w = 256, 1024
    height = np.linspace(SKY_TOP, 0.0, h, dtype=np.float32)[:, None, None]
    clear = np.array([96, 148, 214], np.float32) + (1.0 - height / SKY_TOP) * np.array(
        [104, 72, 26], np.float32)
    grey = np.array([186, 190, 196], np.float32) + (1 - height) * 12
    field = noise(weather, h, w // 2, 90, 5)
    clouds = np.concatenate([field, field[:, ::-1]], axis=1)  # closes where it wraps
    cover = np.clip((clouds + 0.9 - 1.2 * conditions.sun) * 1.6, 0.0, 1.0)[..., None]
    white = np.array([240, 241, 243], np.float32) * (0.85 + 0.15 * conditions.sun)
    overcast = np.float32(1.0 - conditions.sun)
    sky = clear * (1 - overcast) + grey * overcast
    sky = sky + cover * (white - sky) * (0.75 if conditions.sun > 0.3 else 0.35)
    skyline = (14 + 26 * np.abs(noise(rng, 1, w, 60, 4)[0])).astype(int)
    for x in range(w):
        sky[h - skyline[x]:, x] = sky[h - skyline[x]:, x] * 0.6 + np.array([70, 76, 84]) * 0.4
    sky *= conditions.day_gain * np.array(conditions.day_color, np.float32)
    return np.asarray(np.clip(sky, 0, 255), np.uint8)
