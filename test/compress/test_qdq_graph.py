# SPDX-License-Identifier: Apache-2.0
"""An int8 graph that torch runs is the one that the engine runs, before it learns and after."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip('torch')
onnx = pytest.importorskip('onnx')

from vpr_ros.compress.fold_norms import fold_norms  # noqa: E402
from vpr_ros.compress.qdq_graph import QdqGraph  # noqa: E402
from vpr_ros.compress.quantize_onnx import quantize_onnx  # noqa: E402
from vpr_ros.core.card import Preprocessing  # noqa: E402
from vpr_ros.errors import ModelError  # noqa: E402
from vpr_ros.nets.export import export_onnx  # noqa: E402
from vpr_ros.nets.onnx_describer import run_graph  # noqa: E402

RECIPES = {   # with all operators between them: depthwise, halves side by side, softmax, a clamp
    'mobilenet': ('gem-linear', 'mobilenet_v2', 'features.3'),
    'squeezenet': ('netvlad-both', 'squeezenet1_1', 'features.4'),
    'mobilenet3': ('boq', 'mobilenet_v3_large', 'features.4'),
    'resnet': ('mixvpr', 'resnet18', 'layer2')}


@pytest.fixture(scope='module', params=RECIPES)
def made(request, make_dense, images, tmp_path_factory):
    """A network with folded norms, and its int8 model."""
    network = make_dense(*RECIPES[request.param])
    fold_norms(network)
    folder = tmp_path_factory.mktemp('int8')
    export_onnx(network, Preprocessing(64, 64), folder / 'model.onnx')
    quantize_onnx(folder / 'model.onnx', folder / 'int8.onnx',
                  [image[None].numpy() for image in images])
    return network, onnx.load(folder / 'int8.onnx')


def by_engine(content, images, tmp_path):
    (tmp_path / 'graph.onnx').write_bytes(content)
    return run_graph(tmp_path / 'graph.onnx', images.numpy())


def by_torch(graph, images):
    with torch.no_grad():
        return graph.eval()(images).numpy()


def near(found, wanted):
    """Say whether descriptors agree but for sums that round to the next integer."""
    return (found * wanted).sum(axis=1).min() > 0.9995


def test_torch_gives_what_the_engine_gives(made, images, tmp_path):
    network, model = made
    wanted = by_engine(model.SerializeToString(), images, tmp_path)
    found = by_torch(QdqGraph(model, network), images)
    assert near(found, wanted)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)


def test_what_learned_nothing_is_written_as_it_came(made):
    network, model = made
    again = onnx.ModelProto.FromString(QdqGraph(model, network).exported())
    assert [node.op_type for node in again.graph.node] == [
        node.op_type for node in model.graph.node]
    for old, new in zip(model.graph.initializer, again.graph.initializer, strict=True):
        wanted, found = onnx.numpy_helper.to_array(old), onnx.numpy_helper.to_array(new)
        assert (old.name, wanted.dtype, wanted.shape) == (new.name, found.dtype, found.shape)
        off = np.abs(wanted.astype(np.float64) - found)
        # Its scales are made in another order of operations: a bias may be off by a few steps.
        near_enough = 1e-5 * np.abs(wanted) + (2 if wanted.dtype == np.int32 else 1e-9)
        assert (off <= near_enough).all(), old.name


def test_all_but_what_norms_were_learns(made):
    network, model = made
    graph = QdqGraph(model, network)
    norms = {name for name, layer in network.named_modules()
             if isinstance(layer, torch.nn.BatchNorm2d)}
    frozen = {name for name, _ in network.named_parameters()
              if name.startswith('backbone.')} - graph.learns
    assert frozen == {f'{name}.weight' for name in norms}
    assert sum(name.startswith('aggregator.') for name in graph.learns) > 2
    graph(torch.randn(2, 3, 64, 64)).sum().backward()
    learnt = [each for each in graph.parameters() if each.requires_grad]
    assert all(each.grad is not None for each in learnt)
    assert graph.log_scales.grad.abs().max() > 0.0


def test_after_it_learned_engine_and_torch_agree_again(made, images, tmp_path):
    network, model = made
    graph, plain = QdqGraph(model, network), copy.deepcopy(network)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in [*graph.learnt, graph.log_scales]:
            if weight.requires_grad:
                weight += 0.1 * torch.randn(weight.shape, generator=generator)
    found = by_torch(graph, images)
    before = by_engine(model.SerializeToString(), images, tmp_path)
    assert not near(found, before)
    assert near(found, by_engine(graph.exported(), images, tmp_path))
    graph.into(plain)   # the float network behind the integers
    with torch.no_grad():
        assert (plain(images).numpy() * found).sum(axis=1).min() > (
            before * found).sum(axis=1).min()
    again = copy.deepcopy(graph)
    assert np.array_equal(by_torch(again, images), found)


@pytest.mark.parametrize('made', ['mobilenet', 'resnet'], indirect=True)
def test_scales_that_are_too_wide_are_learned(made, images):
    network, model = made
    graph = QdqGraph(model, network)
    with torch.no_grad():
        graph.log_scales += 3.0   # some ten levels are left of 256
    wanted, losses = network(images).detach(), []
    learner = torch.optim.Adam([graph.log_scales], 0.1)
    for _ in range(15):
        loss = (1.0 - (graph(images) * wanted).sum(dim=1)).mean()
        losses.append(loss.item())
        learner.zero_grad()
        loss.backward()
        learner.step()
    assert losses[-1] < 0.5 * losses[0]


def test_the_graph_of_another_network_is_refused(make_dense):
    from onnx import helper, TensorProto
    graph = helper.make_graph(
        [helper.make_node('Relu', ['x'], ['y'])], 'g',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, [1])])
    with pytest.raises(ModelError, match='has no weight of the network; export it again'):
        QdqGraph(helper.make_model(graph), make_dense())


def test_an_operator_that_is_not_known_is_named(made):
    network, model = made
    strange = onnx.ModelProto.FromString(model.SerializeToString())
    strange.graph.node[-1].op_type = 'Einsum'
    with pytest.raises(ModelError, match='Einsum cannot learn in int8; quantize it without --lea'):
        QdqGraph(strange, network)
