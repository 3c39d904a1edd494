# SPDX-License-Identifier: Apache-2.0
"""What every image set becomes: one traverse with its truth, and a pair of map and query."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.core.types import Image, Trajectory
from vpr_ros.errors import DatasetError


class LazyImages(Sequence[Image]):
    """Images that are made when they are asked for: `load(i)` gives the i-th, (H, W, 3) RGB."""

    def __init__(self, length: int, load: Callable[[int], Image]) -> None:
        self._length = length
        self._load = load

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Image: ...

    @overload
    def __getitem__(self, index: slice) -> LazyImages: ...

    def __getitem__(self, index: int | slice) -> Image | LazyImages:
        if isinstance(index, slice):
            rows = range(self._length)[index]
            return LazyImages(len(rows), lambda i: self._load(rows[i]))
        if not -self._length <= index < self._length:
            raise IndexError(f'image {index} of {self._length}')
        return self._load(index % self._length)

    def __iter__(self) -> Iterator[Image]:
        return (self._load(i) for i in range(self._length))


@dataclass(frozen=True)
class Run:
    """One traverse: images, when and where each was taken, and what the wheels said.

    `map_from_base` (N, 7) is the ground truth in `frame_id`; `odometry` is `odom_from_base` with
    its drift, at a rate of its own, or None; `base_from_camera` is None where nobody measured it.
    """

    name: str
    frame_id: str
    camera: str
    base_from_camera: se3.Array | None
    stamps_ns: NDArray[np.int64]
    map_from_base: se3.Array
    odometry: Trajectory | None
    images: Sequence[Image]

    def __post_init__(self) -> None:
        count = len(self.stamps_ns)
        if self.map_from_base.shape != (count, 7) or len(self.images) != count:
            raise DatasetError(f'run {self.name!r} has {count} stamps, {len(self.images)} images '
                               f'and poses of shape {self.map_from_base.shape}')
        if (np.diff(self.stamps_ns) <= 0).any():
            raise DatasetError(f'the stamps of run {self.name!r} do not rise')

    @property
    def truth(self) -> Trajectory:
        """The ground truth as a trajectory, one pose an image."""
        return Trajectory(self.stamps_ns, self.map_from_base, self.frame_id)


@dataclass(frozen=True)
class RunPair:
    """A run to map and a run to find in it.

    A map place is a positive of a query within `tolerance_m` and `tolerance_deg` of heading.
    `protocol` is the sentence to print beside the numbers. Where the set lists its positives,
    `positives[q]` holds them exactly (rows of `mapping`); the metric form may approximate them.
    """

    name: str
    mapping: Run
    query: Run
    tolerance_m: float
    tolerance_deg: float
    protocol: str
    positives: tuple[tuple[int, ...], ...] | None = None

    def __post_init__(self) -> None:
        if self.tolerance_m <= 0.0 or self.tolerance_deg <= 0.0:
            raise DatasetError(f'the tolerances of {self.name!r} must be positive')
        if self.mapping.frame_id != self.query.frame_id:
            raise DatasetError(f'the runs of {self.name!r} are in different frames')
        if self.positives is not None and len(self.positives) != len(self.query.images):
            raise DatasetError(f'{self.name!r} lists positives of {len(self.positives)} queries '
                               f'but has {len(self.query.images)}')

    def metric_positives(self) -> tuple[tuple[int, ...], ...]:
        """Return for each query the rows of the map within both tolerances."""
        limit_rad = np.deg2rad(self.tolerance_deg)
        found = []
        for pose in self.query.map_from_base:
            near = se3.distance_m(self.mapping.map_from_base, pose) <= self.tolerance_m
            near &= se3.angle_rad(self.mapping.map_from_base, pose) <= limit_rad
            found.append(tuple(int(i) for i in np.flatnonzero(near)))
        return tuple(found)
