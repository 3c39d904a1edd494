# SPDX-License-Identifier: Apache-2.0
"""Many views out of few images: what lets a student learn a teacher from 200 pictures.

Compare Asano & Saeed, Extrapolating from a single image to a thousand classes using
distillation, ICLR 2023 (crops and warps of one image suffice), and Baradad et al., Learning to
see by looking at noise, NeurIPS 2021 (dead leaves).  Here leaves are cut from the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from vpr_ros.core.types import Image

# How a view begins: a warped crop, a patchwork of crops, or leaves that hide one another.
KINDS, SHARES = ('crop', 'patchwork', 'leaves'), (0.5, 0.3, 0.2)


def make_view(images: Sequence[Image], size_px: int, rng: np.random.Generator) -> Image:
    """Return a view, (size_px, size_px, 3) uint8; the same state of rng gives the same view."""
    kind = rng.choice(KINDS, p=SHARES)
    if kind == 'crop':
        view = _crop(images, size_px, size_px, rng)
    elif kind == 'patchwork':
        view = _patchwork(images, size_px, size_px, int(rng.integers(1, 4)), rng)
    else:
        view = _leaves(images, size_px, rng)
    return _degrade(_recolor(view, rng, 1.0), rng)


def _crop(images: Sequence[Image], height: int, width: int, rng: np.random.Generator) -> Image:
    """Return a random part of a random image: 4 % to all of it, stretched, warped, mirrored."""
    image = images[int(rng.integers(len(images)))]
    rows, cols = image.shape[:2]
    area, stretch = np.exp(rng.uniform(np.log(0.04), 0.0)), np.exp(rng.uniform(-0.7, 1.0))
    side = np.sqrt(area * rows * cols)
    h = int(np.clip(side / np.sqrt(stretch), 16, rows))
    w = int(np.clip(side * np.sqrt(stretch), 16, cols))
    y, x = int(rng.integers(rows - h + 1)), int(rng.integers(cols - w + 1))
    shrinks = h > height and w > width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    part = _bytes(cv2.resize(image[y:y + h, x:x + w], (width, height), interpolation=how))
    if rng.random() < 0.5:
        part = part[:, ::-1]
    if rng.random() < 0.4:
        part = _warp(part, rng)
    return np.ascontiguousarray(part)


def _warp(image: Image, rng: np.random.Generator) -> Image:
    """Return the image under a random homography, its border mirrored."""
    height, width = image.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    angle = rng.normal(0.0, 0.25)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = corners.mean(axis=0)
    moved = (corners - middle) @ turn.T * rng.uniform(0.8, 1.3) + middle
    moved += rng.uniform(-0.15, 0.15, (4, 2)) * (width, height)
    homography = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    return _bytes(cv2.warpPerspective(image, homography, (width, height),
                                      borderMode=cv2.BORDER_REFLECT_101))


def _patchwork(images: Sequence[Image], height: int, width: int, depth: int,
               rng: np.random.Generator) -> Image:
    """Return crops side by side, the canvas split `depth` times over (CutMix, Yun et al. 2019)."""
    if depth == 0 or min(height, width) < 32:
        return _recolor(_crop(images, height, width, rng), rng, 0.5)
    canvas = np.empty((height, width, 3), np.uint8)
    if rng.random() < 0.5:
        at = int(height * rng.uniform(0.25, 0.75))
        canvas[:at] = _patchwork(images, at, width, depth - 1, rng)
        canvas[at:] = _patchwork(images, height - at, width, depth - 1, rng)
    else:
        at = int(width * rng.uniform(0.25, 0.75))
        canvas[:, :at] = _patchwork(images, height, at, depth - 1, rng)
        canvas[:, at:] = _patchwork(images, height, width - at, depth - 1, rng)
    return canvas


def _leaves(images: Sequence[Image], size: int, rng: np.random.Generator) -> Image:
    """Return shapes of all sizes before one another, plain, shaded or filled with a crop."""
    canvas = _crop(images, size, size, rng) if rng.random() < 0.5 else _shade(size, size, rng)
    for _ in range(int(rng.integers(4, 25))):
        radius = size * 0.6 * rng.random() ** 2 + 4.0
        middle = rng.uniform(0, size, 2)
        if rng.random() < 0.3:
            angles = np.linspace(0, 2 * np.pi, 16)
        else:
            angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
        squeeze = rng.uniform(0.2, 1.0)
        outline = np.stack([np.cos(angles), squeeze * np.sin(angles)], axis=1) * radius
        turn = rng.uniform(0, np.pi)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        points = (outline @ rotation.T + middle).astype(np.int32)
        x, y, w, h = cv2.boundingRect(points)
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, size), min(y + h, size)
        if x1 - x0 < 4 or y1 - y0 < 4:
            continue
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillPoly(mask, [points - (x0, y0)], 255)
        fill = (_shade(y1 - y0, x1 - x0, rng) if rng.random() < 0.4 else
                _recolor(_crop(images, y1 - y0, x1 - x0, rng), rng, 0.7))
        cv2.copyTo(fill, mask, canvas[y0:y1, x0:x1])
    return canvas


def _shade(height: int, width: int, rng: np.random.Generator) -> Image:
    """Return a smooth change between four random colours, one for each corner."""
    corners = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
    if rng.random() < 0.5:
        corners = np.broadcast_to(corners[:1, :1], (2, 2, 3)).copy()
    return _bytes(cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR))


def _recolor(image: Image, rng: np.random.Generator, share: float) -> Image:
    """Return the image (in a `share` of cases) with other colours, light and contrast."""
    if rng.random() > share:
        return image
    if rng.random() < 0.5:  # mix the channels; 0.15: to grey
        mixing = np.eye(3) if rng.random() < 0.7 else np.eye(3)[rng.permutation(3)]
        mixing = mixing + rng.normal(0.0, 0.15, (3, 3))
        if rng.random() < 0.2:
            mixing = np.tile(rng.dirichlet((2.0, 4.0, 1.0)), (3, 1))
        mixing /= np.maximum(mixing.sum(axis=1, keepdims=True), 0.3)
        image = _bytes(cv2.transform(image, mixing))
    level = np.linspace(0.0, 1.0, 256)[:, None] ** np.exp(rng.normal(0.0, 0.3))
    gain = rng.uniform(0.6, 1.4) * np.exp(rng.normal(0.0, 0.08, 3))
    curve = (level - 0.5) * gain + 0.5 + rng.normal(0.0, 0.12)
    if rng.random() < 0.03:
        curve = 1.0 - curve
    table = (np.clip(curve, 0.0, 1.0) * 255).astype(np.uint8)
    return _bytes(cv2.LUT(image, table[None]))


def _degrade(image: Image, rng: np.random.Generator) -> Image:
    """Return the image with, sometimes, a shadow or a light, blur, noise and JPEG blocks."""
    size = image.shape[0]
    if rng.random() < 0.2:
        light = np.full((8, 8), 1.0, np.float32)
        light[:, :int(rng.integers(1, 8))] *= rng.uniform(0.4, 1.3)
        light[int(rng.integers(1, 8)):] *= rng.uniform(0.4, 1.3)
        scale = cv2.resize(light, (size, size), interpolation=cv2.INTER_CUBIC)
        image = np.clip(image * scale[..., None], 0, 255).astype(np.uint8)
    if rng.random() < 0.15:
        image = _bytes(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.8)))
    if rng.random() < 0.2:
        noise = rng.standard_normal((size, size, 3), np.float32) * rng.uniform(2.0, 14.0)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.15:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 80))]
        encoded = cv2.imencode('.jpg', image, quality)[1]
        image = _bytes(cv2.imdecode(encoded, cv2.IMREAD_COLOR))
    return image


def _bytes(picture: Any) -> Image:
    """Return what OpenCV gave, which keeps the type of its input, as the uint8 image it is."""
    return np.asarray(picture, np.uint8)
