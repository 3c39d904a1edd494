# SPDX-License-Identifier: Apache-2.0
"""What a network learns from: views of pictures that nobody labelled, or of labelled places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.compress.distill_augment import make_view
from vpr_ros.compress.self_labelled import changed_view
from vpr_ros.core.types import Image
from vpr_ros.errors import DatasetError

FEWEST_IMAGES = 8
Size = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Views:
    """Pictures of one size, (V, H, W, 3) uint8, and which place (V,) each shows, where known."""

    pixels: NDArray[np.uint8]
    places: NDArray[np.int64] | None = None


class Lessons(Protocol):
    """A source of views; the same number gives the same views on every call."""

    @property
    def together(self) -> int:
        """Return how many views of one place lie side by side; 1 where places are not known."""
        ...

    @property
    def what(self) -> str:
        """Say in a few words what these are."""
        ...

    def unchanged(self, count: int, size: Size) -> list[Image]:
        """Return up to `count` pictures as they are, evenly spread, in `size` (height, width)."""
        ...

    def views(self, number: int, count: int, size: Size, seed: int) -> Views:
        """Return `count` views for lesson `number`, in `size` (height, width).

        `count` is a multiple of `together`.
        """
        ...


class Pictures:
    """Unlabelled pictures, of a bag or a folder: enough to be taught by another network."""

    together = 1

    def __init__(self, images: Sequence[Image]) -> None:
        """Take the images; raises DatasetError for too few, and where all are of one color."""
        if len(images) < FEWEST_IMAGES:
            raise DatasetError(f'{len(images)} images are too few to learn from; give '
                               f'{FEWEST_IMAGES} or more, some hundred from different places')
        if all(image.min() == image.max() for image in images):
            raise DatasetError('each of the images is of one color; give pictures that a robot '
                               'takes')
        self._images = images

    @property
    def what(self) -> str:
        """Say what these are."""
        return f'views of {len(self._images)} unlabelled images'

    def unchanged(self, count: int, size: Size) -> list[Image]:
        """Return some of the images."""
        return _spread(self._images, count, size)

    def views(self, number: int, count: int, size: Size, seed: int) -> Views:
        """Return warped, cut and recolored views, each with a random stream of its own."""
        side = max(size)
        pixels = np.empty((count, *size, 3), np.uint8)
        for i in range(count):
            rng = np.random.default_rng((seed, number, i))
            pixels[i] = _sized(make_view(self._images, side, rng), size)
        return Views(pixels)


class Labelled:
    """Pictures of places of which each was seen at least twice."""

    def __init__(self, images: Sequence[Image], place_of: NDArray[np.int64], per_place: int
                 ) -> None:
        """Take the images, the place (N,) of each, and how many views of a place lie together.

        Raises DatasetError when fewer than two places have two images, for places of other images
        and for fewer than two views of a place.
        """
        if len(images) != len(place_of):
            raise DatasetError(f'{len(images)} images have places of {len(place_of)}; give one '
                               'for each')
        if per_place < 2:
            raise DatasetError(f'{per_place} views of a place teach nothing of what is alike; '
                               'raise views_per_place to 2 or more')
        rows: dict[int, list[int]] = {}
        for row, place in enumerate(place_of.tolist()):
            rows.setdefault(place, []).append(row)
        self._images, self.together = images, per_place
        self._rows = [np.array(found) for found in rows.values() if len(found) > 1]
        if len(self._rows) < 2:
            raise DatasetError(f'{len(self._rows)} of {len(rows)} places have two images or more; '
                               'what is alike and what differs can only be learned from several; '
                               'make places larger, or learn without labels')

    @property
    def what(self) -> str:
        """Say what these are."""
        return f'{self.together} views each of {len(self._rows)} labelled places'

    def unchanged(self, count: int, size: Size) -> list[Image]:
        """Return some of the images."""
        return _spread(self._images, count, size)

    def views(self, number: int, count: int, size: Size, seed: int) -> Views:
        """Return `together` changed views of each of some places, other images where it can."""
        rng = np.random.default_rng((seed, number))
        places = count // self.together
        order = np.concatenate([rng.permutation(len(self._rows))
                                for _ in range(-(-places // len(self._rows)))])[:places]
        pixels = np.empty((places, self.together, *size, 3), np.uint8)
        for place, into in zip(order, pixels, strict=True):
            rows = rng.permutation(self._rows[place])
            for k in range(self.together):
                image = self._images[int(rows[k % len(rows)])]
                into[k] = _sized(changed_view(image, rng), size)
        return Views(pixels.reshape(-1, *size, 3), np.repeat(order, self.together))


def _spread(images: Sequence[Image], count: int, size: Size) -> list[Image]:
    rows = np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)
    return [_sized(images[int(row)], size) for row in rows]


def _sized(image: Image, size: Size) -> Image:
    if image.shape[:2] == size:
        return image
    shrinks = image.shape[0] >= size[0] and image.shape[1] >= size[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size[::-1], interpolation=how), np.uint8)
