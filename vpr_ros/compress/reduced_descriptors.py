# SPDX-License-Identifier: Apache-2.0
"""Descriptors of fewer numbers or bits, made of those of a network that is left as it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.types import Descriptors
from vpr_ros.errors import ModelError

CODES = 256       # of a part of a descriptor: one byte says which
_ROUNDS = 12
_TINY = 1e-12


def unit(rows: Descriptors) -> Descriptors:
    """Return rows (N, d) of unit length; those of zeros stay so."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, _TINY), np.float32)


def truncated(rows: Descriptors, dim: int) -> Descriptors:
    """Return the first `dim` numbers of each row, of unit length."""
    return unit(rows[:, :dim])


@dataclass(frozen=True, eq=False)
class Principal:
    """Orthonormal `axes` (D, n) along which descriptors vary most, the strongest first.

    No mean is taken off and nothing is whitened: what is kept are inner products, as well as
    that many numbers can, and all D axes together change none.
    """

    axes: NDArray[np.float32]

    @classmethod
    def of(cls, rows: Descriptors) -> Principal:
        """Return the axes of rows (N, D), at most N of them."""
        exact = rows.astype(np.float64)
        if exact.shape[0] >= exact.shape[1]:
            _, axes = np.linalg.eigh(exact.T @ exact)
            return cls(np.ascontiguousarray(axes[:, ::-1], np.float32))
        values, mixed = np.linalg.eigh(exact @ exact.T)
        solid = values > values[-1] * 1e-10
        axes = exact.T @ (mixed[:, solid] / np.sqrt(values[solid]))
        return cls(np.ascontiguousarray(axes[:, ::-1], np.float32))

    @property
    def most(self) -> int:
        """Return how many numbers can be kept."""
        return int(self.axes.shape[1])

    def reduced(self, rows: Descriptors, dim: int) -> Descriptors:
        """Return rows as `dim` numbers of unit length; raises ModelError for more than `most`."""
        if dim > self.most:
            raise ModelError(f'{self.most} principal axes cannot give {dim} numbers; fit them on '
                             'more pictures')
        return unit(rows @ self.axes[:, :dim])


@dataclass(frozen=True, eq=False)
class ProductQuantizer:
    """Each of `parts` equal pieces of a descriptor becomes one byte: the nearest of 256 learnt.

    Jegou et al., Product quantization for nearest neighbor search, PAMI 2011, without rotation.
    `centroids` is (parts, at most 256, D / parts).
    """

    centroids: NDArray[np.float32]

    @classmethod
    def of(cls, rows: Descriptors, parts: int, seed: int = 0) -> ProductQuantizer:
        """Learn by k-means on rows (N, D); raises ModelError where `parts` do not divide D."""
        count, dim = rows.shape
        if parts < 1 or dim % parts:
            raise ModelError(f'{dim} numbers cannot be cut into {parts} equal parts')
        rng = np.random.default_rng(seed)
        pieces = np.ascontiguousarray(rows.reshape(count, parts, -1).swapaxes(0, 1))
        chosen = rng.permutation(count)[:min(CODES, count)]
        return cls(np.stack([_means(piece, piece[chosen]) for piece in pieces]))

    @property
    def nbytes(self) -> int:
        """Return what the learnt pieces take, once for a map."""
        return int(self.centroids.nbytes)

    def encoded(self, rows: Descriptors) -> NDArray[np.uint8]:
        """Return the codes (N, parts) of rows (N, D)."""
        pieces = rows.reshape(len(rows), len(self.centroids), -1).swapaxes(0, 1)
        return np.stack([_nearest(piece, known) for piece, known
                         in zip(pieces, self.centroids, strict=True)], axis=1).astype(np.uint8)

    def decoded(self, codes: NDArray[np.uint8]) -> Descriptors:
        """Return the rows (N, D) that codes stand for; their length is about one."""
        pieces = [known[codes[:, part]] for part, known in enumerate(self.centroids)]
        return np.concatenate(pieces, axis=1)


def _means(points: NDArray[np.float32], first: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the centroids that Lloyd's rounds lead to; one that nothing is near stays."""
    means = first.copy()
    for _ in range(_ROUNDS):
        nearest = _nearest(points, means)
        counts = np.bincount(nearest, minlength=len(means))
        sums = np.zeros_like(means)
        np.add.at(sums, nearest, points)
        means = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], means)
        means = means.astype(np.float32)
    return means


def _nearest(points: NDArray[np.float32], means: NDArray[np.float32]) -> NDArray[np.intp]:
    return np.asarray(((means ** 2).sum(axis=1) - 2.0 * (points @ means.T)).argmin(axis=1))
