# SPDX-License-Identifier: Apache-2.0
"""Torch describes images: the reference that exported models are held against."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from vpr_ros.core.card import ModelCard
from vpr_ros.core.types import Descriptors, Image
from vpr_ros.errors import ModelError
from vpr_ros.nets.checked import checked_descriptors
from vpr_ros.nets.model_folder import read_card, WEIGHTS
from vpr_ros.nets.network import Network, rebuild
from vpr_ros.nets.preprocess import preprocess

_BATCH = 16


class TorchDescriber:
    """A network in torch; the same interface, card and preprocessing as the engines'."""

    def __init__(self, network: Network, card: ModelCard) -> None:
        self._network = network.eval()
        self._card = card

    @classmethod
    def load(cls, folder: Path) -> TorchDescriber:
        """Return the describer of a model folder; raises ModelError."""
        card = read_card(folder)
        return cls(load_network(folder, card), card)

    @property
    def card(self) -> ModelCard:
        """The card of the network that this runs."""
        return self._card

    def describe(self, images: Sequence[Image]) -> Descriptors:
        """Return one unit descriptor for each image, (B, dim); raises as OnnxDescriber does."""
        rows = [np.empty((0, self._card.dim), np.float32)]
        for start in range(0, len(images), _BATCH):
            batch = preprocess(images[start:start + _BATCH], self._card.preprocessing)
            with torch.inference_mode():
                out = self._network(torch.from_numpy(batch)).numpy()
            rows.append(checked_descriptors(out, len(batch), self._card))
        return np.concatenate(rows)


def load_network(folder: Path, card: ModelCard) -> Network:
    """Return the network of a model folder, in evaluation mode.

    Raises ModelError when weights and card do not fit exactly, or weights are not finite.
    """
    network = rebuild(card)
    try:
        network.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
    except (RuntimeError, safetensors.SafetensorError) as error:
        raise ModelError(f'{folder / WEIGHTS} does not fit its card ({error}); '
                         'export it again') from error
    refuse_nan(network, str(folder / WEIGHTS))
    return network


def refuse_nan(network: torch.nn.Module, where: str) -> None:
    """Raise ModelError when a weight is NaN or infinite; `where` names them in the message."""
    for name, tensor in network.state_dict().items():
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(f'{where}: {name} is not finite; train or import the model again')
