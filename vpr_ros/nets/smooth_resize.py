# SPDX-License-Identifier: Apache-2.0
"""Resizing as PIL does it, which public networks were trained with and OpenCV does not have."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.card import Resize
from vpr_ros.core.types import Image

Floats = NDArray[np.float32]


def _triangle(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(1.0 - np.abs(x), 0.0)


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' cubic convolution, a = -0.5."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


_KERNELS: dict[Resize, tuple[Callable[[NDArray[np.float64]], NDArray[np.float64]], float]] = {
    Resize.SMOOTH_BILINEAR: (_triangle, 1.0), Resize.SMOOTH_BICUBIC: (_cubic, 2.0)}  # its radius
SMOOTH = frozenset(_KERNELS)


def resize_smoothly(image: Image, size: tuple[int, int], resize: Resize) -> Floats:
    """Return `image`, (H, W, 3), as its planes at `size`, (3, height, width), within 0 to 255.

    The kernel grows by the factor by which the image shrinks.  Equal to PIL's and to torchvision's
    with antialias=True but for their rounding to whole levels.
    """
    tall, wide = _sums(image.shape[0], size[0], resize), _sums(image.shape[1], size[1], resize)
    out = np.empty((3, *size), np.float32)
    for plane, into in zip(cv2.split(image), out, strict=True):
        # Each pass sums whole rows, so the picture lies on its side for the first.
        narrow = wide @ cv2.transpose(plane).astype(np.float32)
        np.clip(tall @ cv2.transpose(narrow), 0.0, 255.0, out=into)
    return out


@lru_cache(maxsize=32)
def _sums(n_in: int, n_out: int, resize: Resize) -> Any:
    """Return which inputs each output sums and their shares, as a sparse (n_out, n_in) matrix."""
    from scipy.sparse import csr_array  # takes a while, and most cards resize otherwise
    kernel, radius = _KERNELS[resize]
    scale = max(n_in / n_out, 1.0)
    center = (np.arange(n_out)[:, None] + 0.5) * (n_in / n_out)
    first = np.floor(center - radius * scale + 0.5).astype(int)
    source = first + np.arange(int(np.ceil(2.0 * radius * scale)) + 1)
    shares = kernel((source + 0.5 - center) / scale)
    shares = np.where((source >= 0) & (source < n_in), shares, 0.0)
    row, tap = (each.astype(np.int32) for each in np.nonzero(shares))
    return csr_array(((shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)[row, tap],
                      (row, source[row, tap].astype(np.int32))), shape=(n_out, n_in))
