# SPDX-License-Identifier: Apache-2.0
import pytest

torch = pytest.importorskip('torch')
onnx = pytest.importorskip('onnx')

from vpr_ros.compress.float_nodes import float_nodes  # noqa: E402
from vpr_ros.core.card import Preprocessing  # noqa: E402
from vpr_ros.nets.aggregators import build_aggregator  # noqa: E402
from vpr_ros.nets.export import export_onnx  # noqa: E402
from vpr_ros.nets.network import Network  # noqa: E402


@pytest.fixture(scope='module')
def kinds(tmp_path_factory):
    """Return which kinds of nodes stay in float behind a small trunk, and which do not."""
    def of(aggregator, args):
        torch.manual_seed(0)
        trunk = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.ReLU6(), Sum(),
                                    torch.nn.Conv2d(8, 8, 1))
        network = Network(trunk, build_aggregator(aggregator, args, 8)).eval()
        file = tmp_path_factory.mktemp('graphs') / 'model.onnx'
        export_onnx(network, Preprocessing(32, 32), file)
        model = onnx.load(file)
        kept = set(float_nodes(model))
        return ([node.op_type for node in model.graph.node if node.name in kept],
                [node.op_type for node in model.graph.node if node.name not in kept])
    return of


class Sum(torch.nn.Module):
    """A residual block."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, 1)

    def forward(self, x):
        return x + self.conv(x)


def test_gem_keeps_its_power_its_clamp_and_its_linear(kinds):
    kept, left = kinds('gem', {'dim': 8})
    assert kept.count('Pow') == 2
    assert {'ReduceMean', 'Gemm', 'ReduceL2', 'Div', 'Clip'} <= set(kept)
    assert sorted(left) == ['Add', 'Clip', 'Conv', 'Conv', 'Conv']


def test_netvlad_keeps_its_softmax_and_what_it_is_taken_of(kinds):
    kept, left = kinds('netvlad', {'clusters': 3, 'dim': 6})
    assert 'Softmax' in kept
    assert kept.count('Conv') == 1, 'the assignment'
    assert kept.count('MatMul') + kept.count('Gemm') == 2, 'the sums and the whitening'
    assert not {'Softmax', 'MatMul', 'Gemm'} & set(left)
    assert left.count('Conv') == 3


def test_boq_keeps_attention_and_norms_but_not_its_projections(kinds):
    kept, left = kinds('boq', {'channels': 8, 'queries': 3, 'blocks': 1, 'rows': 2, 'heads': 2})
    assert {'Softmax', 'LayerNormalization'} <= set(kept)
    assert not set(left) & {'Softmax', 'LayerNormalization'}
    assert left.count('MatMul') + left.count('Gemm') >= 6


def test_mixvpr_mixes_in_int8_and_ends_in_float(kinds):
    kept, left = kinds('mixvpr', {'channels': 4, 'rows': 2, 'depth': 2, 'height': 16,
                                  'width': 16})
    assert kept.count('MatMul') == 1
    assert left.count('MatMul') == 5
    assert kept.count('LayerNormalization') == 2
