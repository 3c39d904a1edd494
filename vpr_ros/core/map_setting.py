# SPDX-License-Identifier: Apache-2.0
"""Smaller maps of the same descriptors: fewer dimensions, fewer bits; and exact search in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.types import Descriptors
from vpr_ros.errors import VprError

_CELLS = 8_000_000     # similarities that are held at once: 32 MB
_PLACES = 16_384       # places that are decoded at once


class MapPrecision(Enum):
    """How a number of a descriptor is kept; the value is what the user types."""

    FP32 = 'fp32'
    FP16 = 'fp16'
    INT8 = 'int8'   # 256 even steps from the least to the largest value of each dimension (SQ8)


class Reduction(Enum):
    """How a descriptor is made shorter."""

    PCA = 'pca'              # learned from the map's own descriptors, then to unit length
    TRUNCATE = 'truncate'    # the first dimensions alone, then to unit length


@dataclass(frozen=True)
class MapSetting:
    """A precision, and the dimensions to keep; None keeps all."""

    precision: MapPrecision = MapPrecision.FP32
    dims: int | None = None
    reduction: Reduction = Reduction.PCA

    def __post_init__(self) -> None:
        if self.dims is not None and self.dims < 1:
            raise VprError(f'a map of {self.dims} dimensions cannot be searched')

    def __str__(self) -> str:
        reduced = '' if self.dims is None else f' {self.reduction.value} {self.dims}'
        return self.precision.value + reduced

    @classmethod
    def parse(cls, text: str) -> MapSetting:
        """Return the setting that `str` would write so, such as `int8` or `fp16 pca 256`.

        Colons do for spaces. Raises VprError for anything else.
        """
        words = text.replace(':', ' ').split()
        try:
            precision = MapPrecision(words[0])
            if len(words) == 1:
                return cls(precision)
            reduction, dims = words[1:]
            return cls(precision, int(dims), Reduction(reduction))
        except (ValueError, IndexError) as error:
            raise VprError(f'{text!r} is no setting of a map; give fp32, fp16 or int8, and after '
                           'it pca:256 or truncate:256 for fewer dimensions') from error

    def refuse_beyond(self, places: int, dim: int) -> None:
        """Raise VprError when this asks for more than `places` descriptors of `dim` have."""
        if self.dims is None:
            return
        if self.dims > dim:
            raise VprError(f'{self.dims} dimensions cannot be kept of {dim}')
        if self.reduction is Reduction.PCA and self.dims > places - 1:
            raise VprError(f'a PCA of {places} places has at most {places - 1} dimensions, not '
                           f'{self.dims}; use truncate, fewer dimensions or a larger map')


class EncodedMap:
    """Descriptors (N, dim) of unit length, kept as a setting says.

    `search` compares full-precision queries with the decoded places by inner product, exactly.
    """

    def __init__(self, places: Descriptors, setting: MapSetting) -> None:
        """Take descriptors; raises VprError when the setting asks for more than they have."""
        self._mean: NDArray[np.float32] | None = None
        self._axes: NDArray[np.float32] | None = None
        setting.refuse_beyond(*places.shape)
        self._dims = places.shape[1] if setting.dims is None else setting.dims
        if setting.dims is not None and setting.reduction is Reduction.PCA:
            self._mean, self._axes = _principal(places, setting.dims)
        reduced = self.reduce(places)
        self._low: NDArray[np.float32] | None = None
        self._step: NDArray[np.float32] | None = None
        self._places: NDArray[np.generic] = reduced
        if setting.precision is MapPrecision.FP16:
            self._places = reduced.astype(np.float16)
        elif setting.precision is MapPrecision.INT8:
            self._low = reduced.min(axis=0)
            span = np.asarray(reduced.max(axis=0) - self._low, np.float32)
            self._step = np.where(span > 0.0, span / 255.0, 1.0).astype(np.float32)
            self._places = np.rint((reduced - self._low) / self._step).astype(np.uint8)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def dim(self) -> int:
        """Dimensions that are kept."""
        return self._dims

    @property
    def nbytes(self) -> int:
        """Bytes of the places and of what decodes them; a PCA belongs to the query's side."""
        ranges = (self._low, self._step)
        return int(self._places.nbytes + sum(part.nbytes for part in ranges if part is not None))

    def reduce(self, descriptors: Descriptors) -> Descriptors:
        """Return descriptors (B, dim) in the map's dimensions, of unit length."""
        if self._axes is not None and self._mean is not None:
            short = np.asarray((descriptors - self._mean) @ self._axes.T, np.float32)
        elif self._dims < descriptors.shape[1]:
            short = descriptors[:, :self._dims]
        else:
            return np.asarray(descriptors, np.float32)
        length = np.linalg.norm(short, axis=1, keepdims=True)
        return np.asarray(short / np.maximum(length, 1e-12), np.float32)

    def search(self, queries: Descriptors, count: int
               ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the places (Q, k) most similar to each query, best first, and how similar.

        k is `count`, or the number of places where that is less. Of equals, the earlier place
        comes first. Memory does not grow with Q x N.
        """
        count = min(count, len(self))
        places = np.empty((len(queries), count), np.int64)
        similarity = np.empty((len(queries), count), np.float32)
        reduced = self.reduce(queries)
        step = max(1, _CELLS // min(len(self), _PLACES))
        for start in range(0, len(queries), step):
            rows = slice(start, start + step)
            places[rows], similarity[rows] = self._best(reduced[rows], count)
        return places, similarity

    def _best(self, queries: Descriptors, count: int
              ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        found = np.empty((len(queries), 0), np.int64)
        values = np.empty((len(queries), 0), np.float32)
        for start, block in self._decoded():
            scores = queries @ block.T
            among = np.arange(start, start + len(block))[None].repeat(len(queries), axis=0)
            if len(block) > count:
                near = np.argpartition(scores, -count, axis=1)[:, -count:]
                least = np.take_along_axis(scores, near, axis=1).min(axis=1, keepdims=True)
                ties = np.count_nonzero(scores >= least, axis=1) > count
                near[ties] = np.argsort(-scores[ties], axis=1, kind='stable')[:, :count]
                scores = np.take_along_axis(scores, near, axis=1)
                among = near + start
            found = np.concatenate([found, among], axis=1)
            values = np.concatenate([values, scores], axis=1)
            order = np.lexsort((found, -values), axis=1)[:, :count]
            found = np.take_along_axis(found, order, axis=1)
            values = np.take_along_axis(values, order, axis=1)
        return found, values

    def _decoded(self) -> Iterator[tuple[int, Descriptors]]:
        for start in range(0, len(self), _PLACES):
            block = self._places[start:start + _PLACES].astype(np.float32)
            if self._low is not None and self._step is not None:
                block = block * self._step + self._low
            yield start, block


def _principal(places: Descriptors, dims: int
               ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean (dim,) and the first axes (dims, dim) of the places."""
    mean = places.mean(axis=0, dtype=np.float64)
    centered = places - mean.astype(np.float32)
    if len(places) >= places.shape[1]:
        values, vectors = np.linalg.eigh((centered.T @ centered).astype(np.float64))
        axes = vectors[:, np.argsort(-values)[:dims]].T
    else:   # fewer places than dimensions: the small product has the same axes
        values, vectors = np.linalg.eigh((centered @ centered.T).astype(np.float64))
        first = np.argsort(-values)[:dims]
        axes = (centered.T @ vectors[:, first]).T
        axes /= np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), 1e-12)
    return mean.astype(np.float32), np.ascontiguousarray(axes, np.float32)
