# SPDX-License-Identifier: Apache-2.0
"""What hangs on walls: doors, plates, posters, windows and the rest, painted flat.

Each painter returns (H, W, 3) uint8 RGB at `PPM` pixels a metre.
"""

from __future__ import annotations

import cv2
import numpy as np

from vpr_ros.datasets.world_textures import Bytes, Color, hsv, noise, planks, Rng, shade, tinted

PPM = 64
_FONTS = (cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_SIMPLEX)
_WORDS = ('OPEN', 'NEWS', 'LAB', 'ART', 'CAFE', 'TALK', 'JAZZ', 'EXPO', 'SAFE', 'RUN', 'SALE',
          'PLAN', 'MAP', 'ZOO', 'FILM', 'CITY', 'MOON', 'TEA', 'BIKE', 'ROBOT')


def canvas(width_m: float, height_m: float, color: Color, ppm: float = PPM) -> Bytes:
    """Return a plain board of that size."""
    return np.full((max(2, round(height_m * ppm)), max(2, round(width_m * ppm)), 3), color,
                   np.uint8)


def framed(picture: Bytes, color: Color, px: int = 2) -> Bytes:
    """Return the picture with its edge painted as a frame, dark below and right."""
    h, w = picture.shape[:2]
    cv2.rectangle(picture, (0, 0), (w - 1, h - 1), color, px)
    cv2.line(picture, (0, h - 1), (w - 1, h - 1), shade(color, 0.6), 1)
    return picture


def write(picture: Bytes, text: str, color: Color, box: tuple[int, int, int, int],
          font: int = cv2.FONT_HERSHEY_DUPLEX) -> None:
    """Write `text` centered into the box `x y w h`, as large as fits."""
    x, y, w, h = box
    (tw, th), _ = cv2.getTextSize(text, font, 1.0, 1)
    scale = min(w / max(tw, 1), h / max(th, 1)) * 0.92
    width, height = round(tw * scale), round(th * scale)
    cv2.putText(picture, text, (x + (w - width) // 2, y + (h + height) // 2), font, scale, color,
                max(1, round(scale * 1.6)), cv2.LINE_AA)


def door(rng: Rng, color: Color, style: int, width_m: float = 1.0,
         height_m: float = 2.1) -> Bytes:
    """Paint a door leaf in its frame; `style` picks flush, panelled, glazed or double."""
    leaf = canvas(width_m, height_m, color)
    h, w = leaf.shape[:2]
    if style % 4 == 1:
        leaf = planks(rng, h, w, color, PPM, plank_m=0.25)
    grain = 0.03 * noise(rng, h, w, 5, 1)
    leaf = tinted(grain, color) if style % 4 != 1 else leaf
    dark, light = shade(color, 0.72), shade(color, 1.2)
    if style % 4 == 0:
        cv2.rectangle(leaf, (w // 2 - 8, h // 5), (w // 2 + 8, h // 2), (165, 190, 200), -1)
        cv2.rectangle(leaf, (w // 2 - 8, h // 5), (w // 2 + 8, h // 2), dark, 1)
    elif style % 4 == 2:
        cv2.rectangle(leaf, (9, 9), (w - 10, h - 40), (150, 180, 192), -1)
        cv2.line(leaf, (12, h // 2), (w - 14, 14), (190, 214, 222), 3, cv2.LINE_AA)
        cv2.rectangle(leaf, (9, 9), (w - 10, h - 40), dark, 2)
    elif style % 4 == 3:
        for y0, y1 in ((0.08, 0.42), (0.52, 0.92)):
            a, b = (10, round(h * y0)), (w - 11, round(h * y1))
            cv2.rectangle(leaf, a, b, dark, 2)
            cv2.rectangle(leaf, (a[0] + 2, a[1] + 2), (b[0] - 2, b[1] - 2), light, 1)
    cv2.rectangle(leaf, (3, h - 18), (w - 4, h - 3), (150, 150, 152), -1)     # kick plate
    cv2.line(leaf, (w - 16, h // 2 + 2), (w - 8, h // 2 + 2), (215, 215, 215), 3)  # handle
    return framed(leaf, shade(color, 0.5), 2)


def plate(text: str, color: Color) -> Bytes:
    """Paint a room's number, to go beside its door."""
    board = canvas(0.44, 0.26, (238, 238, 232))
    h, w = board.shape[:2]
    cv2.rectangle(board, (0, 0), (w, 4), color, -1)
    write(board, text, (25, 25, 30), (2, 4, w - 4, h - 5))
    return framed(board, (110, 110, 110), 1)


def poster(rng: Rng, width_m: float = 0.0, height_m: float = 0.0) -> Bytes:
    """Paint a printed sheet: blocks, discs, stripes or a picture, and a word."""
    width_m = width_m or float(rng.choice([0.6, 0.7, 0.9, 1.2]))
    height_m = height_m or float(rng.choice([0.85, 1.0, 0.7]))
    hue = float(rng.random())
    back = hsv(hue, float(rng.uniform(0.05, 0.8)), float(rng.uniform(0.45, 1.0)))
    sheet = canvas(width_m, height_m, back)
    h, w = sheet.shape[:2]
    ink = [hsv(hue + float(rng.uniform(0.2, 0.8)), float(rng.uniform(0.3, 1.0)),
               float(rng.uniform(0.15, 1.0))) for _ in range(3)]
    kind = int(rng.integers(6))
    if kind == 0:
        for _ in range(int(rng.integers(3, 9))):
            x, y = (int(rng.integers(0, n)) for n in (w, h))
            cv2.circle(sheet, (x, y), int(rng.integers(3, 16)), ink[int(rng.integers(3))], -1,
                       cv2.LINE_AA)
    elif kind == 1:
        step = int(rng.integers(4, 11))
        for x in range(-h, w, 2 * step):
            cv2.line(sheet, (x, h), (x + h, 0), ink[0], step, cv2.LINE_AA)
    elif kind == 2:
        for _ in range(int(rng.integers(2, 6))):
            x, y, a, b = (int(rng.integers(0, n)) for n in (w, h, w, h))
            cv2.rectangle(sheet, (x, y), (a, b), ink[int(rng.integers(3))], -1)
    elif kind == 3:  # a landscape
        ridge = noise(rng, 1, w, w / 3, 3)[0]
        for x in range(w):
            cv2.line(sheet, (x, h), (x, round(h * (0.55 + 0.3 * float(ridge[x])))), ink[0], 1)
        cv2.circle(sheet, (int(rng.integers(w)), h // 4), w // 8, ink[1], -1, cv2.LINE_AA)
    elif kind == 4:  # text with a figure
        for y in range(h // 3, h - 6, 5):
            cv2.line(sheet, (5, y), (int(rng.integers(w // 2, w - 4)), y), ink[0], 1)
        cv2.rectangle(sheet, (w // 2, h // 2), (w - 6, h - 12), ink[1], -1)
    else:
        center = (w // 2, round(h * 0.55))
        for radius in range(min(h, w) // 2, 2, -6):
            cv2.circle(sheet, center, radius, ink[(radius // 6) % 3], -1, cv2.LINE_AA)
    if rng.random() < 0.7:
        band = shade(back, 0.35 if sum(back) > 380 else 1.8)
        cv2.rectangle(sheet, (0, 0), (w, h // 4), band, -1)
        write(sheet, str(rng.choice(_WORDS)), back, (3, 2, w - 6, h // 4 - 4),
              int(rng.choice(_FONTS)))
    return framed(sheet, (240, 240, 240) if rng.random() < 0.5 else (40, 40, 42), 1)


def board(rng: Rng) -> Bytes:
    """Paint a cork board with notes."""
    back = canvas(1.5, 1.0, (176, 132, 86))
    h, w = back.shape[:2]
    back = tinted(0.08 * noise(rng, h, w, 3, 1), (176, 132, 86))
    for _ in range(int(rng.integers(5, 14))):
        x, y = int(rng.integers(4, w - 20)), int(rng.integers(4, h - 16))
        color = hsv(float(rng.random()), float(rng.uniform(0.0, 0.5)), 0.95)
        size = (int(rng.integers(9, 20)), int(rng.integers(8, 18)))
        cv2.rectangle(back, (x, y), (x + size[0], y + size[1]), color, -1)
        for line in range(y + 3, y + size[1] - 1, 3):
            cv2.line(back, (x + 2, line), (x + size[0] - 3, line), shade(color, 0.6), 1)
    return framed(back, (120, 84, 50), 2)


def whiteboard(rng: Rng) -> Bytes:
    """Paint a whiteboard with scribbles."""
    back = canvas(1.6, 1.0, (240, 242, 243))
    h, w = back.shape[:2]
    for _ in range(int(rng.integers(2, 6))):
        color = ((30, 60, 160), (170, 40, 40), (20, 110, 60), (40, 40, 40))[int(rng.integers(4))]
        x, y = int(rng.integers(8, w // 2)), int(rng.integers(8, h - 12))
        points = np.cumsum(rng.integers(-5, 8, (9, 2)), axis=0) + (x, y)
        cv2.polylines(back, [points.astype(np.int32)], False, color, 1, cv2.LINE_AA)
    return framed(back, (150, 152, 156), 2)


def extinguisher() -> Bytes:
    """Paint a red bottle under its sign."""
    back = canvas(0.3, 1.0, (225, 225, 220))
    cv2.rectangle(back, (3, 1), (16, 14), (200, 30, 30), -1)
    cv2.rectangle(back, (5, 30), (14, 62), (190, 22, 22), -1)
    cv2.rectangle(back, (7, 24), (12, 30), (40, 40, 40), -1)
    cv2.line(back, (6, 32), (6, 58), (235, 100, 90), 1)
    return back


def exit_sign(rng: Rng) -> Bytes:
    """Paint a lit green sign with a running figure and an arrow."""
    back = canvas(0.6, 0.28, (20, 140, 70))
    h, w = back.shape[:2]
    cv2.circle(back, (10, 4), 2, (235, 255, 240), -1)
    cv2.line(back, (10, 6), (8, 11), (235, 255, 240), 2)
    cv2.line(back, (8, 11), (13, 15), (235, 255, 240), 1)
    left = bool(rng.integers(2))
    cv2.arrowedLine(back, (w - 6 if left else 18, h // 2), (18 if left else w - 6, h // 2),
                    (235, 255, 240), 2, tipLength=0.5)
    return back


def clock() -> Bytes:
    """Paint a wall clock on a square of paint."""
    back = canvas(0.4, 0.4, (238, 238, 238))
    cv2.circle(back, (12, 12), 11, (30, 30, 30), 2, cv2.LINE_AA)
    cv2.line(back, (12, 12), (12, 5), (20, 20, 20), 1)
    cv2.line(back, (12, 12), (17, 14), (20, 20, 20), 1)
    return back


def lockers(rng: Rng, width_m: float, color: Color) -> Bytes:
    """Paint a row of steel lockers."""
    back = canvas(width_m, 1.9, color)
    h, w = back.shape[:2]
    step = round(0.4 * PPM)
    for x in range(0, w, step):
        gain = float(rng.uniform(0.92, 1.06))
        cv2.rectangle(back, (x, 0), (x + step - 1, h - 5), shade(color, gain), -1)
        cv2.rectangle(back, (x, 0), (x + step - 1, h - 5), shade(color, 0.55), 1)
        for y in (8, 12, 16):
            cv2.line(back, (x + 7, y), (x + step - 8, y), shade(color, 0.6), 1)
        cv2.rectangle(back, (x + step - 7, h // 2), (x + step - 5, h // 2 + 6), (30, 30, 30), -1)
    return back


def vending(rng: Rng) -> Bytes:
    """Paint a vending machine front with rows of cans."""
    color = hsv(float(rng.random()), 0.75, 0.6)
    back = canvas(1.0, 1.9, color)
    h, w = back.shape[:2]
    cv2.rectangle(back, (5, 8), (w - 20, h - 34), (225, 232, 238), -1)
    for y in range(14, h - 44, 15):
        for x in range(8, w - 26, 7):
            can = hsv(float(rng.random()), 0.8, 0.8)
            cv2.rectangle(back, (x, y), (x + 4, y + 9), can, -1)
    cv2.rectangle(back, (w - 15, h // 3), (w - 5, h // 2), (30, 30, 34), -1)
    cv2.rectangle(back, (8, h - 24), (w - 24, h - 12), (25, 25, 28), -1)
    return framed(back, shade(color, 0.5), 1)


def sofa(color: Color) -> Bytes:
    """Paint a sofa, seen from the front."""
    back = canvas(1.8, 0.8, shade(color, 0.75))
    h, w = back.shape[:2]
    for x in (0.08, 0.37, 0.66):
        a, b = round(w * x), round(w * (x + 0.27))
        cv2.rectangle(back, (a, 2), (b, h // 2), color, -1)
        cv2.rectangle(back, (a, h // 2 + 1), (b, round(h * 0.8)), shade(color, 1.15), -1)
        cv2.rectangle(back, (a, 2), (b, h // 2), shade(color, 0.6), 1)
    cv2.rectangle(back, (0, round(h * 0.88)), (w, h), (35, 30, 28), -1)
    return back


def window(rng: Rng, width_m: float, height_m: float, frame: Color, panes: int = 2) -> Bytes:
    """Paint a window on the outside, to be lit by the day: sky, far houses, tree tops, a sill."""
    view = canvas(width_m, height_m, (205, 222, 238))
    h, w = view.shape[:2]
    ramp = np.linspace(0.86, 1.1, h, dtype=np.float32)[:, None, None]
    view = np.clip(view * ramp * (1.0 + 0.06 * noise(rng, h, w, 20)[..., None]), 0, 255).astype(
        np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        x, top = int(rng.integers(-10, w)), int(rng.integers(h // 4, h * 2 // 3))
        wide = int(rng.integers(14, 44))
        wall = hsv(float(rng.uniform(0.0, 0.15)), 0.2, float(rng.uniform(0.5, 0.8)))
        cv2.rectangle(view, (x, top), (x + wide, h), wall, -1)
        for wy in range(top + 4, h, 7):
            for wx in range(x + 3, x + wide - 2, 6):
                cv2.rectangle(view, (wx, wy), (wx + 2, wy + 3), shade(wall, 0.6), -1)
    for _ in range(int(rng.integers(8, 30))):
        spot = (int(rng.integers(0, w)), int(rng.integers(h * 3 // 5, h)))
        cv2.circle(view, spot, int(rng.integers(3, 9)),
                   hsv(float(rng.uniform(0.2, 0.32)), 0.5, float(rng.uniform(0.25, 0.55))), -1,
                   cv2.LINE_AA)
    view = np.asarray(cv2.GaussianBlur(view, (0, 0), 0.8), np.uint8)  # it is far away
    for i in range(1, panes):
        cv2.line(view, (w * i // panes, 0), (w * i // panes, h), frame, 3)
    framed(view, frame, 3)
    cv2.rectangle(view, (0, h - 5), (w, h), shade(frame, 0.85), -1)
    return view
