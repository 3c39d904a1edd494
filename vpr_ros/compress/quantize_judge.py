# SPDX-License-Identifier: Apache-2.0
"""A network with fewer bits beside its parent: its recall, and how far its vectors turned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
import hashlib
from itertools import islice
from typing import Any

import numpy as np

from vpr_ros.compress.distill_eval import recall_at
from vpr_ros.core.types import Describer, Descriptors, Image
from vpr_ros.datasets.run import RunPair
from vpr_ros.errors import DatasetError

FEWEST_QUERIES = 10   # below, recall says nothing
_BATCH = 16
_QUANTILES = {'min': 0.0, 'p05': 0.05, 'p50': 0.5}


@dataclass(frozen=True, eq=False)
class Seen:
    """What a network made of a labelled set."""

    places: Descriptors
    queries: Descriptors

    @classmethod
    def by(cls, describer: Describer, pair: RunPair) -> Seen:
        """Describe both runs of a pair, a few images at a time."""
        return cls(_described(describer, pair.mapping.images),
                   _described(describer, pair.query.images))


@dataclass(frozen=True)
class Verdict:
    """Recall of parent and child on one labelled set, and the cosine between their vectors.

    `at_1` and `at_5` are shares of the `queries` that have a positive; map and query are described
    by the same network. `cosine` holds quantiles over the query images.
    """

    queries: int
    parent_at_1: float
    parent_at_5: float
    at_1: float
    at_5: float
    cosine: dict[str, float]

    @property
    def drop_points(self) -> float:
        """By how many points (1 of 100) recall@1 is lower than the parent's."""
        return 100.0 * (self.parent_at_1 - self.at_1)

    def record(self) -> dict[str, Any]:
        """Return the numbers as a card has them."""
        return {name: {key: round(x, 5) for key, x in value.items()} if isinstance(value, dict)
                else round(value, 5) for name, value in asdict(self).items()}


def compare(parent: Seen, child: Seen, pair: RunPair) -> Verdict:
    """Return how a child does beside its parent on a labelled set.

    Raises DatasetError for a set with too few queries that have a positive.
    """
    positives = pair.metric_positives() if pair.positives is None else pair.positives
    if (queries := sum(map(bool, positives))) < FEWEST_QUERIES:
        raise DatasetError(f'{pair.name}: {queries} of {len(positives)} queries have a positive '
                           f'in the map, recall needs {FEWEST_QUERIES} or more; give a run that '
                           'goes where the map goes')
    recalls = [recall_at(seen.queries @ seen.places.T, positives, count)
               for seen in (parent, child) for count in (1, 5)]
    parent_at_1, parent_at_5, at_1, at_5 = recalls
    cosine = (parent.queries * child.queries).sum(axis=1)
    return Verdict(queries, parent_at_1, parent_at_5, at_1, at_5,
                   {name: float(np.quantile(cosine, q)) for name, q in _QUANTILES.items()})


def shared(images: Sequence[Image], pair: RunPair) -> int:
    """Return how many query images of a pair are among `images`, pixel by pixel."""
    known = {_fingerprint(image) for image in images}
    return sum(_fingerprint(image) in known for image in pair.query.images)


def _fingerprint(image: Image) -> bytes:
    return hashlib.sha256(image.tobytes()).digest()


def _described(describer: Describer, images: Sequence[Image]) -> Descriptors:
    rows = [np.empty((0, describer.card.dim), np.float32)]
    pictures: Iterator[Image] = iter(images)
    while batch := list(islice(pictures, _BATCH)):
        rows.append(describer.describe(batch))
    return np.concatenate(rows)
