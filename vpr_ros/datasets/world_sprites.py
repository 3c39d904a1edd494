# SPDX-License-Identifier: Apache-2.0
"""What stands free, as cut-out pictures with alpha: people, trees, lamp posts, plants."""

from __future__ import annotations

import math

import cv2
import numpy as np

from vpr_ros.datasets.world_fixtures import poster
from vpr_ros.datasets.world_textures import Bytes, Color, hsv, Rng, shade

_SUPER = 3  # painted larger and shrunk, so that outlines are smooth


def pyramid(picture: Bytes, levels: int = 5) -> tuple[Bytes, ...]:
    """Return premultiplied (H, W, 4) pictures, each half the size of the one before."""
    color = picture.astype(np.float32)
    color[..., :3] *= color[..., 3:] / 255.0
    sizes = [color]
    while len(sizes) < levels and min(sizes[-1].shape[:2]) >= 4:
        h, w = sizes[-1].shape[:2]
        sizes.append(np.asarray(cv2.resize(sizes[-1], (w // 2, h // 2),
                                           interpolation=cv2.INTER_AREA), np.float32))
    return tuple(np.clip(size, 0, 255).astype(np.uint8) for size in sizes)


def _blank(width_px: int, height_px: int) -> Bytes:
    return np.zeros((height_px * _SUPER, width_px * _SUPER, 4), np.uint8)


def _shrunk(picture: Bytes) -> Bytes:
    h, w = picture.shape[:2]
    color = picture.astype(np.float32)
    color[..., :3] *= color[..., 3:] / 255.0
    color = np.asarray(cv2.resize(color, (w // _SUPER, h // _SUPER),
                                  interpolation=cv2.INTER_AREA), np.float32)
    color[..., :3] /= np.maximum(color[..., 3:], 1.0) / 255.0
    return np.clip(color, 0, 255).astype(np.uint8)


def person(rng: Rng, phase: float) -> Bytes:
    """Return a walker, 0.9 x 1.8 m at 80 pixels a metre; `phase` in turns swings the legs."""
    w, h = 72, 144
    art = _blank(w, h)
    s = _SUPER
    skin = hsv(0.07, float(rng.uniform(0.25, 0.6)), float(rng.uniform(0.35, 0.9)))
    coat = hsv(float(rng.random()), float(rng.uniform(0.1, 0.7)), float(rng.uniform(0.15, 0.8)))
    legs = hsv(float(rng.uniform(0.55, 0.7)), float(rng.uniform(0.1, 0.5)),
               float(rng.uniform(0.12, 0.4)))
    hair = hsv(0.08, 0.5, float(rng.uniform(0.08, 0.5)))
    bag = rng.random() < 0.5
    swing = math.sin(2 * math.pi * phase)

    def limb(a: tuple[float, float], b: tuple[float, float], thick: float, color: Color) -> None:
        cv2.line(art, (round(a[0] * s), round(a[1] * s)), (round(b[0] * s), round(b[1] * s)),
                 (*color, 255), round(thick * s), cv2.LINE_AA)

    mid = w / 2
    for side in (-1, 1):
        knee = (mid + side * 4 + side * swing * 5, 108.0)
        foot = (mid + side * 4 + side * swing * 11, 138.0 - max(0.0, -side * swing) * 5)
        tone = shade(legs, 1.0 if side > 0 else 0.8)
        limb((mid + side * 5, 78), knee, 12, tone)
        limb(knee, foot, 10, tone)
        limb(foot, (foot[0] + 3, foot[1] + 1), 7, (28, 26, 26))
    limb((mid - 17, 42), (mid - 20 - swing * 6, 76), 8, shade(coat, 0.8))
    body = np.array([(mid - 16, 34), (mid + 16, 34), (mid + 13, 84), (mid - 13, 84)]) * s
    cv2.fillPoly(art, [body.astype(np.int32)], (*coat, 255), cv2.LINE_AA)
    cv2.ellipse(art, (round(mid * s), 36 * s), (17 * s, 9 * s), 0, 0, 360, (*coat, 255), -1)
    limb((mid + 17, 42), (mid + 20 + swing * 6, 76), 8, shade(coat, 0.9))
    for side in (-1, 1):
        cv2.circle(art, (round((mid + side * 20 + swing * 6) * s), 79 * s), 4 * s, (*skin, 255),
                   -1)
    limb((mid, 24), (mid, 32), 9, shade(skin, 0.85))
    cv2.ellipse(art, (round(mid * s), 16 * s), (10 * s, 13 * s), 0, 0, 360, (*skin, 255), -1)
    cv2.ellipse(art, (round(mid * s), 11 * s), (11 * s, 10 * s), 0, 170, 370, (*hair, 255), -1)
    if bag:
        color = hsv(float(rng.random()), 0.5, 0.4)
        cv2.rectangle(art, (round((mid + 10) * s), 44 * s), (round((mid + 26) * s), 74 * s),
                      (*color, 255), -1)
    light = np.linspace(1.12, 0.78, w * s, dtype=np.float32)[None, :, None]
    art[..., :3] = np.clip(art[..., :3] * light, 0, 255).astype(np.uint8)
    return _shrunk(art)


def tree(rng: Rng, snow: float) -> Bytes:
    """Return a street tree, 4 x 6 m at 32 pixels a metre."""
    w, h = 128, 192
    art = _blank(w, h)
    s = _SUPER
    bark = hsv(0.07, 0.35, float(rng.uniform(0.22, 0.4)))
    cv2.line(art, (w * s // 2, h * s), (w * s // 2, h * s // 2), (*bark, 255), 9 * s)
    for side in (-1, 1):
        cv2.line(art, (w * s // 2, round(h * s * 0.62)),
                 (w * s // 2 + side * 26 * s, h * s * 2 // 5), (*bark, 255), 4 * s, cv2.LINE_AA)
    hue, value = float(rng.uniform(0.17, 0.32)), float(rng.uniform(0.3, 0.5))
    lumps = [(w / 2 + float(rng.uniform(-32, 32)), h * 0.34 + float(rng.uniform(-36, 32)),
              float(rng.uniform(16, 27))) for _ in range(9)] + [(w / 2, h * 0.34, 32.0)]
    for k in range(620):
        lump = lumps[int(rng.integers(len(lumps)))]
        angle, radius = float(rng.uniform(0, 2 * math.pi)), math.sqrt(float(rng.random()))
        x = lump[0] + math.cos(angle) * radius * lump[2]
        y = lump[1] + math.sin(angle) * radius * lump[2]
        # Bright on the upper left of each lump, dark below; early leaves are the shaded inside.
        tone = value * (0.55 + 0.45 * k / 620) * (1.15 - 0.35 * math.sin(angle) * radius
                                                  - 0.2 * math.cos(angle) * radius)
        leaf = hsv(hue + float(rng.uniform(-0.03, 0.03)), 0.58,
                   min(1.0, tone * float(rng.uniform(0.8, 1.3))))
        if snow > 0.0 and k > 200 and math.sin(angle) < 0.2 and rng.random() < snow * 0.8:
            leaf = shade((238, 241, 245), float(rng.uniform(0.85, 1.0)))
        size = 2 if k < 200 else 1
        cv2.ellipse(art, (round(x * s), round(y * s)),
                    (size * int(rng.integers(2, 5)) * s, size * int(rng.integers(2, 4)) * s),
                    float(rng.uniform(0, 180)), 0, 360, (*leaf, 255), -1, cv2.LINE_AA)
    return _shrunk(art)


def lamp_post(rng: Rng) -> Bytes:
    """Return a street lamp, 0.8 x 4.2 m at 32 pixels a metre."""
    w, h = 26, 134
    art = _blank(w, h)
    s = _SUPER
    iron = shade((60, 66, 70), float(rng.uniform(0.7, 1.3)))
    cv2.rectangle(art, ((w // 2 - 1) * s, 14 * s), ((w // 2 + 1) * s, h * s), (*iron, 255), -1)
    cv2.rectangle(art, ((w // 2 - 3) * s, (h - 22) * s), ((w // 2 + 3) * s, h * s), (*iron, 255),
                  -1)
    cv2.ellipse(art, (w * s // 2, 12 * s), (9 * s, 11 * s), 0, 0, 360, (236, 232, 210, 255), -1)
    cv2.rectangle(art, (4 * s, 1 * s), ((w - 4) * s, 4 * s), (*iron, 255), -1)
    return _shrunk(art)


def plant(rng: Rng) -> Bytes:
    """Return a potted plant, 0.9 x 1.5 m at 64 pixels a metre."""
    w, h = 58, 96
    art = _blank(w, h)
    s = _SUPER
    pot = hsv(float(rng.random()), float(rng.uniform(0.0, 0.6)), float(rng.uniform(0.3, 0.85)))
    hue = float(rng.uniform(0.22, 0.38))
    for _ in range(int(rng.integers(12, 26))):
        angle = float(rng.uniform(-1.1, 1.1))
        length = float(rng.uniform(26, 62))
        tip = (w / 2 + math.sin(angle) * length * 0.5, 68 - math.cos(angle) * length)
        bend = (w / 2 + math.sin(angle) * length * 0.16, 68 - length * 0.6)
        leaf = hsv(hue, 0.6, float(rng.uniform(0.25, 0.6)))
        points = np.array([(w / 2 - 2, 70), bend, tip, (bend[0] + 6, bend[1] + 4)]) * s
        cv2.fillPoly(art, [points.astype(np.int32)], (*leaf, 255), cv2.LINE_AA)
    body = np.array([(14, 68), (w - 14, 68), (w - 18, h), (18, h)]) * s
    cv2.fillPoly(art, [body.astype(np.int32)], (*pot, 255), cv2.LINE_AA)
    cv2.rectangle(art, (12 * s, 66 * s), ((w - 12) * s, 72 * s), (*shade(pot, 0.8), 255), -1)
    return _shrunk(art)


def bin_(rng: Rng) -> Bytes:
    """Return a litter bin, 0.5 x 0.8 m at 64 pixels a metre."""
    w, h = 32, 51
    art = _blank(w, h)
    s = _SUPER
    steel = hsv(float(rng.random()), float(rng.uniform(0.0, 0.7)), float(rng.uniform(0.25, 0.7)))
    cv2.rectangle(art, (3 * s, 6 * s), ((w - 3) * s, h * s), (*steel, 255), -1)
    cv2.ellipse(art, (w * s // 2, 6 * s), (14 * s, 5 * s), 0, 0, 360, (*shade(steel, 0.4), 255),
                -1)
    cv2.rectangle(art, (9 * s, 16 * s), ((w - 9) * s, 30 * s), (*shade(steel, 1.5), 255), -1)
    return _shrunk(art)


def bench(rng: Rng) -> Bytes:
    """Return a bench, 1.8 x 0.9 m at 48 pixels a metre."""
    w, h = 86, 43
    art = _blank(w, h)
    s = _SUPER
    wood = hsv(float(rng.uniform(0.04, 0.1)), 0.55, float(rng.uniform(0.35, 0.65)))
    for y in (2, 9, 22):
        cv2.rectangle(art, (2 * s, y * s), ((w - 2) * s, (y + 5) * s), (*wood, 255), -1)
    for x in (8, w - 12):
        cv2.rectangle(art, (x * s, 2 * s), ((x + 4) * s, h * s), (45, 45, 48, 255), -1)
    return _shrunk(art)


def bicycle(rng: Rng) -> Bytes:
    """Return a parked bicycle, 1.75 x 1.1 m at 56 pixels a metre."""
    w, h = 98, 62
    art = _blank(w, h)
    s = _SUPER
    paint = hsv(float(rng.random()), float(rng.uniform(0.3, 0.9)), float(rng.uniform(0.2, 0.8)))
    left, right, crank, seat, head = (20, 42), (78, 42), (46, 44), (38, 14), (70, 14)
    for hub in (left, right):
        cv2.circle(art, (hub[0] * s, hub[1] * s), 18 * s, (30, 30, 32, 255), 2 * s, cv2.LINE_AA)
        cv2.circle(art, (hub[0] * s, hub[1] * s), 2 * s, (90, 90, 94, 255), -1)
    for a, b in ((left, crank), (left, seat), (crank, seat), (seat, head), (crank, head),
                 (head, right)):
        cv2.line(art, (a[0] * s, a[1] * s), (b[0] * s, b[1] * s), (*paint, 255), round(2.4 * s),
                 cv2.LINE_AA)
    cv2.line(art, (31 * s, 10 * s), (44 * s, 11 * s), (25, 25, 25, 255), 4 * s, cv2.LINE_AA)
    cv2.line(art, (68 * s, 6 * s), (78 * s, 9 * s), (50, 50, 52, 255), 2 * s, cv2.LINE_AA)
    cv2.line(art, (70 * s, 14 * s), (70 * s, 7 * s), (50, 50, 52, 255), 2 * s, cv2.LINE_AA)
    return _shrunk(art)


def column(rng: Rng) -> Bytes:
    """Return a round advertising column, 1.2 x 3 m at 48 pixels a metre."""
    w, h = 58, 144
    art = _blank(w, h)
    s = _SUPER
    cv2.rectangle(art, (2 * s, 10 * s), ((w - 2) * s, h * s), (86, 92, 88, 255), -1)
    for _ in range(6):
        sheet = poster(rng, 0.9, 1.2)
        x, y = int(rng.integers(2, w - 22)), int(rng.integers(14, h - 50))
        wide, high = min(int(rng.integers(18, 32)), w - 3 - x), int(rng.integers(26, 44))
        small = cv2.resize(sheet, (wide * s, high * s), interpolation=cv2.INTER_AREA)
        art[y * s:(y + high) * s, x * s:(x + wide) * s, :3] = small
    cv2.ellipse(art, (w * s // 2, 10 * s), ((w // 2 - 1) * s, 9 * s), 0, 180, 360,
                (66, 84, 76, 255), -1)
    round_ = np.sqrt(1.0 - np.linspace(-0.97, 0.97, w * s, dtype=np.float32) ** 2)
    art[..., :3] = (art[..., :3] * (0.35 + 0.65 * round_)[None, :, None]).astype(np.uint8)
    return _shrunk(art)
