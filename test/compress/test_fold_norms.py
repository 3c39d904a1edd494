# SPDX-License-Identifier: Apache-2.0
"""Norms go into the convolutions; the network does what it did, and its graph has its weights."""

import copy

import pytest

torch = pytest.importorskip('torch')
from torch import nn  # noqa: E402

from vpr_ros.compress.finetune import _set_training  # noqa: E402
from vpr_ros.compress.fold_norms import fold_norms  # noqa: E402
from vpr_ros.core.card import Preprocessing  # noqa: E402
from vpr_ros.nets.aggregators import Grid  # noqa: E402
from vpr_ros.nets.export import export_onnx  # noqa: E402
from vpr_ros.nets.network import Network  # noqa: E402


def folded(network):
    copied = copy.deepcopy(network)
    fold_norms(copied)
    return copied


def norms_of(network):
    return [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]


@pytest.mark.parametrize(('backbone', 'cut', 'width'), [
    ('mobilenet_v2', 'features.4', 0.25),        # depthwise
    ('resnet18', 'layer2', 0.25),                # a short cut with a norm of its own
    ('mobilenet_v3_large', 'features.4', 0.5),   # eps .001; squeezed and excited
    ('efficientnet_b0', 'features.2', 0.5),      # drops blocks at random while it learns
    ('vgg16', 'features.7', 0.25)])              # no norms
def test_the_network_does_what_it_did(make_dense, images, backbone, cut, width):
    network = make_dense('convap', backbone, cut, width)
    after = folded(network)
    torch.testing.assert_close(after(images), network(images), rtol=1e-4, atol=1e-5)
    for norm in norms_of(after):
        x = torch.randn(2, norm.num_features, 3, 3)
        wanted = x + norm.bias.view(-1, 1, 1)
        assert torch.equal(norm(x), wanted.detach()), 'its factor is not exactly one'
    assert len(norms_of(after)) == len(norms_of(network))


def test_folding_again_changes_no_bit(make_dense):
    once = folded(make_dense())
    twice = folded(once)
    for name, tensor in once.state_dict().items():
        assert torch.equal(tensor, twice.state_dict()[name]), name


class Odd(nn.Module):
    """Groups, biases, a convolution that two layers read, and a norm of the image."""

    def __init__(self):
        super().__init__()
        self.first = nn.BatchNorm2d(3)
        self.grouped, self.norm = nn.Conv2d(3, 6, 3, groups=3), nn.BatchNorm2d(6)
        self.read_twice, self.other = nn.Conv2d(6, 6, 1, groups=2), nn.BatchNorm2d(6)

    def forward(self, x):
        x = torch.relu(self.norm(self.grouped(self.first(x))))
        y = self.read_twice(x)
        return y + self.other(y)


@pytest.fixture
def odd():
    torch.manual_seed(3)
    network = Network(Odd(), Grid(2))
    for norm in norms_of(network):
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            nn.init.normal_(tensor)
        nn.init.uniform_(norm.running_var, 0.5, 2.0)
    nn.init.zeros_(network.backbone.norm.weight[1:2])
    return network.eval()


def test_only_a_norm_that_alone_reads_a_convolution_is_folded(odd, images):
    after = folded(odd)
    torch.testing.assert_close(after(images), odd(images), rtol=1e-4, atol=1e-5)
    same = {name: all(torch.equal(x, y) for x, y in zip(
        getattr(odd.backbone, name).state_dict().values(),
        getattr(after.backbone, name).state_dict().values(), strict=True))
        for name, _ in odd.backbone.named_children()}
    assert same == {'first': True, 'grouped': False, 'norm': False, 'read_twice': True,
                    'other': True}
    assert not after.backbone.grouped.weight[1].any(), 'a channel of factor zero is zero'


def test_what_is_folded_stays_so_while_it_learns_but_for_its_bias(make_dense, images):
    network = folded(make_dense())
    _set_training(network)
    before = copy.deepcopy(network.state_dict())
    learnt = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 0.1)
    network(images).sum().backward()
    learnt.step()
    changed = {name for name, tensor in network.state_dict().items()
               if not torch.equal(tensor, before[name])}
    assert any(name.endswith('conv.1.1.bias') for name in changed)
    for name, layer in network.named_modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert not {f'{name}.weight', f'{name}.running_mean', f'{name}.running_var'} & changed


@pytest.mark.parametrize(('backbone', 'cut'), [('mobilenet_v2', 'features.3'),
                                               ('mobilenet_v3_large', 'features.4')])
def test_the_graph_holds_the_very_weights(make_dense, tmp_path, backbone, cut):
    onnx = pytest.importorskip('onnx')
    network = folded(make_dense('convap', backbone, cut))
    export_onnx(network, Preprocessing(64, 64), tmp_path / 'model.onnx')
    graph = onnx.load(tmp_path / 'model.onnx').graph
    assert 'BatchNormalization' not in {node.op_type for node in graph.node}
    found = {(tuple(each.dims), onnx.numpy_helper.to_array(each).tobytes())
             for each in graph.initializer}
    convs = {name: layer.weight.detach() for name, layer in network.named_modules()
             if isinstance(layer, nn.Conv2d)}
    assert len(convs) > 6
    for name, weight in convs.items():
        assert (tuple(weight.shape), weight.numpy().tobytes()) in found, name
