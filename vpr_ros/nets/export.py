# SPDX-License-Identifier: Apache-2.0
"""A torch network as a model folder: card, plain tensors, and an ONNX graph for the robot."""

from __future__ import annotations

from collections.abc import Mapping
import logging
from pathlib import Path
from typing import Any
import warnings

import numpy as np
import safetensors.torch
import torch

from vpr_ros.core.card import ModelCard, Preprocessing, weights_digest
from vpr_ros.core.folder import new_folder, refuse_existing
from vpr_ros.errors import ModelError
from vpr_ros.nets.model_folder import GRAPH, seal_model, WEIGHTS
from vpr_ros.nets.network import Network
from vpr_ros.nets.onnx_describer import run_graph
from vpr_ros.nets.torch_describer import refuse_nan
from vpr_ros.nets.widths import widths_of

MIN_COSINE = 0.9999  # of a graph's descriptors with the network's, both in float32
_PROBES = 3          # another batch than the exporter saw


def card_of(network: Network, name: str, backbone: str, cut: str, aggregator: str,
            aggregator_args: Mapping[str, float], preprocessing: Preprocessing,
            licence: str, parent: str | None = None,
            notes: Mapping[str, Any] | None = None) -> ModelCard:
    """Return the card of a network: what is said here, and what the network itself shows."""
    with torch.inference_mode():
        dim = network.eval()(example(preprocessing, 1)).shape[1]
    return ModelCard(name, backbone, cut, aggregator, dict(aggregator_args), widths_of(network),
                     int(dim), preprocessing, weights_digest(weights_of(network)), parent=parent,
                     licence=licence, notes=notes or {})


def write_model(folder: Path, network: Network, card: ModelCard, force: bool = False) -> None:
    """Write a model folder, whole or not at all.

    Raises ModelError when the folder exists and `force` is not given, when weights are not
    finite, and when the card is not that of the network.
    """
    refuse_existing(folder, force, ModelError)
    refuse_nan(network, card.name)
    weights = weights_of(network)
    if weights_digest(weights) != card.digest:
        raise ModelError(f'the card of {card.name} is not that of the network to be written')
    with new_folder(folder, force, ModelError) as new:
        (new / WEIGHTS).write_bytes(weights)
        export_onnx(network, card.preprocessing, new / GRAPH)
        seal_model(new, card)


def export_onnx(network: Network, preprocessing: Preprocessing, path: Path) -> None:
    """Write the network as one ONNX file: any batch, the input size fixed, no data beside it."""
    logging.getLogger('torch.onnx').setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of deprecations inside the exporter
        program = torch.onnx.export(
            network.eval(), (example(preprocessing, 2),), dynamo=True, verbose=False,
            input_names=['image'], output_names=['descriptor'],
            dynamic_shapes=({0: torch.export.Dim('batch')},))
    if program is None:
        raise ModelError('the ONNX exporter returned nothing; is onnxscript installed?')
    path.write_bytes(_stripped(program.model_proto).SerializeToString())
    refuse_disparity(network, preprocessing, path)


def refuse_disparity(network: Network, preprocessing: Preprocessing, graph: Path) -> None:
    """Raise ModelError unless the graph gives the network's descriptors, of a batch of noise."""
    size = (_PROBES, 3, preprocessing.height_px, preprocessing.width_px)
    noise = np.random.default_rng(0).standard_normal(size, np.float32)
    with torch.inference_mode():
        wanted = network.eval()(torch.from_numpy(noise)).numpy()
    cosine = float((wanted * run_graph(graph, noise)).sum(axis=1).min())
    if not cosine >= MIN_COSINE:
        raise ModelError(f'the exported graph does not do what the network does: cosine '
                         f'{cosine:.5f}, below {MIN_COSINE}; report it with its card')


def _stripped(model: Any) -> Any:
    """Return an ONNX model without the exporter's notes, which hold paths of this machine."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input,
                 *graph.output):
        del part.metadata_props[:]
        part.doc_string = ''
    return model


def example(preprocessing: Preprocessing, batch: int) -> torch.Tensor:
    """Return an input of zeros, (batch, 3, height, width)."""
    return torch.zeros(batch, 3, preprocessing.height_px, preprocessing.width_px)


def weights_of(network: Network, made: str = '') -> bytes:
    """Return the bytes of the weights file; equal networks, `made` alike, give equal bytes.

    `made` says in the file what sets this model apart from another with the same weights.
    """
    state = {name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()}
    return safetensors.torch.save(state, {'vpr_ros': made} if made else None)
