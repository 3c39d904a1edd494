# SPDX-License-Identifier: Apache-2.0
"""Resizing as PIL does it, which public networks were trained with and OpenCV does not have."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.card import Resize
from vpr_ros.core.types import Image

Floats = NDArray[np.float32]


def _triangle(x: Floats) -> Floats:
    return np.maximum(1.0 - np.abs(x), 0.0)


def _cubic(x: Floats) -> Floats:
    """Keys' cubic convolution, a = -0.5."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0)).astype(x.dtype)


SMOOTH: dict[Resize, tuple[Callable[[Floats], Floats], float]] = {  # kernel, its radius
    Resize.SMOOTH_BILINEAR: (_triangle, 1.0), Resize.SMOOTH_BICUBIC: (_cubic, 2.0)}


def resize_smoothly(image: Image, size: tuple[int, int], resize: Resize) -> Floats:
    """Return `image`, (H, W, 3), at `size` (height, width) as float32 within 0 to 255.

    The kernel grows by the factor by which the image shrinks.  Equal to PIL's and to torchvision's
    with antialias=True but for their rounding to whole levels.
    """
    tall = _along_rows(image, size[0], resize)
    wide = _along_rows(tall.transpose(1, 0, 2), size[1], resize)
    return np.clip(wide.transpose(1, 0, 2), 0.0, 255.0)


def _along_rows(image: NDArray[np.uint8] | Floats, length: int, resize: Resize) -> Floats:
    """(N, M, 3) -> (length, M, 3)."""
    source, weights = _taps(image.shape[0], length, resize)
    out = np.zeros((length, *image.shape[1:]), np.float32)
    for rows, share in zip(source, weights, strict=True):
        out += image[rows] * share[:, None, None]
    return out


@lru_cache(maxsize=32)
def _taps(n_in: int, n_out: int, resize: Resize) -> tuple[NDArray[np.intp], Floats]:
    """Return which inputs each output sums, (taps, n_out), and their shares, alike."""
    kernel, radius = SMOOTH[resize]
    scale = max(n_in / n_out, 1.0)
    center = (np.arange(n_out) + 0.5) * (n_in / n_out)
    first = np.floor(center - radius * scale + 0.5).astype(int)
    source = first + np.arange(int(np.ceil(2.0 * radius * scale)) + 1)[:, None]
    shares = kernel(((source + 0.5 - center) / scale).astype(np.float64))
    shares = np.where((source >= 0) & (source < n_in), shares, 0.0)
    return (np.clip(source, 0, n_in - 1),
            (shares / shares.sum(axis=0)).astype(np.float32))
