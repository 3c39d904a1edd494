# SPDX-License-Identifier: Apache-2.0
"""What sets the places of one map apart: similarities relative to this map and to this drive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.place_index import PlaceIndex
from vpr_ros.core.precision import Rows, StoredRows

_SAMPLE = 1024      # places that stand for all of a larger map
RANK = 512          # directions that are kept; what lies beyond counts in lengths only
_SHRINKAGE = 0.5    # of the mean variance; more: closer to the plain cosine
_PIECE = 4096       # rows that are whitened at once
_PRIOR_STEPS = 4    # views that the mean of the map counts for
_MEMORY_STEPS = 50  # views after which the mean of the drive forgets

Vector = NDArray[np.float32]
Field = NDArray[np.float64]


class Contrast:
    """Descriptors of a map, centered and whitened by the map's own variation.

    Directions in which the whole map varies (light, blur, bare walls) tell places apart less than
    they seem to, and make some places resemble everything. Each principal direction of variance
    `v` is scaled by `sqrt(r / (v + r))` with `r` a share of the mean variance. Whitening of the
    map: Jegou and Chum, "Negative evidences and co-occurences in image retrieval", ECCV 2012;
    centering each drive by itself: Schubert, Neubert, Protzel, "Unsupervised Learning Methods for
    Visual Place Recognition in Discretely and Continuously Changing Environments", ICRA 2020.
    """

    def __init__(self, rows: Rows, index: PlaceIndex | None = None) -> None:
        """Take the rows (N, dim) of a map; costs a decomposition of at most 1024 of them.

        float32 rows are whitened once and kept, (N, 512) at most. Of rows in fewer bits nothing
        is kept but a length: the view is turned to meet the rows as the `index` has them, which
        takes a scan of it each time.
        """
        sample = np.asarray(rows[::-(-len(rows) // _SAMPLE)], dtype=np.float64)
        self.mean: Vector = sample.mean(axis=0).astype(np.float32)
        variance, directions = _principal(sample - sample.mean(axis=0))
        floor = _SHRINKAGE * max(float(variance.sum()) / max(len(variance), 1), 1e-9)
        kept = slice(0, RANK)
        self._directions = directions[kept].astype(np.float32)
        self._scale = np.sqrt(floor / (variance[kept] + floor)).astype(np.float32)
        pieces = (np.asarray(rows[i:i + _PIECE]) - self.mean for i in range(0, len(rows), _PIECE))
        if isinstance(rows, StoredRows):
            self._index = PlaceIndex(rows) if index is None else index
            self._per_length = np.concatenate([1.0 / self._scaled(piece)[1] for piece in pieces])
            self._rows = None
        else:
            self._rows = np.concatenate([self._whitened(piece) for piece in pieces])

    def __len__(self) -> int:
        return len(self._per_length if self._rows is None else self._rows)

    def of(self, descriptor: Vector, mean: Vector) -> Field:
        """Return the similarity (N,) of a view to each place; `mean` (dim,) is of its drive."""
        view = self._whitened((descriptor - mean)[None])[0]
        if self._rows is not None:
            similarity: Field = np.einsum('ij,j->i', self._rows, view).astype(np.float64)
            return similarity
        # <W (row - mean), view> = <row, W' view> - <mean, W' view>, W scaling the directions
        turned = np.einsum('k,kj->j', self._scale * view, self._directions)
        offset = np.einsum('j,j->', self.mean, turned)
        cosine = (self._index.products(turned) - offset) * self._per_length
        return np.asarray(cosine, dtype=np.float64)

    def _whitened(self, centered: NDArray[np.float32]) -> NDArray[np.float32]:
        scaled, length = self._scaled(centered)
        unit: NDArray[np.float32] = scaled / length[:, None]
        return unit

    def _scaled(self, centered: NDArray[np.float32]
                ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return (n, r) along the kept directions, and lengths (n,) in which the rest counts."""
        # Not by BLAS for one row: its threads cost more than the product on shared cores.
        part = (np.einsum('ij,kj->ik', centered, self._directions) if len(centered) == 1
                else centered @ self._directions.T)
        scaled = part * self._scale
        squared = ((centered ** 2).sum(axis=1) - (part ** 2).sum(axis=1)
                   + (scaled ** 2).sum(axis=1))
        return scaled, np.sqrt(np.maximum(squared, 1e-12))


def _principal(centered: Field) -> tuple[Field, Field]:
    """Return variances (r,), greatest first, and unit directions (r, dim) of rows (n, dim).

    From the smaller of the two products of the rows with themselves: a fraction of the time of a
    singular value decomposition, and no less exact where `_SHRINKAGE` bounds what counts.
    """
    count, dim = centered.shape
    if count >= dim:
        variance, directions = np.linalg.eigh(centered.T @ centered / count)
        return np.maximum(variance[::-1], 0.0), directions.T[::-1]
    variance, weights = np.linalg.eigh(centered @ centered.T / count)
    kept = variance > max(float(variance[-1]), 1e-12) * 1e-9
    variance, weights = variance[kept][::-1], weights[:, kept][:, ::-1]
    return variance, (weights / np.sqrt(variance * count)).T @ centered


@dataclass
class DriveMean:
    """The mean view of a drive so far (dim,), which begins as the map's and forgets slowly."""

    mean: Vector
    views: int = _PRIOR_STEPS

    def add(self, descriptor: Vector) -> None:
        """Take the view of one more step."""
        self.views = min(self.views + 1, _MEMORY_STEPS)
        self.mean = self.mean + (descriptor - self.mean) / np.float32(self.views)
