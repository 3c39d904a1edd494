# SPDX-License-Identifier: Apache-2.0
"""Materials: tileable-enough patterns from noise and rules, as (H, W, 3) uint8 RGB."""

from __future__ import annotations

from collections.abc import Callable
import colorsys

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats32 = NDArray[np.float32]
Color = tuple[int, int, int]
Rng = np.random.Generator


def hsv(hue: float, saturation: float, value: float) -> Color:
    """Return an RGB color; hue in turns, the others in [0, 1]."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def shade(color: Color, gain: float) -> Color:
    """Return `color` lighter or darker."""
    red, green, blue = (min(255, max(0, round(c * gain))) for c in color)
    return red, green, blue


def noise(rng: Rng, height: int, width: int, cell_px: float, octaves: int = 3) -> Floats32:
    """Return smooth noise in about [-1, 1] whose largest features are `cell_px` wide."""
    total = np.zeros((height, width), np.float32)
    weight, weights = 1.0, 0.0
    for _ in range(octaves):
        rows, columns = (max(2, round(n / cell_px) + 1) for n in (height, width))
        coarse = rng.uniform(-1.0, 1.0, (rows, columns)).astype(np.float32)
        total += weight * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        weights += weight
        weight, cell_px = weight * 0.6, max(1.0, cell_px / 2.2)
    return total / np.float32(weights)


def tinted(gray: Floats32, color: Color) -> Bytes:
    """Return `color` brightened and darkened by `gray` (0 leaves it, -1 is black)."""
    picture = np.array(color, np.float32) * (1.0 + gray[..., None])
    return np.clip(picture, 0, 255).astype(np.uint8)


def plaster(rng: Rng, height: int, width: int, color: Color, ppm: float) -> Bytes:
    """Return paint on plaster: faint stains, fine grain."""
    gray = 0.05 * noise(rng, height, width, 1.6 * ppm) + 0.03 * noise(rng, height, width, 3.0, 1)
    return tinted(gray, color)


def concrete(rng: Rng, height: int, width: int, color: Color, ppm: float) -> Bytes:
    """Return cast panels with joints and tie holes."""
    gray = 0.12 * noise(rng, height, width, 0.9 * ppm, 4) + 0.04 * noise(rng, height, width, 2, 1)
    step = max(4, round(1.2 * ppm))
    for x in range(0, width, step):
        gray[:, x:x + 2] -= 0.22
        for y in range(step // 4, height, step // 2):
            cv2.circle(gray, (x + step // 4, y), max(1, round(0.03 * ppm)), -0.35, -1)
    gray[::step] -= 0.22
    return tinted(gray, color)


def brick(rng: Rng, height: int, width: int, color: Color, ppm: float) -> Bytes:
    """Return a running bond with mortar; each brick has a shade of its own."""
    tall, wide = max(3, round(0.085 * ppm)), max(6, round(0.26 * ppm))
    rows, columns = height // tall + 1, width // wide + 2
    tone = rng.uniform(-0.22, 0.18, (rows, columns)).astype(np.float32)
    y, x = np.mgrid[0:height, 0:width]
    row = y // tall
    shifted = x + (row % 2) * (wide // 2)
    gray = tone[row, shifted // wide] + 0.06 * noise(rng, height, width, 4, 2)
    mortar = (y % tall == 0) | (shifted % wide == 0)
    picture = tinted(gray, color)
    picture[mortar] = shade((190, 184, 172), 0.85)
    return picture


def tiles(rng: Rng, height: int, width: int, color: Color, ppm: float,
          side_m: float = 0.3) -> Bytes:
    """Return square tiles with pale joints."""
    side = max(4, round(side_m * ppm))
    tone = rng.uniform(-0.07, 0.07, (height // side + 1, width // side + 1)).astype(np.float32)
    y, x = np.mgrid[0:height, 0:width]
    gray = tone[y // side, x // side] + 0.02 * noise(rng, height, width, 3, 1)
    gray[(y % side == 0) | (x % side == 0)] -= 0.2
    return tinted(gray, color)


def planks(rng: Rng, height: int, width: int, color: Color, ppm: float,
           plank_m: float = 0.16) -> Bytes:
    """Return upright wooden boards with grain."""
    wide = max(4, round(plank_m * ppm))
    count = width // wide + 1
    grain = noise(rng, max(2, height // 12), width, 3.0, 2)
    gray = 0.16 * cv2.resize(grain, (width, height), interpolation=cv2.INTER_LINEAR)
    x = np.arange(width)
    gray += rng.uniform(-0.12, 0.12, count).astype(np.float32)[x // wide]
    gray[:, x % wide == 0] -= 0.3
    return tinted(gray, color)


def stripes(rng: Rng, height: int, width: int, color: Color, ppm: float) -> Bytes:
    """Return wallpaper: broad upright stripes in two shades."""
    period = max(6, round(float(rng.uniform(0.15, 0.6)) * ppm))
    x = np.arange(width)
    gray = np.where(x % period < period // 2, 0.0, -0.14).astype(np.float32)[None, :]
    return tinted(gray + 0.03 * noise(rng, height, width, 3, 1), color)


def marble(rng: Rng, height: int, width: int, color: Color, ppm: float) -> Bytes:
    """Return polished slabs with veins."""
    field = noise(rng, height, width, 0.8 * ppm, 5)
    veins = np.exp(-np.abs(np.sin(9.0 * field)) * 9.0)
    gray = 0.08 * noise(rng, height, width, 0.4 * ppm) - 0.3 * veins
    slab = max(8, round(0.9 * ppm))
    gray[:, ::slab] -= 0.15
    return tinted(gray.astype(np.float32), color)


Material = Callable[[Rng, int, int, Color, float], Bytes]
MATERIALS: tuple[Material, ...] = (plaster, concrete, brick, tiles, planks, stripes, marble)


def detail_tiles(rng: Rng) -> tuple[Bytes, ...]:
    """Return five grey 256x256 floor details around 128, each 2.4 m wide.

    Tiles, terrazzo, carpet, asphalt, paving slabs.
    """
    square = np.full((256, 256), 128.0, np.float32)
    square += np.repeat(np.repeat(rng.uniform(-9, 9, (4, 4)), 64, 0), 64, 1).astype(np.float32)
    square[::64] -= 26
    square[:, ::64] -= 26
    chips = np.full((256, 256), 128.0, np.float32)
    for _ in range(900):
        spot = tuple(int(v) for v in rng.integers(0, 256, 2))
        cv2.circle(chips, spot, int(rng.integers(1, 4)), float(rng.uniform(80, 176)), -1)
    carpet = 128 + 14 * rng.standard_normal((256, 256)).astype(np.float32)
    carpet[:, ::32] -= 10
    gravel = cv2.GaussianBlur(rng.standard_normal((256, 256)).astype(np.float32), (0, 0), 0.8)
    slabs: Floats32 = (128 + 9 * gravel).astype(np.float32)
    for row, y in enumerate(range(0, 256, 64)):
        for x in range(0, 256, 128):
            left = (x + 64 * (row % 2)) % 256
            slabs[y:y + 64, left:left + 128] += np.float32(rng.uniform(-16, 16))
            slabs[y:y + 64, left:left + 2] -= 55
        slabs[y:y + 2] -= 55
    layers = (square + 3 * rng.standard_normal((256, 256)), chips, carpet, 128 + 22 * gravel,
              slabs)
    return tuple(np.clip(layer, 1, 255).astype(np.uint8) for layer in layers)
