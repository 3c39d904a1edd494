# SPDX-License-Identifier: Apache-2.0
"""House fronts along the street: lots of their own width, height, material and windows."""

from __future__ import annotations

import cv2
import numpy as np

from vpr_ros.datasets import world_fixtures as fixtures
from vpr_ros.datasets.world_plan import Kind, Plan
from vpr_ros.datasets.world_textures import (
    brick,
    Bytes,
    Color,
    concrete,
    hsv,
    Material,
    MATERIALS,
    planks,
    plaster,
    Rng,
    shade,
)
from vpr_ros.datasets.world_walls import hang, Strip

PPM = 40
TOP_M = 9.6
_STOREY_M = 3.2
_SHOPS = ('CAFE', 'BOOKS', 'BAKERY', 'HOTEL', 'BANK', 'FLOWERS', 'OPTIK', 'PIZZA', 'SHOES',
          'MARKET', 'PHARMA', 'BIKES', 'TOYS', 'SALON', 'WINE', 'MUSIC')


def paint_outside(plan: Plan, seed: int, wild: bool) -> dict[int, Strip]:
    """Return a strip for each face on a street, by the face's row."""
    houses = [np.random.default_rng([seed, 7, k]) for k in range(5)]
    row_house = _house(houses[0], 9.0, wild)  # stands at several places: look-alikes
    strips = {}
    for i, face in enumerate(plan.faces):
        if plan.areas[face.area].kind is not Kind.STREET:
            continue
        rng = np.random.default_rng([seed, 6, i])
        lots: list[Bytes] = []
        while sum(lot.shape[1] for lot in lots) < face.length_m * PPM:
            again = rng.random() < 0.35
            lots.append(row_house if again else _house(rng, float(rng.uniform(6.0, 12.0)), wild))
        image = np.concatenate(lots, axis=1)[:, :max(2, round(face.length_m * PPM))]
        strips[i] = Strip(np.ascontiguousarray(image), np.zeros(image.shape[:2], np.uint8))
    return strips


def _house(rng: Rng, width_m: float, wild: bool) -> Bytes:
    height, width = round(TOP_M * PPM), round(width_m * PPM)
    materials: tuple[Material, ...] = MATERIALS if wild else (brick, plaster, plaster, concrete)
    material = materials[int(rng.integers(len(materials)))]
    if material is brick:
        color = hsv(float(rng.uniform(0.0, 0.08)), float(rng.uniform(0.3, 0.6)),
                    float(rng.uniform(0.4, 0.65)))
    else:
        usual = rng.random() < 0.75
        color = hsv(float(rng.uniform(0.02, 0.17)) if usual else float(rng.random()),
                    float(rng.uniform(0.05, 0.42 if usual else 0.2)),
                    float(rng.uniform(0.6, 0.92)))
    strip = Strip(material(rng, height, width, color, PPM), np.zeros((height, width), np.uint8))
    trim: Color = shade(color, 1.25) if rng.random() < 0.5 else shade(color, 0.6)
    frame: Color = (235, 235, 230) if rng.random() < 0.6 else shade(trim, 0.5)
    columns = max(2, round(width_m / float(rng.uniform(1.8, 2.6))))
    pitch = width_m / columns
    wide, high = float(rng.uniform(0.8, 1.3)), float(rng.uniform(1.3, 1.9))
    for storey in (1, 2):
        for k in range(columns):
            view = _window(rng, wide, high, frame)
            hang(strip, view, (k + 0.5) * pitch - wide / 2, storey * _STOREY_M + 0.75, 0, PPM)
        y = height - round(storey * _STOREY_M * PPM)
        cv2.rectangle(strip.image, (0, y), (width, y + 4), trim, -1)
    if rng.random() < 0.5:
        _shop(strip, rng, width_m)
    else:
        for k in range(columns):
            if k == columns // 2:
                leaf = fixtures.door(rng, hsv(float(rng.random()), 0.6, 0.4), 3, 1.1, 2.3)
                leaf = np.asarray(cv2.resize(leaf, (round(1.1 * PPM), round(2.3 * PPM)),
                                             interpolation=cv2.INTER_AREA), np.uint8)
                hang(strip, leaf, (k + 0.5) * pitch - 0.55, 0.0, 0, PPM)
            else:
                hang(strip, _window(rng, wide, high, frame), (k + 0.5) * pitch - wide / 2, 0.9, 0,
                     PPM)
    cv2.rectangle(strip.image, (0, 0), (width, 14), trim, -1)               # cornice
    cv2.rectangle(strip.image, (0, 14), (width, 17), shade(color, 0.5), -1)
    cv2.line(strip.image, (0, 0), (0, height), shade(color, 0.55), 2)        # the joint between
    return strip.image


def _window(rng: Rng, width_m: float, height_m: float, frame: Color) -> Bytes:
    glass = fixtures.canvas(width_m, height_m, shade((70, 88, 104), float(rng.uniform(0.5, 1.3))),
                            PPM)
    h, w = glass.shape[:2]
    cv2.fillPoly(glass, [np.array([(0, h // 2), (w // 2, 0), (w, 0), (0, h)])],
                 shade((120, 142, 160), float(rng.uniform(0.8, 1.2))))
    if rng.random() < 0.4:
        curtain = hsv(float(rng.random()), 0.15, 0.85)
        cv2.rectangle(glass, (0, 0), (w // 4, h), curtain, -1)
        cv2.rectangle(glass, (w - w // 4, 0), (w, h), curtain, -1)
    cv2.line(glass, (w // 2, 0), (w // 2, h), frame, 2)
    cv2.line(glass, (0, h // 3), (w, h // 3), frame, 1)
    return fixtures.framed(glass, frame, 2)


def _shop(strip: Strip, rng: Rng, width_m: float) -> None:
    color = hsv(float(rng.random()), float(rng.uniform(0.4, 0.9)), float(rng.uniform(0.25, 0.7)))
    front = fixtures.canvas(width_m - 0.4, 3.0, shade(color, 0.8), PPM)
    h, w = front.shape[:2]
    panes = max(2, round(width_m / 2.5))
    for k in range(panes):
        a, b = w * k // panes + 5, w * (k + 1) // panes - 5
        cv2.rectangle(front, (a, 36), (b, h - 16), (86, 92, 96), -1)
        for _ in range(7):
            spot = (int(rng.integers(a, b)), int(rng.integers(h // 2, h - 20)))
            cv2.circle(front, spot, int(rng.integers(2, 8)),
                       hsv(float(rng.random()), 0.6, 0.7), -1)
        cv2.line(front, (a, h // 2), (b - (b - a) // 3, 38), (140, 150, 156), 2, cv2.LINE_AA)
    cv2.rectangle(front, (0, 0), (w, 26), color, -1)
    fixtures.write(front, str(rng.choice(_SHOPS)), (245, 240, 225), (8, 3, w - 16, 20))
    if rng.random() < 0.5:  # an awning
        for x in range(0, w, 16):
            stripe = color if (x // 16) % 2 else (240, 236, 228)
            cv2.rectangle(front, (x, 27), (x + 15, 40), stripe, -1)
    hang(strip, front, 0.2, 0.0, 0, PPM)


def lintel(rng: Rng, width_m: float, height_m: float) -> Bytes:
    """Return (H, W, 4) of the front above the building's entrance, opaque."""
    front = planks(rng, round(height_m * PPM), round(width_m * PPM), (96, 84, 74), PPM)
    h, w = front.shape[:2]
    cv2.rectangle(front, (0, h - 34), (w, h - 6), (34, 52, 92), -1)
    fixtures.write(front, 'MAIN HALL', (240, 240, 245), (6, h - 30, w - 12, 20))
    return np.dstack([front, np.full((h, w), 255, np.uint8)])
