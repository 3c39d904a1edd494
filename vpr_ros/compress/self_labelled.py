# SPDX-License-Identifier: Apache-2.0
"""A labelled set out of images that nobody labelled: each image and changed views of it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from vpr_ros.core import pose as se3
from vpr_ros.core.types import Image
from vpr_ros.datasets.run import LazyImages, Run, RunPair

VIEWS = 2              # changed views of an image
_KEPT = (0.75, 0.95)   # share of either side that a crop keeps
_GAIN = (0.6, 1.4)     # brightness
_GAMMA = (0.75, 1.3)
_APART_M = 10.0


def self_labelled(images: Sequence[Image], seed: int = 0) -> RunPair:
    """Return the images as places, and changed views of them as queries for just that image.

    A stand-in for a second run: the same moment, people and weather, so recall is too high; but
    two networks can be compared on it.
    """
    places = np.arange(len(images))
    asked = np.repeat(places, VIEWS)
    queries = LazyImages(len(asked), lambda i: changed_view(
        images[int(asked[i])], np.random.default_rng([seed, i])))
    return RunPair(
        'self-labelled', _run('images', places, images), _run('views', asked, queries), 1.0, 180.0,
        f'self-labelled, a stand-in for a run with truth: map = {len(places)} held-out images, '
        f'query = {VIEWS} views of each, cropped to {_KEPT[0]:g} to {_KEPT[1]:g} of a side and '
        'with another brightness; the positive is the same image',
        tuple((int(i),) for i in asked))


def changed_view(image: Image, rng: np.random.Generator) -> Image:
    """Return a crop of an image at the image's size, with another brightness and contrast."""
    height, width = image.shape[:2]
    kept = rng.uniform(*_KEPT)
    rows, columns = max(1, round(height * kept)), max(1, round(width * kept))
    top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
    crop = cv2.resize(image[top:top + rows, left:left + columns], (width, height),
                      interpolation=cv2.INTER_LINEAR).astype(np.float32)
    crop = 255.0 * (crop / 255.0) ** rng.uniform(*_GAMMA) * rng.uniform(*_GAIN)
    return np.clip(crop, 0.0, 255.0).astype(np.uint8)


def _run(name: str, places: np.ndarray[tuple[int], np.dtype[np.intp]],
         images: Sequence[Image]) -> Run:
    poses = np.tile(se3.IDENTITY, (len(places), 1))
    poses[:, 0] = places * _APART_M
    stamps_ns = np.arange(len(places), dtype=np.int64) * 1_000_000_000
    return Run(name, 'map', 'camera', None, stamps_ns, poses, None, images)
