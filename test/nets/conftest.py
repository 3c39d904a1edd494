# SPDX-License-Identifier: Apache-2.0
"""Small networks and their folders; torch is what made them, so without it nothing runs here."""

from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

torch = pytest.importorskip('torch')

from vpr_ros.core.card import ModelCard, Preprocessing, weights_digest  # noqa: E402
from vpr_ros.nets.export import card_of, write_model  # noqa: E402
from vpr_ros.nets.model_folder import GRAPH, seal_model, WEIGHTS  # noqa: E402
from vpr_ros.nets.network import build_network, Network  # noqa: E402

torch.set_num_threads(1)  # on a busy machine two wait for each other
SIDE_PX = 64


def shaken(network: Network, seed: int) -> Network:
    """Give a network weights and batch statistics that differ from everything's start."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith('running_var'):
            tensor.uniform_(0.5, 2.0, generator=generator)
        elif name.endswith('running_mean'):
            tensor.normal_(0.0, 0.2, generator=generator)
    return network.eval()


@pytest.fixture(scope='session')
def make_network() -> Callable[..., tuple[Network, ModelCard]]:
    """Return a maker of (network, card) with random weights; a seed makes them repeatable."""
    def make(backbone: str = 'mobilenet_v2', cut: str = 'features.4', aggregator: str = 'convap',
             args: dict[str, float] | None = None, width_mult: float = 0.25, seed: int = 0,
             **card: Any) -> tuple[Network, ModelCard]:
        args = {'channels': 6, 'grid': 3} if args is None else args
        torch.manual_seed(seed)
        network = shaken(build_network(backbone, cut, aggregator, args, width_mult), seed)
        return network, card_of(network, 'small', backbone, cut, aggregator, args,
                                Preprocessing(SIDE_PX, SIDE_PX), 'Apache-2.0', **card)
    return make


@pytest.fixture(scope='session')
def model_folder(make_network: Callable[..., Any],
                 tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model folder that no test may change."""
    folder = tmp_path_factory.mktemp('models') / 'small'
    write_model(folder, *make_network())
    return folder


@pytest.fixture(scope='session')
def folder_of_arrays() -> Callable[..., ModelCard]:
    """Return a maker of model folders whose weights are any arrays; nothing can run them."""
    def make(folder: Path, arrays: dict[str, np.ndarray], graph: bytes = b'no graph',
             **more: bytes) -> ModelCard:
        weights = safetensors.numpy.save(arrays)
        card = ModelCard('arrays', 'none', 'none', 'grid', {}, {'layer': (256, 256)}, 4,
                         Preprocessing(SIDE_PX, SIDE_PX), weights_digest(weights))
        folder.mkdir()
        for name, data in {WEIGHTS: weights, GRAPH: graph, **more}.items():
            (folder / name).write_bytes(data)
        seal_model(folder, card)
        return card
    return make


@pytest.fixture
def no_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a stand-in for the graph, since the exporter takes seconds."""
    monkeypatch.setattr('vpr_ros.nets.export.export_onnx',
                        lambda network, preprocessing, path: path.write_bytes(b'no graph'))


@pytest.fixture(scope='session')
def pictures() -> Callable[..., list[np.ndarray]]:
    """Return a maker of random pictures of different sizes."""
    def make(count: int, seed: int = 0) -> list[np.ndarray]:
        rng = np.random.default_rng(seed)
        sizes = [(48, 64), (120, 160), (64, 64), (33, 97)]
        return [rng.integers(0, 256, (*sizes[i % 4], 3), dtype=np.uint8) for i in range(count)]
    return make


@pytest.fixture(scope='session')
def published() -> ModuleType:
    """Return the module beside this one: others' layouts and formulas, without the package."""
    spec = spec_from_file_location('published', Path(__file__).with_name('published.py'))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
