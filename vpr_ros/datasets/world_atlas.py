# SPDX-License-Identifier: Apache-2.0
"""All walls of a world in one picture, kept at several sizes so that far walls do not flicker.

A wall seen at a slant shrinks along its length much more than in height, so every level halves
width and height apart ("ripmaps"): level (i, j) is 2^i narrower and 2^j lower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.datasets.world_textures import Bytes

LEVELS_X, LEVELS_Y = 6, 4
_WIDTH_PX = 4096
_GAP_PX = 8  # edge pixels repeated around a strip, so that small levels mix no neighbors


@dataclass(frozen=True)
class Packing:
    """Where each strip lies: left edge and bottom edge in pixels, and the canvas's size."""

    left_px: NDArray[np.int32]
    bottom_px: NDArray[np.int32]
    height_px: int
    width_px: int


def pack(sizes: Sequence[tuple[int, int]]) -> Packing:
    """Place strips of (height, width) on shelves, the tall ones first."""
    left = np.zeros(len(sizes), np.int32)
    bottom = np.zeros(len(sizes), np.int32)
    width = max(_WIDTH_PX, max(w for _, w in sizes) + 2 * _GAP_PX)
    x, top, shelf = 0, 0, 0
    for i in sorted(range(len(sizes)), key=lambda k: (-sizes[k][0], -sizes[k][1])):
        h, w = sizes[i]
        if x + w + 2 * _GAP_PX > width:
            x, top, shelf = 0, top + shelf, 0
        shelf = max(shelf, h + 2 * _GAP_PX)
        left[i], bottom[i] = x + _GAP_PX, top + _GAP_PX + h
        x += w + 2 * _GAP_PX
    height = top + shelf
    return Packing(left, bottom, int(-(-height // 8) * 8), int(-(-width // 32) * 32))


def ripmaps(packing: Packing, strips: Sequence[Bytes]) -> dict[tuple[int, int], Bytes]:
    """Return the canvas of all strips at every level with i >= j."""
    canvas = np.zeros((packing.height_px, packing.width_px, 3), np.uint8)
    for strip, left, bottom in zip(strips, packing.left_px, packing.bottom_px, strict=True):
        h, w = strip.shape[:2]
        padded = cv2.copyMakeBorder(strip, _GAP_PX, _GAP_PX, _GAP_PX, _GAP_PX,
                                    cv2.BORDER_REPLICATE)
        canvas[bottom - h - _GAP_PX:bottom + _GAP_PX, left - _GAP_PX:left + w + _GAP_PX] = padded
    levels: dict[tuple[int, int], Bytes] = {}
    for j in range(LEVELS_Y):
        for i in range(j, LEVELS_X):
            if (i, j) == (0, 0):
                levels[i, j] = canvas
                continue
            source = levels[(i - 1, j - 1) if i == j else (i - 1, j)]
            size = (source.shape[1] // 2, source.shape[0] // (2 if i == j else 1))
            levels[i, j] = np.asarray(cv2.resize(source, size, interpolation=cv2.INTER_AREA),
                                      np.uint8)
    return levels
