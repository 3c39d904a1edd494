# SPDX-License-Identifier: Apache-2.0
"""A small network learns in int8 and becomes a model folder that runs."""

import importlib.util

import numpy as np
import pytest
import safetensors.numpy

torch = pytest.importorskip('torch')
pytest.importorskip('onnx', reason='quantizing needs onnx')

from vpr_ros.compress.quantize import quantize  # noqa: E402
from vpr_ros.compress.quantize_aware import Learning  # noqa: E402
from vpr_ros.compress.self_labelled import self_labelled  # noqa: E402
from vpr_ros.core.card import Preprocessing  # noqa: E402
from vpr_ros.errors import ModelError  # noqa: E402
from vpr_ros.nets.export import card_of, write_model  # noqa: E402
from vpr_ros.nets.model_folder import (  # noqa: E402
    INT8_GRAPH,
    load_describer,
    OPENVINO_INT8,
    read_card,
    WEIGHTS,
)
from vpr_ros.nets.torch_describer import load_network  # noqa: E402

LEARNING = Learning(2, views=16, batch=8)
HAS_NNCF = all(importlib.util.find_spec(name) for name in ('nncf', 'openvino'))


@pytest.fixture(scope='module')
def pictures():
    rng = np.random.default_rng(0)
    return [np.kron(rng.integers(0, 256, (6, 6, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
            for _ in range(16)]


@pytest.fixture(scope='module')
def parent(make_dense, tmp_path_factory):
    folder = tmp_path_factory.mktemp('models') / 'tiny'
    network = make_dense('convap', cut='features.3')
    write_model(folder, network, card_of(network, 'tiny', 'mobilenet_v2', 'features.3', 'convap',
                                         {'channels': 24, 'grid': 2}, Preprocessing(48, 48),
                                         'Apache-2.0'))
    return folder


@pytest.fixture(scope='module')
def child(parent, pictures, tmp_path_factory):
    """The folder of the child, what was found about it, and what was said."""
    out, said = tmp_path_factory.mktemp('int8') / 'small', []
    done = quantize(parent, pictures[:8], self_labelled(pictures[8:]), out, learning=LEARNING,
                    form='both' if HAS_NNCF else 'onnxruntime', max_drop_points=100.0,
                    say=said.append)
    return out, done, said


def test_it_learns_and_says_so(child):
    out, done, said = child
    epochs = [line for line in said if line.startswith('int8 learns: epoch')]
    assert [line.split()[3] for line in epochs] == ['1/2', '2/2']
    method = done.card.notes['int8']['onnxruntime']['method']
    assert 'QDQ' in method
    assert 'learned for 2 epochs of 32 views from its float parent' in method
    assert read_card(out) == done.card


def test_it_is_a_model_of_its_own_that_runs_as_it_learned(child, parent, pictures):
    out, _, _ = child
    card, of_parent = read_card(out), read_card(parent)
    assert (card.precision, card.parent) == ('int8', of_parent.digest)
    assert card.widths == of_parent.widths
    old, new = (safetensors.numpy.load_file(folder / WEIGHTS) for folder in (parent, out))
    moved = [name for name in old if name.endswith('conv.1.0.weight')]
    assert not any(np.array_equal(old[name], new[name]) for name in moved)
    with torch.inference_mode():   # the float network is the one behind the integers
        load_network(out, card)(torch.zeros(1, 3, 48, 48))
    describer = load_describer(out, 1, 'onnxruntime', 'int8')
    floats = load_describer(out, 1, 'onnxruntime', 'fp32')
    cosine = (describer.describe(pictures) * floats.describe(pictures)).sum(axis=1)
    assert 0.98 < cosine.min() < 0.999999


@pytest.mark.skipif(not HAS_NNCF, reason='nncf and openvino are not installed')
def test_openvino_runs_the_same_graph(child, pictures):
    out, done, _ = child
    assert (out / OPENVINO_INT8).is_file()
    assert (out / INT8_GRAPH).is_file()
    assert done.card.notes['int8']['openvino']['method'].endswith('; the same graph')
    first, second = (load_describer(out, 1, engine, 'int8').describe(pictures)
                     for engine in ('onnxruntime', 'openvino'))
    assert (first * second).sum(axis=1).min() > 0.995


@pytest.mark.parametrize('epochs', [0, -1])
def test_no_epochs_are_refused(epochs):
    with pytest.raises(ModelError, match=f'cannot learn for {epochs} epochs; give 1 or more, or '
                                         'leave --learn out'):
        Learning(epochs)


def test_knobs_of_learning_without_it_are_refused(parent, tmp_path):
    from vpr_ros.tools.engine_commands import quantize as command
    with pytest.raises(ModelError, match='--views and --learning-rate: for how many epochs'):
        command(parent, images=tmp_path, out=tmp_path / 'out', views=8, learning_rate=0.1)
