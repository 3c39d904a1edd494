# SPDX-License-Identifier: Apache-2.0
"""What every engine's describer does alike: preprocess, run in batches, check what comes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.card import ModelCard
from vpr_ros.core.types import Descriptors, Image
from vpr_ros.errors import ModelError
from vpr_ros.nets.checked import checked_descriptors
from vpr_ros.nets.preprocess import preprocess

_BATCH = 16  # images a run: more gain nothing on a CPU and cost memory


class EngineDescriber(ABC):
    """A network in one engine at one precision; a subclass runs (B, 3, H, W) -> (B, dim).

    `choice` says in one line why this engine and precision run, for logs and headers.
    `reads_later`: the graph's file must stay for as long as the describer is used.
    """

    reads_later = False

    def __init__(self, card: ModelCard, engine: str, precision: str, threads: int) -> None:
        if threads < 0:
            raise ModelError(f'threads must be 0 (the engine chooses) or more, not {threads}')
        self._card, self.engine, self.precision = card, engine, precision
        self.choice = f'{engine} {precision}, as asked'

    @property
    def card(self) -> ModelCard:
        """The card of the network that this runs."""
        return self._card

    def describe(self, images: Sequence[Image]) -> Descriptors:
        """Return one unit descriptor for each image, (B, dim).

        Raises FrameError for an image that is not (H, W, 3) uint8, ModelError when the engine
        fails or its output is not finite and of unit length.
        """
        rows = [np.empty((0, self._card.dim), np.float32)]
        for start in range(0, len(images), _BATCH):
            batch = preprocess(images[start:start + _BATCH], self._card.preprocessing)
            rows.append(self.describe_batch(batch))
        return np.concatenate(rows)

    def describe_batch(self, batch: NDArray[np.float32]) -> Descriptors:
        """Return one unit descriptor for each preprocessed image of (B, 3, H, W); ModelError."""
        return checked_descriptors(self._run(batch), len(batch), self._card, self.precision)

    def describe_nothing(self) -> None:
        """Run once: a broken network shows here, and the engine lays out its memory."""
        pre = self._card.preprocessing
        self.describe([np.zeros((pre.height_px, pre.width_px, 3), np.uint8)])

    @abstractmethod
    def _run(self, batch: NDArray[np.float32]) -> Any:
        """(B, 3, H, W) float32 -> (B, dim); raises ModelError when the engine fails."""


def refuse_size(shape: Sequence[Any], graph: object, card: ModelCard) -> None:
    """Raise ModelError unless a graph's input `shape` (B, 3, H, W) is its card's."""
    pre = card.preprocessing
    if list(shape)[1:] != [3, pre.height_px, pre.width_px]:
        raise ModelError(f'{graph} takes {list(shape)[1:]}, its card says {pre.height_px}x'
                         f'{pre.width_px}; export it again')
