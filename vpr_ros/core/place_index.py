# SPDX-License-Identifier: Apache-2.0
"""Exact search for the places most similar to a descriptor; the one file that knows FAISS."""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.types import Match
from vpr_ros.errors import MapError

_SAMPLE = 1024  # places that stand for all of a larger map


class PlaceIndex:
    """Exact inner-product search over unit descriptors (cosine similarity).

    Also knows the mean and spread of a query's similarity to the places of the map (to evenly
    spread ones of a large map), so that a match can be judged against its background.
    """

    def __init__(self, descriptors: NDArray[np.float32]) -> None:
        rows = np.ascontiguousarray(descriptors, dtype=np.float32)
        self._index = faiss.IndexFlatIP(rows.shape[1])
        self._index.add(rows)
        self._sample = rows[::-(-len(rows) // _SAMPLE)].copy()

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(self, descriptor: NDArray[np.float32], count: int) -> tuple[Match, ...]:
        """Return the `count` most similar places, best first (fewer when the map is smaller).

        Raises MapError when `descriptor` (dim,) is not of the map's size.
        """
        if descriptor.shape != (self._index.d,):
            raise MapError(f'a descriptor of shape {descriptor.shape} cannot be looked up among '
                           f'{self._index.d}-d places')
        query = np.ascontiguousarray(descriptor, dtype=np.float32)[None]
        similarities, places = self._index.search(query, min(count, len(self)))
        return tuple(map(Match, places[0].tolist(), similarities[0].tolist()))

    def background(self, descriptor: NDArray[np.float32]) -> tuple[float, float]:
        """Return mean and standard deviation of the similarity of `descriptor` to the places."""
        # Not by BLAS: its threads cost a hundred times the product where cores are shared.
        similarity = np.einsum('ij,j->i', self._sample, descriptor)
        return float(similarity.mean()), float(similarity.std())
