# SPDX-License-Identifier: Apache-2.0
"""Outputs that get their old mean and spread again, by weights and biases that may move."""

import copy

import pytest

torch = pytest.importorskip('torch')

from torch import nn  # noqa: E402

from vpr_ros.compress.compress_layers import LayerPlan  # noqa: E402
from vpr_ros.compress.fold_norms import fold_norms  # noqa: E402
from vpr_ros.compress.match_outputs import match_outputs  # noqa: E402
from vpr_ros.compress.sparse_weights import (  # noqa: E402
    mask_weights,
    settled,
    share_weights,
)

PLANS = [LayerPlan('0', 0.6, 8), LayerPlan('2', 0.6, 2)]


def made():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3))


@pytest.fixture(scope='module')
def x():
    return torch.randn(16, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def moments(network, x):
    with torch.no_grad():
        variance, mean = torch.var_mean(network(x), (0, 2, 3), correction=0)
    return mean.tolist(), variance.sqrt().tolist()


def test_the_same_network_is_left_as_it_is(x):
    plain, network = made(), made()
    match_outputs(network, plain, x)
    for name, tensor in network.state_dict().items():
        assert torch.allclose(tensor, plain.state_dict()[name], atol=1e-6)


def test_masked_layers_get_mean_and_spread_again_and_keep_their_zeros(x):
    plain, network = made(), made()
    mask_weights(network, PLANS, 1.0)
    zero = network[2].weight.detach() == 0.0
    before = moments(plain, x)
    assert moments(network, x)[0] != pytest.approx(before[0], abs=1e-3)
    match_outputs(network, plain, x)
    mean, spread = moments(network, x)
    assert mean == pytest.approx(before[0], abs=1e-4)
    assert spread == pytest.approx(before[1], rel=1e-3)
    assert torch.equal(network[2].weight.detach() == 0.0, zero)


def test_shared_layers_get_their_mean_and_keep_their_values(x):
    plain, network = made(), made()
    share_weights(network, PLANS[1:], 10, 0.0)
    values = network[2].weight.detach().unique()
    match_outputs(network, plain, x)
    assert moments(network, x)[0] == pytest.approx(moments(plain, x)[0], abs=1e-4)
    assert torch.equal(network[2].weight.detach().unique(), values)


def test_what_is_frozen_stays(x):
    plain, network = made(), made()
    for each in (plain, network):
        each[2].requires_grad_(False)
    mask_weights(network, PLANS, 1.0)
    kept = copy.deepcopy(network[2].state_dict())
    match_outputs(network, plain, x)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in network[2].state_dict().items())


def test_channels_that_say_nothing_and_deep_falls_are_bounded(x):
    plain = made()
    with torch.no_grad():
        plain[0].weight[0] = 0.0
        plain[0].weight[1] *= torch.tensor([1.0] + 26 * [1e-4]).view(3, 3, 3)
    network = copy.deepcopy(plain)
    mask_weights(network, [LayerPlan('0', 0.9, 8)], 1.0)
    before = network[0].weight.detach().clone()
    match_outputs(network, plain, x)
    after = network[0].weight.detach()
    assert torch.isfinite(after).all()
    assert bool((after.abs() <= 2.0 * before.abs() + 1e-6).all())


def test_norms_that_are_folded_take_the_mean(make_dense, images):
    plain = make_dense('convap')
    fold_norms(plain)
    network = copy.deepcopy(plain)
    mask_weights(network, [LayerPlan('backbone.features.2.conv.0.0', 0.7, 8)], 1.0)

    def away(network):
        with torch.no_grad():
            return float((1.0 - (network(images) * plain(images)).sum(1)).mean())
    lost = away(network)
    match_outputs(network, plain, images)
    assert away(network) < 0.5 * lost
    assert away(settled(network, plain)) == pytest.approx(away(network), abs=1e-6)
    norm = network.backbone.features[2].conv[0][1]
    assert bool((norm.weight == 1.0).all())
