# SPDX-License-Identifier: Apache-2.0
"""Image to network input: the only preprocessing there is, as the card says."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.card import Preprocessing, Resize
from vpr_ros.core.types import Image
from vpr_ros.errors import FrameError
from vpr_ros.nets.smooth_resize import resize_smoothly, SMOOTH

_CV2 = {Resize.AREA: cv2.INTER_AREA, Resize.HALVED_AREA: cv2.INTER_AREA,
        Resize.BILINEAR: cv2.INTER_LINEAR, Resize.BICUBIC: cv2.INTER_CUBIC}


def preprocess(images: Sequence[Image], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Return the images, RGB uint8 of any sizes, as one (B, 3, height, width) float32 batch.

    Raises FrameError for an image that is not (H, W, 3) uint8 with pixels in it.
    """
    size = (preprocessing.height_px, preprocessing.width_px)
    batch = np.empty((len(images), 3, *size), np.float32)
    # (pixel / scale - mean) / std, as one product and one sum
    std = np.array(preprocessing.std, np.float32)
    gain = 1.0 / (preprocessing.scale * std)
    offset = -np.array(preprocessing.mean, np.float32) / std
    for image, out in zip(images, batch, strict=True):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise FrameError(f'an image must be (height, width, 3) uint8 RGB, not '
                             f'{image.shape} {image.dtype}; decode it to RGB first')
        # Plane by plane: faster than through a transposed view of the picture.
        for plane, into, times, plus in zip(_planes(image, size, preprocessing.resize), out, gain,
                                            offset, strict=True):
            np.multiply(plane, times, out=into)
            into += plus
    return batch


def _planes(image: Image, size: tuple[int, int], resize: Resize
            ) -> Sequence[NDArray[np.uint8] | NDArray[np.float32]]:
    """Return the three planes of an image at `size`, uint8 or float32 within 0 to 255."""
    if image.shape[:2] == size:
        return [np.asarray(plane, np.uint8) for plane in cv2.split(image)]
    if resize in SMOOTH:
        return list(resize_smoothly(image, size, resize))
    if resize is Resize.HALVED_AREA:
        image = _halved(image, size)
    resized = cv2.resize(image, size[::-1], interpolation=_CV2[resize])
    return [np.asarray(plane, np.uint8) for plane in cv2.split(resized)]


def _halved(image: Image, size: tuple[int, int]) -> Image:
    """Return the image halved as often as it stays at least `size` and no row or column is left.

    OpenCV averages 2x2 pixels fifteen times faster than it averages areas with fractions.
    """
    while all(have % 2 == 0 and have >= 2 * want
              for have, want in zip(image.shape[:2], size, strict=True)):
        height, width = image.shape[:2]
        image = np.asarray(cv2.resize(image, (width // 2, height // 2),
                                      interpolation=cv2.INTER_AREA), np.uint8)
    return image
