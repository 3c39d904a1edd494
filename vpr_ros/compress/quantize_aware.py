# SPDX-License-Identifier: Apache-2.0
"""An int8 network that learns, rounded as it will run, to describe as its float parent does.

For networks that lose too much when scales are only measured; compare Jacob et al., Quantization
and training of neural networks for efficient integer-arithmetic-only inference, CVPR 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import copy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
import torch

from vpr_ros.compress.finetune import learn, Teaching
from vpr_ros.compress.finetune_data import Pictures
from vpr_ros.compress.finetune_ranks import ALONE
from vpr_ros.compress.finetune_state import State
from vpr_ros.compress.fold_norms import fold_norms
from vpr_ros.compress.prune_config import LearnConfig
from vpr_ros.compress.qdq_graph import QdqGraph
from vpr_ros.compress.quantize_onnx import Batch, quantize_onnx
from vpr_ros.compress.quantize_openvino import reread_openvino
from vpr_ros.core.card import ModelCard, Preprocessing
from vpr_ros.core.types import Image
from vpr_ros.errors import ModelError
from vpr_ros.nets.export import export_onnx
from vpr_ros.nets.model_folder import GRAPH, INT8_GRAPH, OPENVINO_INT8
from vpr_ros.nets.network import Network
from vpr_ros.nets.torch_describer import load_network


@dataclass(frozen=True)
class Learning:
    """How long and how an int8 network learns; views are made of the images of the scales."""

    epochs: int
    views: int = 512            # of an epoch
    batch: int = 32
    learning_rate: float = 3e-4
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ModelError(f'an int8 network cannot learn for {self.epochs} epochs; give 1 or '
                             'more, or leave --learn out')

    @property
    def config(self) -> LearnConfig:
        """Return the knobs; sums of bfloat16 would be coarser than the integers."""
        return LearnConfig(views=self.views, batch=self.batch, learning_rate=self.learning_rate,
                           similarity=0.0, weight_decay=0.0, amp='off', threads=self.threads,
                           seed=self.seed)


@dataclass(frozen=True, eq=False)
class Learned:
    """The float network behind the integers, the int8 graph (a file), and how it was made."""

    network: Network
    graph: bytes
    how: str

    def write(self, folder: Path, preprocessing: Preprocessing, engines: Sequence[str]
              ) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
        """Write the graphs of a model folder; return its weights, and how each engine's was made.

        Raises ModelError where OpenVINO cannot read the graph.
        """
        export_onnx(self.network, preprocessing, folder / GRAPH)
        (folder / INT8_GRAPH).write_bytes(self.graph)
        how = dict.fromkeys(engines, self.how)
        if 'openvino' in engines:
            how['openvino'] += f'; {reread_openvino(folder / INT8_GRAPH, folder / OPENVINO_INT8)}'
        if 'onnxruntime' not in engines:
            (folder / INT8_GRAPH).unlink()
        return {name: tensor.numpy() for name, tensor in self.network.state_dict().items()}, how


def learn_int8(parent: Path, card: ModelCard, images: Sequence[Image], batches: Sequence[Batch],
               learning: Learning, say: Callable[[str], object] = print) -> Learned:
    """Return an int8 network that has learnt from the float network of a model folder.

    It begins as `quantize_onnx` makes it, with scales measured on `batches`. It learns from views
    of `images`. Raises ModelError where the network cannot be quantized for ONNX Runtime or has
    an operator that `graph_steps` does not know, and for a loss that is not finite.
    """
    import onnx
    config = learning.config
    torch.set_num_threads(config.threads)
    dense = load_network(parent, card).requires_grad_(False)
    network = copy.deepcopy(dense)
    fold_norms(network)
    with TemporaryDirectory() as scratch:
        plain, small = Path(scratch) / 'folded.onnx', Path(scratch) / 'int8.onnx'
        export_onnx(network, card.preprocessing, plain)
        how = quantize_onnx(plain, small, batches)
        student = QdqGraph(onnx.load(small), network)
    teaching = Teaching(dense, card.preprocessing, Pictures(images), config, ALONE)
    state = State(cast(Network, student), None, np.arange(card.dim))
    losses = []
    for loss in learn(teaching, state, learning.epochs):
        losses.append(loss)
        say(f'int8 learns: epoch {state.epoch}/{learning.epochs}  loss {loss:.5f}')
    student.cpu().eval().into(network)
    views = config.views * config.reuse
    return Learned(network, student.exported(), (
        f'{how}; learned for {learning.epochs} epochs of {views} views from its float parent '
        f'(straight-through estimator, scales learned, loss {losses[0]:.5f} to {losses[-1]:.5f})'))
