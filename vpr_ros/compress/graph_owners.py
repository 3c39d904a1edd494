# SPDX-License-Identifier: Apache-2.0
"""Which weight of a network an array in its exported graph is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpr_ros.compress.fold_norms import norms_behind
from vpr_ros.nets.network import Network

Array = NDArray[Any]


class Owners:
    """The weights of a network with folded norms, under the names that its graph has for them."""

    def __init__(self, network: Network) -> None:
        """Take a network whose graph names arrays after its weights, as the exporter does."""
        self._weights = {name: weight.detach().cpu().numpy()
                         for name, weight in network.named_parameters()}
        # The exporter calls the bias that a norm gave after the weight that has it now.
        names = {layer: name for name, layer in network.named_modules()}
        self._aliases = {f'{names[conv]}.weight_bias': f'{names[norm]}.bias'
                         for conv, norm in norms_behind(network).items()}

    def of(self, name: str, array: Array, near: Array | float = 0.0) -> tuple[str, bool] | None:
        """Return the weight that an array is, and whether it is transposed; None: of nobody.

        They may differ by `near`. Matrices are known by their numbers where the graph has given
        them another name.
        """
        known = self._aliases.get(name, name)
        if known in self._weights:
            return (known, False) if _equal(self._weights[known], array, near) else None
        found = [(each, flipped) for each, weight in self._weights.items() if weight.ndim == 2
                 for flipped in (False, True)
                 if _equal(weight.T if flipped else weight, array, near)]
        return found[0] if len(found) == 1 else None

    def value(self, name: str) -> Array:
        """Return a weight of the network."""
        return self._weights[name]


def _equal(weight: Array, array: Array, near: Array | float) -> bool:
    return weight.shape == array.shape and bool((np.abs(weight - array) <= near).all())
