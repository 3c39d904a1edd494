# SPDX-License-Identifier: Apache-2.0
"""A pruned network is a model folder like any other: rebuilt from its card, run by any engine."""

import pytest
import torch

from vpr_ros.compress.prune_scores import CRITERIA
from vpr_ros.compress.prune_widths import Plan
from vpr_ros.core.card import ModelCard, Preprocessing
from vpr_ros.nets.export import card_of, write_model
from vpr_ros.nets.model_folder import GRAPH
from vpr_ros.nets.network import rebuild
from vpr_ros.nets.onnx_describer import OnnxDescriber
from vpr_ros.nets.torch_describer import load_network, TorchDescriber
from vpr_ros.nets.widths import widths_of

HEADS = ('gem', 'gem-linear', 'convap', 'grid', 'mixvpr', 'netvlad', 'netvlad-reduce',
         'netvlad-whiten', 'netvlad-both', 'boq')
SIDE = Preprocessing(64, 64)
HALF = Plan(0.5, 0.7, multiple=4)


@pytest.fixture
def no_graph(monkeypatch):
    """Write a stand-in for the graph, since the exporter takes seconds."""
    monkeypatch.setattr('vpr_ros.nets.export.export_onnx',
                        lambda network, preprocessing, path: path.write_bytes(b'no graph'))


def card_for(network, head, heads):
    aggregator, args = heads[head]
    return card_of(network, 'cut', 'mobilenet_v2', 'features.4', aggregator, args, SIDE,
                   'Apache-2.0', parent='0' * 64)


@pytest.mark.usefixtures('no_graph')
@pytest.mark.parametrize('criterion', CRITERIA)
@pytest.mark.parametrize('head', HEADS)
def test_a_cut_network_is_what_its_folder_gives_back(
        make_dense, prune_by, heads, images, tmp_path, head, criterion):
    network = make_dense(head)
    smaller, _ = prune_by(network, HALF, criterion)
    dense, left = widths_of(network), widths_of(smaller)
    assert sum(left[name] < dense[name] for name in dense) > 15
    card = card_for(smaller, head, heads)
    write_model(tmp_path / 'model', smaller, card)
    loaded = TorchDescriber.load(tmp_path / 'model')
    assert loaded.card == card
    assert loaded.card.widths == left
    again = load_network(tmp_path / 'model', card).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in smaller.state_dict().items())
    with torch.inference_mode():
        wanted = smaller(images)
    assert wanted.shape == (4, card.dim)
    # but for the order of sums, which hangs on where weights lie in memory
    torch.testing.assert_close(torch.from_numpy(loaded.describe_batch(images.numpy())), wanted,
                               rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('head', HEADS)
def test_a_card_as_text_gives_every_width_again(make_dense, prune_by, heads, images, head):
    smaller, _ = prune_by(make_dense(head), HALF)
    card = ModelCard.from_json(card_for(smaller, head, heads).to_json(), 'card.json')
    again = rebuild(card)
    assert widths_of(again) == widths_of(smaller)
    again.load_state_dict(smaller.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(again(images), smaller(images), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('head', ['gem-linear', 'convap', 'grid', 'mixvpr', 'netvlad-both', 'boq'])
def test_the_graph_of_a_cut_network_does_what_it_does(
        make_dense, prune_by, heads, images, tmp_path, head):
    smaller, _ = prune_by(make_dense(head), HALF)
    card = card_for(smaller, head, heads)
    write_model(tmp_path / 'model', smaller, card)
    engine = OnnxDescriber(tmp_path / 'model' / GRAPH, card, threads=1)
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(engine.describe_batch(images.numpy())),
                                   smaller(images), rtol=1e-3, atol=1e-5)
