# SPDX-License-Identifier: Apache-2.0
"""The local features of all places of a map, end to end, so that they can stay on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.local_features import FeatureConfig, FeatureKind, Features

POINTS = 'feature_points.npy'
DESCRIPTORS = 'feature_descriptors.npy'
EXTENTS = 'feature_extents.npz'


@dataclass(frozen=True, eq=False)
class PackedFeatures:
    """Features of N pictures, T in all.

    `ends` (N,): the features of picture i are rows `ends[i - 1]` to `ends[i]` of `points`
    (T, 2) and `descriptors` (T, 32 or 128); `sizes` (N, 2) are width and height as looked at.
    """

    config: FeatureConfig
    ends: NDArray[np.int64]
    sizes: NDArray[np.int32]
    points: NDArray[np.float32]
    descriptors: NDArray[np.uint8]

    def __post_init__(self) -> None:
        count, total = len(self.ends), len(self.points)
        if (self.ends.shape != (count,) or not count or (np.diff(self.ends, prepend=0) < 0).any()
                or self.ends[-1] != total):
            raise ValueError('the ends of the local features do not rise to their number')
        if self.sizes.shape != (count, 2) or self.sizes.min() < 1:
            raise ValueError('the local features lack the sizes of their pictures')
        if (self.points.shape, self.descriptors.shape) != (
                (total, 2), (total, self.config.kind.bytes_each)):
            raise ValueError('the points and descriptors of the local features do not fit')
        if self.points.dtype != np.float32 or self.descriptors.dtype != np.uint8:
            raise ValueError('the local features are of another type')

    def __len__(self) -> int:
        return len(self.ends)

    @classmethod
    def pack(cls, config: FeatureConfig, features: Sequence[Features]) -> PackedFeatures:
        """Return the features of pictures end to end. Raises ValueError for another kind."""
        if any(one.kind is not config.kind for one in features):
            raise ValueError(f'not all local features are {config.kind.value}')
        none_at_all = np.empty((0, 2), np.float32), np.empty((0, config.kind.bytes_each), np.uint8)
        return cls(
            config, np.cumsum([len(one) for one in features], dtype=np.int64),
            np.array([(one.width, one.height) for one in features], np.int32).reshape(-1, 2),
            np.concatenate([none_at_all[0], *(one.points for one in features)]),
            np.concatenate([none_at_all[1], *(one.descriptors for one in features)]))

    def of(self, row: int) -> Features:
        """Return the features of one picture, read from where they lie."""
        start, end = (0 if row == 0 else int(self.ends[row - 1])), int(self.ends[row])
        width, height = (int(side) for side in self.sizes[row])
        return Features(self.config.kind, width, height, np.array(self.points[start:end]),
                        np.array(self.descriptors[start:end]))

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the arrays into `folder` and return what `load` needs besides."""
        np.save(folder / POINTS, self.points)
        np.save(folder / DESCRIPTORS, self.descriptors)
        np.savez(folder / EXTENTS, ends=self.ends, sizes=self.sizes)
        return {'kind': self.config.kind.value, 'max_features': self.config.max_features,
                'long_side_px': self.config.long_side_px}

    @classmethod
    def load(cls, folder: Path, record: Mapping[str, Any]) -> PackedFeatures:
        """Return what `save` wrote; points and descriptors are mapped and not read.

        Raises ValueError, KeyError, TypeError or OSError where it is no such thing.
        """
        config = FeatureConfig(FeatureKind(record['kind']), int(record['max_features']),
                               int(record['long_side_px']))
        with np.load(folder / EXTENTS, allow_pickle=False) as extents:
            ends, sizes = extents['ends'], extents['sizes']
        return cls(config, ends, sizes, *(
            np.load(folder / name, mmap_mode='r' if len(ends) and ends[-1] else None,
                    allow_pickle=False) for name in (POINTS, DESCRIPTORS)))
