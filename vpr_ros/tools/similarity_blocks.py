# SPDX-License-Identifier: Apache-2.0
"""How alike all pictures and all places look, thinned so that it can be drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vpr_ros.core import pose as se3
from vpr_ros.core.judged import Tolerance
from vpr_ros.core.positives import positive_pairs
from vpr_ros.core.types import Descriptors

LARGEST = 500   # rows and columns
_ROWS = 64      # pictures that are compared at once


@dataclass(frozen=True, eq=False)
class SimilarityBlocks:
    """Of blocks of pictures (q,) and places (n,): the largest similarity, and any positive.

    `values` (q, n) float16, `truth` (q, n); blocks begin at `query_rows` and `place_rows` of a
    matrix of `shape`.
    """

    values: NDArray[np.float16]
    truth: NDArray[np.bool_]
    query_rows: NDArray[np.int64]
    place_rows: NDArray[np.int64]
    shape: tuple[int, int]


def similarity_blocks(descriptors: Descriptors, map_descriptors: ArrayLike, places: se3.Array,
                      truth: se3.Array, tolerance: Tolerance) -> SimilarityBlocks:
    """Return the blocks of pictures (Q, dim) by places (N, dim); both must not be empty.

    `places` (N, 7) and `truth` (Q, 7) say which pairs are positives. Maxima, so that no peak is
    lost however few pixels there are.
    """
    rows = np.ascontiguousarray(np.asarray(map_descriptors, dtype=np.float32))
    query_rows, place_rows = _starts(len(descriptors)), _starts(len(rows))
    values = np.full((len(query_rows), len(place_rows)), -np.inf, dtype=np.float32)
    block = np.searchsorted(query_rows, np.arange(len(descriptors)), side='right') - 1
    for start in range(0, len(descriptors), _ROWS):
        part = slice(start, start + _ROWS)
        of_place = np.maximum.reduceat(descriptors[part] @ rows.T, place_rows, axis=1)
        np.maximum.at(values, block[part], of_place)
    is_positive = np.zeros(values.shape, dtype=np.bool_)
    column = np.searchsorted(place_rows, np.arange(len(rows)), side='right') - 1
    for query, place in positive_pairs(places, truth, tolerance):
        is_positive[block[query], column[place]] = True
    return SimilarityBlocks(values.astype(np.float16), is_positive, query_rows, place_rows,
                            (len(descriptors), len(rows)))


def _starts(count: int) -> NDArray[np.int64]:
    """Return where at most LARGEST even blocks of `count` rows begin."""
    blocks = min(count, LARGEST)
    return np.arange(blocks, dtype=np.int64) * count // blocks
