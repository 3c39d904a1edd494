# SPDX-License-Identifier: Apache-2.0
"""What the walls inside look like: a style for the world, and each run of wall painted with it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vpr_ros.datasets import world_fixtures as fixtures
from vpr_ros.datasets.world_fixtures import PPM
from vpr_ros.datasets.world_plan import CEILING_M, Face, Kind, Plan, Tag
from vpr_ros.datasets.world_textures import (
    Bytes,
    Color,
    concrete,
    hsv,
    marble,
    Material,
    MATERIALS,
    planks,
    plaster,
    Rng,
    shade,
    tiles,
)

DAY, LAMP = 1, 2   # what lights a pixel that does not wait for the lamps: daylight, itself
_TILE_M = 6.0


@dataclass(frozen=True)
class Strip:
    """One painted run of wall: (H, W, 3) RGB, and (H, W) of 0, DAY or LAMP."""

    image: Bytes
    glow: Bytes


@dataclass(frozen=True)
class Look:
    """How one kind of area looks."""

    wall: Material
    color: Color
    dado: Material | None     # the lower part of the wall, where it differs
    dado_color: Color
    dado_m: float
    doors: tuple[Color, ...]
    door_style: int
    trim: Color
    floor: Color
    floor_detail: int         # which of world_textures.detail_tiles
    gloss: float


def make_looks(seed: int, wild: bool) -> dict[Kind, Look]:
    """Return a look for each kind of area; `wild` leaves the range of real buildings."""
    rng = np.random.default_rng([seed, 2])
    return {kind: _look(rng, kind, wild) for kind in (Kind.CORRIDOR, Kind.LOBBY, Kind.WING)}


def _look(rng: Rng, kind: Kind, wild: bool) -> Look:
    hue = float(rng.random())
    wood = hsv(float(rng.uniform(0.05, 0.1)), float(rng.uniform(0.35, 0.65)),
               float(rng.uniform(0.4, 0.75)))
    materials: tuple[Material, ...] = (plaster, plaster, concrete)
    if kind is Kind.LOBBY:
        materials = (marble, planks, plaster)
    if wild:
        materials = MATERIALS
    saturation, value = (rng.uniform(0, 0.8), rng.uniform(0.2, 1.0)) if wild else (
        rng.uniform(0.03, 0.22), rng.uniform(0.75, 0.93))
    wall = materials[int(rng.integers(len(materials)))]
    color = wood if wall is planks else hsv(hue, float(saturation), float(value))
    dado_choices: tuple[Material | None, ...] = (None, plaster, planks, tiles)
    dado = dado_choices[int(rng.integers(4))]
    dado_color = wood if dado is planks else hsv(hue + float(rng.uniform(-0.1, 0.1)),
                                                 float(rng.uniform(0.15, 0.55)),
                                                 float(rng.uniform(0.4, 0.75)))
    door = wood if rng.random() < 0.5 else hsv(float(rng.random()), float(rng.uniform(0.2, 0.6)),
                                               float(rng.uniform(0.35, 0.75)))
    floor = hsv(float(rng.uniform(0.05, 0.15)) if rng.random() < 0.6 else float(rng.random()),
                float(rng.uniform(0.0, 0.35)), float(rng.uniform(0.35, 0.75)))
    detail = int(rng.integers(3))
    gloss = 0.0 if detail == 2 else float(rng.uniform(0.2, 0.55))
    return Look(wall, color, dado, dado_color, float(rng.choice([0.9, 1.05, 1.2])),
                (door, door, door, hsv(float(rng.random()), 0.5, 0.6)),
                int(rng.integers(4)), shade(dado_color, 0.55), floor, detail, gloss)


def paint_inside(plan: Plan, looks: dict[Kind, Look], seed: int, changed: float = 0.0,
                 changed_seed: int = 0) -> dict[int, Strip]:
    """Return a strip for each face indoors, by the face's row.

    `changed` is the share of posters that were replaced since (seeded by `changed_seed`);
    everything else is equal for equal seeds.
    """
    painters = {kind: _Painter(look, np.random.default_rng([seed, 3, kind]))
                for kind, look in looks.items()}
    strips = {}
    for i, face in enumerate(plan.faces):
        kind = plan.areas[face.area].kind
        if kind is not Kind.STREET:
            change = np.random.default_rng([seed, 5, changed_seed, i])
            strips[i] = painters[kind].paint(face, np.random.default_rng([seed, 4, i]), i,
                                             change if changed else None, changed,
                                             plan.areas[face.area].name)
    return strips


class _Painter:
    """Paints runs of wall in one look."""

    def __init__(self, look: Look, rng: Rng) -> None:
        self._look = look
        height, width = round(CEILING_M * PPM), round(_TILE_M * PPM)
        self._base = look.wall(rng, height, width, look.color, PPM)
        if look.dado is not None:
            low = round(look.dado_m * PPM)
            self._base[-low:] = look.dado(rng, low, width, look.dado_color, PPM)
            cv2.rectangle(self._base, (0, height - low - 2), (width, height - low), look.trim, -1)
        cv2.rectangle(self._base, (0, height - 7), (width, height), look.trim, -1)
        cv2.rectangle(self._base, (0, 0), (width, 2), shade(look.color, 0.8), -1)

    def paint(self, face: Face, rng: Rng, number: int, change: Rng | None, changed: float,
              area: str) -> Strip:
        """Return the painted face; `change` decides which posters are new."""
        width = max(2, round(face.length_m * PPM))
        start = int(rng.integers(self._base.shape[1]))
        image = np.take(self._base, (start + np.arange(width)) % self._base.shape[1], axis=1)
        strip = Strip(np.ascontiguousarray(image), np.zeros(image.shape[:2], np.uint8))
        facing_in = face.length_m > 0.7
        if face.tag is Tag.DOOR and facing_in:
            self._door(strip, rng)
        elif face.tag is Tag.NICHE and face.length_m > 2.0:
            self._niche(strip, rng)
        elif facing_in and face.tag is Tag.PLAIN:
            self._decorate(strip, face, rng, number, change, changed, area)
        return strip

    def _door(self, strip: Strip, rng: Rng) -> None:
        color = self._look.doors[int(rng.integers(len(self._look.doors)))]
        leaf = fixtures.door(rng, color, self._look.door_style, strip.image.shape[1] / PPM)
        hang(strip, leaf, 0.0, 0.0)

    def _niche(self, strip: Strip, rng: Rng) -> None:
        width_m = strip.image.shape[1] / PPM
        kind = int(rng.integers(4))
        if kind == 0:
            hang(strip, fixtures.lockers(rng, width_m - 0.2, hsv(float(rng.random()), 0.4, 0.6)),
                 0.1, 0.0)
        elif kind == 1:
            hang(strip, fixtures.vending(rng), 0.15, 0.0)
            hang(strip, fixtures.vending(rng), 1.2, 0.0)
        elif kind == 2:
            hang(strip, fixtures.sofa(hsv(float(rng.random()), 0.55, 0.55)), 0.3, 0.0)
            hang(strip, fixtures.poster(rng, 1.2, 0.85), 0.6, 1.3)
        else:
            view = fixtures.window(rng, width_m - 0.3, 1.9, (225, 225, 225), 3)
            hang(strip, view, 0.15, 0.8, DAY)

    def _decorate(self, strip: Strip, face: Face, rng: Rng, number: int, change: Rng | None,
                  changed: float, area: str) -> None:
        length = face.length_m
        if length > 1.2:
            text = f'{area[0].upper()}{number % 90 + 10}'
            hang(strip, fixtures.plate(text, self._look.dado_color), 0.12, 1.5)
        at = 0.7
        while at < length - 0.6:
            kind = float(rng.random())
            item_seed = int(rng.integers(2 ** 31))
            item = np.random.default_rng(item_seed)
            glow, low = 0, 1.05
            if kind < 0.34:
                renewed = change is not None and float(change.random()) < changed
                if renewed and change is not None:
                    item = np.random.default_rng(int(change.integers(2 ** 31)))
                picture = fixtures.poster(item)
            elif kind < 0.40:
                picture = fixtures.board(item)
            elif kind < 0.44:
                picture = fixtures.whiteboard(item)
            elif kind < 0.50:
                picture, low = fixtures.extinguisher(), 0.25
            elif kind < 0.56:
                picture, low, glow = fixtures.exit_sign(item), 2.4, LAMP
            elif kind < 0.60:
                picture, low = fixtures.clock(), 2.15
            elif kind < 0.72:
                picture = fixtures.window(item, 1.4, 1.3, (228, 228, 226))
                low, glow = 0.95, DAY
            else:
                at += 1.3
                continue
            width = picture.shape[1] / PPM
            if at + width < length - 0.1:
                hang(strip, picture, at, low, glow)
            at += width + float(rng.uniform(0.3, 1.4))


def hang(strip: Strip, picture: Bytes, left_m: float, low_m: float, glow: int = 0,
         ppm: float = PPM) -> None:
    """Paint `picture` onto the strip with its lower left corner there, cut at the edges."""
    rows, columns = strip.image.shape[:2]
    x = max(0, round(left_m * ppm))
    bottom = rows - round(low_m * ppm)
    top = max(0, bottom - picture.shape[0])
    part = picture[picture.shape[0] - (bottom - top):, :columns - x]
    if low_m > 0.0 and not glow:  # a soft shadow under what hangs proud of the wall
        edge = strip.image[bottom:bottom + 2, x + 1:x + part.shape[1] + 1]
        edge[:] = (edge * 0.75).astype(np.uint8)
    strip.image[top:bottom, x:x + part.shape[1]] = part
    strip.glow[top:bottom, x:x + part.shape[1]] = glow
