# SPDX-License-Identifier: Apache-2.0
"""What every training set becomes: images, and which of them show one place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
import math

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.types import Image
from vpr_ros.datasets.run import LazyImages
from vpr_ros.errors import DatasetError

Floats = NDArray[np.float64]
NOWHERE = -1   # the place of an image that belongs to none


@dataclass(frozen=True, eq=False)
class Places:
    """Images (N) that were grouped by place, to learn from.

    `place_of` (N,) int64: images of one number show one place, images of two never do.
    `positions_m` (N, 2) or (N, 3) in the set's metric frame, `headings_rad` (N,) counter-clockwise
    from the x axis (east); None where the set does not say. `protocol` is the sentence that says
    how places were made.
    """

    name: str
    images: Sequence[Image]
    place_of: NDArray[np.int64]
    positions_m: Floats | None
    headings_rad: Floats | None
    protocol: str

    def __post_init__(self) -> None:
        count = len(self.images)
        object.__setattr__(self, 'place_of', np.asarray(self.place_of, np.int64))
        if self.place_of.shape != (count,) or (self.place_of < 0).any():
            raise DatasetError(f'{self.name!r} has {count} images but places of shape '
                               f'{self.place_of.shape}, which must be numbers from 0')
        if count == 0:
            raise DatasetError(f'{self.name!r} holds no place; {self.protocol}')
        positions, headings = self.positions_m, self.headings_rad
        if positions is not None and (positions.ndim != 2 or len(positions) != count
                                      or positions.shape[1] not in (2, 3)
                                      or not np.isfinite(positions).all()):
            raise DatasetError(f'the positions of {self.name!r} are not {count} finite rows of '
                               'two or three numbers')
        if headings is not None and (headings.shape != (count,)
                                     or not np.isfinite(headings).all()):
            raise DatasetError(f'the headings of {self.name!r} are not {count} finite numbers')

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def rows_by_place(self) -> dict[int, NDArray[np.intp]]:
        """Return the rows of each place, places in rising order."""
        order = np.argsort(self.place_of, kind='stable')
        numbers, starts = np.unique(self.place_of[order], return_index=True)
        return {int(number): rows for number, rows
                in zip(numbers, np.split(order, starts[1:]), strict=True)}

    def part(self, rows: Sequence[int] | NDArray[np.integer]) -> Places:
        """Return the images of `rows` alone, in that order."""
        chosen = np.asarray(rows, np.intp)
        return replace(
            self, images=picked(self.images, chosen), place_of=self.place_of[chosen],
            positions_m=None if self.positions_m is None else self.positions_m[chosen],
            headings_rad=None if self.headings_rad is None else self.headings_rad[chosen])

    def at_least(self, images: int) -> Places:
        """Return the places that have at least so many images.

        Raises DatasetError when there is none.
        """
        numbers, inverse, counts = np.unique(self.place_of, return_inverse=True,
                                             return_counts=True)
        kept = np.flatnonzero(counts[inverse] >= images)
        if not len(kept):
            raise DatasetError(f'no place of {self.name!r} has {images} images; the most that one '
                               f'has is {int(counts.max())} (of {len(numbers)} places)')
        return replace(self.part(kept), protocol=f'{self.protocol}; at least {images} images')


def picked(images: Sequence[Image], rows: NDArray[np.intp]) -> Sequence[Image]:
    """Return those images, still unread."""
    return LazyImages(len(rows), lambda i: images[int(rows[i])])


def joined(name: str, sets: Sequence[Places]) -> Places:
    """Return several sets as one; a place keeps to its set. Positions are kept if all have them.

    Positions of different sets are in different frames: compare them within a place only.
    Raises DatasetError for no set.
    """
    if not sets:
        raise DatasetError(f'{name!r} is made of no sets; name at least one')
    shifts = np.cumsum([0, *(int(one.place_of.max()) + 1 for one in sets[:-1])])
    starts = np.cumsum([0, *(len(one) for one in sets)])

    def image(index: int) -> Image:
        which = int(np.searchsorted(starts, index, side='right')) - 1
        return sets[which].images[index - int(starts[which])]

    positions = [one.positions_m for one in sets]
    headings = [one.headings_rad for one in sets]
    return Places(
        name, LazyImages(int(starts[-1]), image),
        np.concatenate([one.place_of + shift for one, shift in zip(sets, shifts, strict=True)]),
        None if any(p is None for p in positions) else np.concatenate(
            [p[:, :2] for p in positions if p is not None]),
        None if any(h is None for h in headings) else np.concatenate(
            [h for h in headings if h is not None]),
        '; '.join(dict.fromkeys(one.protocol for one in sets)))


def place_numbers(positions_m: Floats, headings_rad: Floats | None, place_m: float,
                  place_deg: float = 180.0, apart_m: float | None = None) -> NDArray[np.int64]:
    """Return for each image the number of its place, or NOWHERE, in the order given.

    The first image founds a place, and so does each that is farther than `apart_m` (left out:
    twice `place_m`) from every founder that looks its way, within `place_deg`. An image within
    `place_m` of such a founder belongs to the nearest; one between is of no place, so that no two
    places show the same things. Raises DatasetError for limits that are not positive or apart_m
    below place_m.
    """
    apart_m = 2.0 * place_m if apart_m is None else apart_m
    if place_m <= 0.0 or place_deg <= 0.0 or apart_m < place_m:
        raise DatasetError('places need a positive size in meters and degrees, and a distance '
                           'from one another that is not smaller')
    founders = _Founders(apart_m, math.radians(place_deg))
    numbers = np.full(len(positions_m), NOWHERE, np.int64)
    for row, position in enumerate(positions_m):
        heading = 0.0 if headings_rad is None else float(headings_rad[row])
        number, distance_m = founders.nearest(position[:2], heading)
        if number == NOWHERE:
            numbers[row] = founders.add(position[:2], heading)
        elif distance_m <= place_m:
            numbers[row] = number
    return numbers


class _Founders:
    """Founding images by squares of `reach_m`, so that few are looked at."""

    def __init__(self, reach_m: float, reach_rad: float) -> None:
        self._reach_m, self._reach_rad = reach_m, reach_rad
        self._squares: defaultdict[tuple[int, int], list[tuple[int, float, float, float]]] = (
            defaultdict(list))
        self._count = 0

    def _square(self, position: Floats) -> tuple[int, int]:
        return (math.floor(position[0] / self._reach_m), math.floor(position[1] / self._reach_m))

    def add(self, position: Floats, heading_rad: float) -> int:
        self._squares[self._square(position)].append(
            (self._count, float(position[0]), float(position[1]), heading_rad))
        self._count += 1
        return self._count - 1

    def nearest(self, position: Floats, heading_rad: float) -> tuple[int, float]:
        column, row = self._square(position)
        best, best_m = NOWHERE, self._reach_m
        for i in (column - 1, column, column + 1):
            for j in (row - 1, row, row + 1):
                for number, x, y, other_rad in self._squares.get((i, j), ()):
                    turn = abs(math.remainder(heading_rad - other_rad, math.tau))
                    far_m = math.hypot(position[0] - x, position[1] - y)
                    if far_m <= best_m and turn <= self._reach_rad:
                        best, best_m = number, far_m
        return best, best_m


def grouped(name: str, images: Sequence[Image], positions_m: Floats, headings_rad: Floats | None,
            protocol: str, place_m: float, place_deg: float = 180.0,
            apart_m: float | None = None, least: int = 1) -> Places:
    """Return images as places by `place_numbers`, without those between places.

    Raises DatasetError as `place_numbers` does, and when no place has `least` images.
    """
    numbers = place_numbers(positions_m, headings_rad, place_m, place_deg, apart_m)
    kept = np.flatnonzero(numbers != NOWHERE)
    apart_m = 2.0 * place_m if apart_m is None else apart_m
    way = '' if headings_rad is None else f' and {place_deg:g} degrees'
    places = Places(
        name, picked(images, kept), numbers[kept], positions_m[kept],
        None if headings_rad is None else headings_rad[kept],
        f'{protocol}; a place is what lies within {place_m:g} m{way} of its first image, places '
        f'are {apart_m:g} m apart, images between are left out')
    return places if least <= 1 else places.at_least(least)
