# SPDX-License-Identifier: Apache-2.0
"""Torch describes images: the reference that exported models are held against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
import safetensors.torch
import torch
from torch import Tensor

from vpr_ros.core.card import ModelCard
from vpr_ros.errors import ModelError
from vpr_ros.nets.engine_describer import EngineDescriber
from vpr_ros.nets.model_folder import read_card, WEIGHTS
from vpr_ros.nets.network import Network, rebuild
from vpr_ros.nets.opened_model import opened


class TorchDescriber(EngineDescriber):
    """A network in torch: eager fp32 on the CPU, or fp16 by CUDA graphs on a GPU (not run)."""

    def __init__(self, network: Network, card: ModelCard, threads: int = 0,
                 precision: str = 'fp32') -> None:
        """Take the network; `threads` other than 0 are set for all of torch in this process.

        Raises ModelError for fp16 without CUDA, and for precisions that torch has none of here.
        """
        super().__init__(card, 'torch', precision, threads)
        if precision not in float_precisions():
            raise ModelError(f'torch runs {" and ".join(float_precisions())} here, not '
                             f'{precision}; fp16 needs a CUDA device, int8 another engine')
        if threads:
            torch.set_num_threads(threads)
        self._network: Any = network.eval()
        self._device, self._type = torch.device('cpu'), torch.float32
        if precision == 'fp16':
            self._to_cuda()

    @classmethod
    def load(cls, folder: Path, threads: int = 0, precision: str = 'fp32') -> TorchDescriber:
        """Return the describer of a model folder; raises ModelError."""
        card = read_card(folder)
        return cls(load_network(folder, card), card, threads, precision)

    def _run(self, batch: NDArray[np.float32]) -> Any:
        with torch.inference_mode():
            images = torch.from_numpy(batch).to(self._device, self._type)
            return self._network(images).cpu().numpy()

    def _to_cuda(self) -> None:
        """Compile for CUDA graphs; written from torch's documentation and not run."""
        self._device, self._type = torch.device('cuda'), torch.float16
        network = self._network.to(self._device, memory_format=torch.channels_last)
        network.backbone.half()  # not the aggregator: GeM's power leaves fp16's range

        def described(images: Tensor) -> Any:
            return network.aggregator(network.backbone(images).float())

        self._network = torch.compile(described, mode='reduce-overhead')
        self.describe_nothing()


def float_precisions() -> tuple[str, ...]:
    """Return the float precisions that torch runs networks in here, fp32 first."""
    return ('fp32', 'fp16') if torch.cuda.is_available() else ('fp32',)


def load_network(folder: Path, card: ModelCard) -> Network:
    """Return the network of a model folder, in evaluation mode.

    Raises ModelError when weights and card do not fit exactly, or weights are not finite.
    """
    network, folder = rebuild(card), opened(folder)
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
