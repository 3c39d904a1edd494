# SPDX-License-Identifier: Apache-2.0
"""What a pruned network recalls, how large it is, how fast it runs, beside its parent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from time import process_time

import numpy as np
import torch

from vpr_ros.compress.distill_eval import recall_at
from vpr_ros.compress.prune_points import Recalled, Speed
from vpr_ros.compress.quantize_judge import FEWEST_QUERIES, Seen
from vpr_ros.core.card import ModelCard
from vpr_ros.core.place_index import PlaceIndex
from vpr_ros.core.precision import Precision, stored
from vpr_ros.core.types import Descriptors, Image
from vpr_ros.datasets.run import RunPair
from vpr_ros.errors import DatasetError
from vpr_ros.nets.model_folder import load_describer, read_card
from vpr_ros.nets.network import Network
from vpr_ros.nets.preprocess import preprocess

_BATCH = 16
_ROUNDS = 30
_MATCHES = 10


class Judge:
    """Asks networks the same sets; by the first `choosing` of them one may choose."""

    def __init__(self, pairs: Sequence[RunPair], choosing: int = 1) -> None:
        """Take the sets.

        Raises DatasetError for one with too few queries that have a positive, and when none is
        there to choose by.
        """
        if not 1 <= choosing <= len(pairs):
            raise DatasetError(f'{choosing} of {len(pairs)} sets cannot choose; give at least '
                               'one set that is not trained on')
        self._pairs, self._choosing = pairs, choosing
        self._positives = [pair.metric_positives() if pair.positives is None else pair.positives
                           for pair in pairs]
        self._parents_maps: list[Descriptors] = []
        for pair, positives in zip(pairs, self._positives, strict=True):
            if (queries := sum(map(bool, positives))) < FEWEST_QUERIES:
                raise DatasetError(f'{pair.name}: {queries} of {len(positives)} queries have a '
                                   f'positive in the map, recall needs {FEWEST_QUERIES} or more; '
                                   'give a run that goes where the map goes')

    @property
    def pairs(self) -> Sequence[RunPair]:
        """Return the sets; the first one chooses."""
        return self._pairs

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the sets."""
        return tuple(pair.name for pair in self._pairs)

    def takes_for_parent(self, parent: Network, card: ModelCard) -> None:
        """Describe the maps once by the parent, so that children can be asked about these."""
        self._parents_maps = [described(parent, card, pair.mapping.images)
                              for pair in self._pairs]

    def recalls(self, network: Network, card: ModelCard) -> tuple[Recalled, ...]:
        """Return what a network recalls of each set, by exact search."""
        return self.recalled(self.seen(partial(described, network, card)))

    def seen(self, describe: Callable[[Sequence[Image]], Descriptors]) -> Iterator[Seen]:
        """Yield the sets, one after the other, as something describes them."""
        return (Seen(describe(pair.mapping.images), describe(pair.query.images))
                for pair in self._pairs)

    def recalled(self, seen: Iterable[Seen]) -> tuple[Recalled, ...]:
        """Return what is recalled of each set, by exact search among the descriptors given."""
        found = []
        for i, (one, pair) in enumerate(zip(seen, self._pairs, strict=True)):
            queries, places, positives = one.queries, one.places, self._positives[i]
            at_1, at_5 = (recall_at(queries @ places.T, positives, n) for n in (1, 5))
            parents = self._parents_maps[i] if self._parents_maps else places
            crossed = (recall_at(queries @ parents.T, positives, 1)
                       if parents.shape[1] == queries.shape[1] else None)
            found.append(Recalled(pair.name, i < self._choosing, sum(map(bool, positives)), at_1,
                                  at_5, crossed, pair.protocol))
        return tuple(found)


def described(network: Network, card: ModelCard, images: Sequence[Image]) -> Descriptors:
    """Return the descriptors (N, dim) of images, by torch in float32.

    The card says how images are preprocessed; it may be that of the network's parent.
    """
    device = next(network.parameters()).device
    rows = []
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            batch = preprocess([images[i] for i in range(start, min(start + _BATCH,
                                                                    len(images)))],
                               card.preprocessing)
            rows.append(network.eval()(torch.from_numpy(batch).to(device)).cpu().numpy())
    return np.concatenate(rows)


def speed_of(folder: Path, parent: Path, places: int, engine: str = 'auto',
             kept: Precision = Precision.FLOAT32) -> Speed:
    """Return the speed of a model folder and its parent's, measured in turn on one engine.

    With one thread; both search maps of `places` that are `kept` alike.
    """
    first = load_describer(parent, 1, engine)
    second = load_describer(folder, 1, first.engine, first.precision)
    cards = read_card(parent), read_card(folder)
    size = cards[0].preprocessing
    # of the input's size: what resizing costs is the camera's affair, and equal for both
    picture = np.random.default_rng(0).integers(0, 255, (size.height_px, size.width_px, 3),
                                                np.uint8)
    searches = [search_among(places, card.dim, kept) for card in cards]
    parent_ms, child_ms, parent_match_ms, child_match_ms = medians_ms(
        [lambda: first.describe([picture]), lambda: second.describe([picture]), *searches])
    return Speed(f'{first.engine} {first.precision}', child_ms, parent_ms, child_match_ms,
                 parent_match_ms, places)


def medians_ms(tasks: Sequence[Callable[[], object]], rounds: int = _ROUNDS) -> list[float]:
    """Return the median processor milliseconds of each task, all in turn, round by round."""
    spent: list[list[float]] = [[] for _ in tasks]
    for number in range(rounds + 3):
        for task, times in zip(tasks, spent, strict=True):
            start = process_time()
            task()
            if number > 2:  # the first rounds warm caches up
                times.append((process_time() - start) * 1e3)
    return [float(np.median(times)) for times in spent]


def search_among(places: int, dim: int, precision: Precision = Precision.FLOAT32
                 ) -> Callable[[], object]:
    """Return a task to time: one query against a map of random places."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((places, dim), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index, query = PlaceIndex(stored(rows, precision)), rows[0].copy()
    return lambda: index.search(query, _MATCHES)
