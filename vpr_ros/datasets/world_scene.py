# SPDX-License-Identifier: Apache-2.0
"""Plan, looks and a day become a lit scene that a renderer can show."""

from __future__ import annotations

from collections.abc import Sequence
import math

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.datasets import world_facades, world_fixtures, world_sprites
from vpr_ros.datasets.world_atlas import pack, ripmaps
from vpr_ros.datasets.world_conditions import Conditions, Rgb
from vpr_ros.datasets.world_ground import (
    detail_map,
    floor_light,
    paint_ceiling,
    paint_ground,
    paint_sky,
)
from vpr_ros.datasets.world_layout import make_plan
from vpr_ros.datasets.world_light import irradiance
from vpr_ros.datasets.world_plan import CEILING_M, CELL_M, Face, Kind, Plan, Tag
from vpr_ros.datasets.world_shapes import Quad, Scene
from vpr_ros.datasets.world_textures import Bytes, detail_tiles, Floats32
from vpr_ros.datasets.world_walls import make_looks, paint_inside, Strip

_CLEAR_M = 0.95  # nothing stands nearer to a route than this


class World:
    """A place of its own for each seed; `scene` shows it on a given day."""

    def __init__(self, seed: int, wild: bool = False) -> None:
        self.seed = seed
        self.plan: Plan = make_plan(seed)
        self._looks = make_looks(seed, wild)
        self._outside = world_facades.paint_outside(self.plan, seed, wild)
        self._details = np.stack(detail_tiles(np.random.default_rng([seed, 13])))

    def scene(self, conditions: Conditions) -> Scene:
        """Return the world lit and changed by `conditions`; about a second of work."""
        plan = self.plan
        strips = {**self._outside, **paint_inside(
            plan, self._looks, self.seed, conditions.posters_changed, conditions.seed)}
        ordered = [strips[i] for i in range(len(plan.faces))]
        packing = pack([strip.image.shape[:2] for strip in ordered])
        outside = np.array([i in self._outside for i in range(len(plan.faces))])
        ppm = np.where(outside, world_facades.PPM, world_fixtures.PPM)
        tops = np.where(outside, world_facades.TOP_M, CEILING_M)
        light = floor_light(plan, conditions)
        walls = np.array([(*face.left, *face.right) for face in plan.faces], np.float32)
        lit = _lit(plan, conditions, ordered, tops)
        return Scene(
            walls, tops.astype(np.float32),
            np.stack([packing.left_px, packing.bottom_px, ppm], axis=1).astype(np.float32),
            ripmaps(packing, lit), plan.origin_m,
            paint_ground(plan, self._looks, conditions, light, self.seed),
            paint_ceiling(plan, conditions, light, self.seed),
            detail_map(plan, self._looks), self._details, light,
            paint_sky(conditions, self.seed), CEILING_M, CELL_M,
            tuple(_furniture(plan, conditions, light, self.seed)))


def _lit(plan: Plan, conditions: Conditions, strips: Sequence[Strip],
         tops: NDArray[np.float64]) -> list[Bytes]:
    """Return the strips under this day's light."""
    points, normals, shapes = [], [], []
    for face, top in zip(plan.faces, tops, strict=True):
        across, up = max(2, math.ceil(face.length_m / 0.4)), 7
        share = (np.arange(across) + 0.5) / across
        z = (np.arange(up)[::-1] + 0.5) / up * top
        x = face.left[0] + share * (face.right[0] - face.left[0]) + 0.06 * face.normal[0]
        y = face.left[1] + share * (face.right[1] - face.left[1]) + 0.06 * face.normal[1]
        points.append(np.stack([np.tile(x, up), np.tile(y, up), np.repeat(z, across)], axis=1))
        normals.append(np.tile([face.normal[0], face.normal[1], 0.0], (up * across, 1)))
        shapes.append((up, across))
    light = irradiance(plan, conditions, np.concatenate(points), np.concatenate(normals))
    out, at = [], 0
    glow_gain = np.array([[1, 1, 1], np.array(conditions.day_color) * conditions.day_gain,
                          [1.15, 1.15, 1.15]], np.float32)
    for strip, (up, across), top in zip(strips, shapes, tops, strict=True):
        part = light[at:at + up * across].reshape(up, across, 3).astype(np.float32)
        at += up * across
        h, w = strip.image.shape[:2]
        factor = np.asarray(cv2.resize(part, (w, h), interpolation=cv2.INTER_LINEAR))
        z = (h - 1 - np.arange(h, dtype=np.float32)) / h * np.float32(top)
        edge = 1.0 - 0.35 * np.exp(-z / 0.15)
        if top == CEILING_M:
            edge -= 0.2 * np.exp(-(np.float32(top) - z) / 0.2)
        factor *= edge[:, None, None]
        if strip.glow.any():
            own = glow_gain[strip.glow]
            factor = np.where(strip.glow[..., None] > 0, own, factor)
        out.append(np.asarray(np.clip(strip.image * factor, 0, 255), np.uint8))
    return out


def light_at(light: Floats32, plan: Plan, x_m: float, y_m: float) -> Rgb:
    """Return the light on somebody who stands there."""
    row, column = plan.cells(np.array([x_m]), np.array([y_m]))
    red, green, blue = (0.25 + 0.75 * float(c) for c in light[row[0], column[0]])
    return red, green, blue


def _furniture(plan: Plan, conditions: Conditions, light: Floats32, seed: int) -> list[Quad]:
    rng = np.random.default_rng([seed, 14])
    routes = np.concatenate([plan.mapping_route_m, plan.query_route_m])
    kinds = {
        'tree': [world_sprites.pyramid(world_sprites.tree(rng, conditions.snow))
                 for _ in range(5)],
        'lamp': [world_sprites.pyramid(world_sprites.lamp_post(rng))],
        'plant': [world_sprites.pyramid(world_sprites.plant(rng)) for _ in range(6)],
        'bin': [world_sprites.pyramid(world_sprites.bin_(rng)) for _ in range(4)],
        'bench': [world_sprites.pyramid(world_sprites.bench(rng)) for _ in range(3)],
        'bicycle': [world_sprites.pyramid(world_sprites.bicycle(rng)) for _ in range(4)],
        'column': [world_sprites.pyramid(world_sprites.column(rng)) for _ in range(3)]}
    sizes = {'tree': (4.0, 6.0), 'lamp': (0.8, 4.2), 'plant': (0.9, 1.5), 'bin': (0.5, 0.8),
             'bench': (1.8, 0.9), 'bicycle': (1.75, 1.1), 'column': (1.2, 3.0)}
    quads: list[Quad] = []

    def stand(kind: str, x: float, y: float, scale: float = 1.0) -> None:
        width, height = (n * scale for n in sizes[kind])
        pictures = kinds[kind]
        picture = pictures[int(rng.integers(len(pictures)))]
        clear = float(np.abs(routes - (x, y)).max(axis=1).min())
        if clear > _CLEAR_M and int(plan.area_at(np.array([x]), np.array([y]))[0]) >= 0:
            quads.append(Quad((x, y), (x, y), 0.0, height, picture,
                              light_at(light, plan, x, y), width))

    for face in plan.faces:
        kind = plan.areas[face.area].kind
        if face.tag is not Tag.PLAIN or face.length_m < 1.4:
            continue
        if kind is Kind.STREET:
            for at in np.arange(3.0, face.length_m - 2.0, 8.0):
                what = str(rng.choice(['tree', 'lamp', 'column'], p=[0.55, 0.35, 0.1]))
                x, y = _off(face, at + float(rng.uniform(-1, 1)), 4.4)
                stand(what, x, y, float(rng.uniform(0.8, 1.2)) if what == 'tree' else 1.0)
                if rng.random() < 0.6:
                    what = str(rng.choice(['bench', 'bin', 'bicycle']))
                    stand(what, *_off(face, at + 2.5, 0.9))
        elif rng.random() < 0.22:
            at = float(rng.uniform(0.4, face.length_m - 0.4))
            stand('plant' if rng.random() < 0.6 else 'bin', *_off(face, at, 0.28),
                  float(rng.uniform(0.7, 1.1)))
    quads += _lintels(plan, conditions, light, seed)
    return quads


def _off(face: Face, along_m: float, away_m: float) -> tuple[float, float]:
    share = along_m / face.length_m
    return (face.left[0] + share * (face.right[0] - face.left[0]) + away_m * face.normal[0],
            face.left[1] + share * (face.right[1] - face.left[1]) + away_m * face.normal[1])


def _lintels(plan: Plan, conditions: Conditions, light: Floats32, seed: int) -> list[Quad]:
    """Return the wall over the entrance, which rays pass under: its front and its back."""
    door = next(a for a in plan.areas if a.name == 'entrance')
    x0, y0, x1, y1 = door.box_m
    rng = np.random.default_rng([seed, 15])
    height = world_facades.TOP_M - 2.4
    front = world_facades.lintel(rng, x1 - x0, height)
    point = np.array([[(x0 + x1) / 2, y0 - 0.3, 5.0]])
    gain = irradiance(plan, conditions, point, np.array([[0.0, -1.0, 0.0]]))[0]
    red, green, blue = (float(g) for g in gain)
    back = np.dstack([np.full((20, 80, 3), 214, np.uint8), np.full((20, 80), 255, np.uint8)])
    inner = light_at(light, plan, (x0 + x1) / 2, y1 - 0.3)
    return [Quad((x0, y0), (x1, y0), 2.4, world_facades.TOP_M, world_sprites.pyramid(front),
                 (red, green, blue)),
            Quad((x1, y0 + 0.05), (x0, y0 + 0.05), 2.4, CEILING_M, world_sprites.pyramid(back),
                 inner)]
