# SPDX-License-Identifier: Apache-2.0
"""The faulty arm of the benchmark is faulty as it says, and in nothing else."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

from vpr_ros.compress.prune_widths import Plan
from vpr_ros.nets.widths import widths_of

BENCH = Path(__file__).resolve().parents[2] / 'bench'


def load(name):
    """Return a file of bench/ as a module."""
    if not (BENCH / f'{name}.py').is_file():
        pytest.skip('the benchmarks are in a checkout only')
    spec = spec_from_file_location(f'bench_{name}', BENCH / f'{name}.py')
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize('sort', [True, False])
def test_only_the_heads_inputs_differ_and_they_are_those_of_the_longest_columns(
        make_dense, prune_by, sort):
    dense = make_dense('convap')
    with torch.no_grad():   # column lengths 1, 8, 2, 7, ...: which the backbone loses is another
        dense.aggregator.conv.weight[:] = torch.tensor(
            [1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0, 5.0])[:, None, None]
    pruned, kept = prune_by(dense, Plan(0.5, multiple=1), 'random')
    faulty = load('as_published').with_published_inputs(pruned, dense, sort)
    assert widths_of(faulty) == widths_of(pruned)
    chosen = [1, 3, 5, 7]   # 8, 7, 6, 5: already in falling order
    assert kept['backbone.features.4.conv.2'].nonzero()[0].tolist() != chosen
    torch.testing.assert_close(faulty.aggregator.conv.weight,
                               dense.aggregator.conv.weight[:, chosen])
    for name, tensor in faulty.state_dict().items():
        assert name == 'aggregator.conv.weight' or torch.equal(
            tensor, pruned.state_dict()[name]), name


def test_columns_are_stored_by_falling_length_or_in_their_order(make_dense, prune_by):
    dense = make_dense('convap')
    with torch.no_grad():
        dense.aggregator.conv.weight[:] = torch.arange(1.0, 9.0)[:, None, None]
    pruned, _ = prune_by(dense, Plan(0.5, multiple=1))
    found = [load('as_published').with_published_inputs(pruned, dense, sort)
             .aggregator.conv.weight[0].flatten().tolist() for sort in (True, False)]
    assert found == [[8.0, 7.0, 6.0, 5.0], [5.0, 6.0, 7.0, 8.0]]


def test_a_head_that_loses_no_inputs_is_left_alone(make_dense):
    dense = make_dense('convap')
    same = load('as_published').with_published_inputs(dense, dense)
    assert torch.equal(same.aggregator.conv.weight, dense.aggregator.conv.weight)


def test_unfolding_changes_statistics_and_no_output(make_dense, images):
    network = make_dense('convap')
    statistics = load('batch_statistics')
    same = statistics.unfolded(network, images.split(2))
    norm, before = same.backbone.features[0][1], network.backbone.features[0][1]
    seen = network.backbone.features[0][0](images)
    torch.testing.assert_close(norm.running_mean, seen.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, seen.var((0, 2, 3), correction=0), rtol=1e-4,
                               atol=1e-5)
    assert not torch.allclose(norm.running_mean, before.running_mean, atol=1e-2)
    with torch.no_grad():
        torch.testing.assert_close(same(images), network(images), rtol=1e-3, atol=1e-5)
        # and measured anew of itself, little is new
        again = statistics.measured_anew(same, [images])
        torch.testing.assert_close(again(images), same(images), rtol=0.05, atol=5e-3)
