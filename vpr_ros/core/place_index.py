# SPDX-License-Identifier: Apache-2.0
"""Exact search for the places most similar to a descriptor; the one file that knows FAISS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import faiss
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.precision import Precision, Rows, StoredRows
from vpr_ros.core.types import Match
from vpr_ros.errors import MapError

_PIECE = 2048   # rows of one scan: fewer are sorted faster, more need fewer calls
_SPARE = 4      # times more are asked of a piece than of all: lengths reorder what it finds

# Not QT_8bit_direct_signed: it rounds what is asked where dim is a multiple of 32.
_SCALAR = {Precision.FLOAT16: faiss.ScalarQuantizer.QT_fp16,
           Precision.INT8: faiss.ScalarQuantizer.QT_8bit_uniform}
# Of 255 equal steps between these, each has a whole number of -127 to 127 in its middle.
_RANGE = (-127.5, 127.5)

Vector = NDArray[np.float32]


class PlaceIndex:
    """Exact inner products with the unit rows of a map (cosine similarity for unit vectors).

    Runs at the precision in which the rows are kept; what is asked is never rounded. float32 rows
    are searched where they are, in memory or mapped from disk; of others FAISS holds a copy.
    """

    def __init__(self, rows: Rows) -> None:
        self._count, self._dim = rows.shape
        self._rows: Vector | None = None
        if isinstance(rows, StoredRows):
            # Rows of like length lie together: among them FAISS's order is nearly the true one.
            scale = np.concatenate([
                1.0 / np.linalg.norm(rows.codes[start:start + _PIECE].astype(np.float32), axis=1)
                for start in range(0, len(rows), _PIECE)])
            order = np.argsort(scale, kind='stable')
            self._pieces = [_Piece(rows, order[start:start + _PIECE], scale)
                            for start in range(0, len(rows), _PIECE)]
        else:
            self._rows = np.asarray(np.ascontiguousarray(rows, dtype=np.float32))

    def __len__(self) -> int:
        return int(self._count)

    def search(self, descriptor: Vector, count: int) -> tuple[Match, ...]:
        """Return the `count` most similar places, best first (fewer when the map is smaller).

        Raises MapError when `descriptor` (dim,) is not of the map's size.
        """
        query, count = self._checked(descriptor), min(count, len(self))
        if self._rows is not None:
            with _one_thread():
                similarities, places = (found[0] for found in faiss.knn(
                    query[None], self._rows, count, metric=faiss.METRIC_INNER_PRODUCT))
        else:
            places, similarities = self._best(query, count)
        return tuple(map(Match, places.tolist(), similarities.tolist()))

    def products(self, vector: Vector) -> Vector:
        """Return the inner product (N,) of any `vector` (dim,) with each unit row.

        Raises MapError when it is not of the map's size.
        """
        query = self._checked(vector)
        if self._rows is not None:
            # Not by BLAS: its threads cost a hundred times the product where cores are shared.
            exact: Vector = np.einsum('ij,j->i', self._rows, query)
            return exact
        # FAISS multiplies codes fast in its search only, so all are sought, piece by piece.
        products = np.zeros(len(self), dtype=np.float32)
        with _one_thread():
            for piece in self._pieces:
                places, similarities, _ = piece.search(query, len(piece))
                products[places] = similarities
        return products

    def _best(self, query: Vector, count: int) -> tuple[NDArray[np.int64], Vector]:
        """Return the places of the `count` largest products, best first, and the products.

        Each piece is asked for its best few; again, for more, while it may hold others.
        """
        with _one_thread():
            found = [piece.search(query, _SPARE * count) for piece in self._pieces]
            while True:
                places, similarities = (np.concatenate([each[i] for each in found])
                                        for i in (0, 1))
                best = np.lexsort((places, -similarities))[:count]
                least = similarities[best[-1]]
                open_pieces = [i for i, (_, _, rest) in enumerate(found) if rest >= least]
                if not open_pieces:
                    return places[best], similarities[best]
                for i in open_pieces:
                    found[i] = self._pieces[i].search(query, _SPARE * len(found[i][0]))

    def _checked(self, vector: Vector) -> Vector:
        if vector.shape != (self._dim,):
            raise MapError(f'a descriptor of shape {vector.shape} cannot be looked up among '
                           f'{self._dim}-d places')
        return np.ascontiguousarray(vector, dtype=np.float32)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let FAISS work alone: threads have no part in one query, but all wait for each other."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


class _Piece:
    """Rows in few bits that FAISS scans at once, for which it must copy them."""

    def __init__(self, rows: StoredRows, places: NDArray[np.int64], scale: Vector) -> None:
        codes = rows.codes[places]
        index = faiss.IndexScalarQuantizer(codes.shape[1], _SCALAR[rows.precision],
                                           faiss.METRIC_INNER_PRODUCT)
        index.train(np.repeat(np.array([_RANGE], dtype=np.float32).T, codes.shape[1], axis=1))
        index.add(codes.astype(np.float32))
        self._index, self._places, self._scale = index, places, scale[places]

    def __len__(self) -> int:
        return len(self._places)

    def search(self, query: Vector, count: int) -> tuple[NDArray[np.int64], Vector, float]:
        """Return places, their products with unit rows, and what no other row's is above."""
        count = min(count, len(self))
        products, rows = (found[0] for found in self._index.search(query[None], count))
        similarities: Vector = products * self._scale[rows]
        if count == len(self):
            return self._places[rows], similarities, -np.inf
        # The others have smaller products; the longest of them, or if negative the shortest.
        rest = max(products[-1] * self._scale[0], products[-1] * self._scale[-1])
        return self._places[rows], similarities, float(rest)
