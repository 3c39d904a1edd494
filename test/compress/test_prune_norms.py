# SPDX-License-Identifier: Apache-2.0
"""Norms settle on what they will see; the network does what it did."""

import copy

import pytest

torch = pytest.importorskip('torch', reason='learning needs torch')
from torch import nn  # noqa: E402

from vpr_ros.compress.prune_norms import settle  # noqa: E402


@pytest.fixture
def network() -> nn.Sequential:
    """Two layers whose norms came folded: mean 0, variance 1, far from what they see."""
    torch.manual_seed(0)
    made = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3),
                         nn.BatchNorm2d(4))
    with torch.no_grad():
        made[0].weight.mul_(8.0)
        made[1].bias.uniform_(-2.0, 2.0)
        made[4].weight.uniform_(0.5, 2.0)
    return made.eval()


@pytest.fixture
def batches() -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.rand(count, 3, 12, 12) for count in (5, 2)]


def test_nothing_is_changed_in_evaluation(network, batches):
    other = torch.rand(3, 3, 12, 12)
    before = network(other).detach()
    settle(network, batches)
    torch.testing.assert_close(network.eval()(other), before, rtol=1e-4, atol=1e-4)


def test_while_it_learns_it_is_the_same_network(network, batches):
    everything = torch.cat(batches)
    wanted = network(everything).detach()
    strange = copy.deepcopy(network).train()(everything)
    settle(network, batches)
    torch.testing.assert_close(network.train()(everything), wanted, rtol=1e-3, atol=1e-3)
    assert (strange - wanted).abs().mean() > 0.5   # without, it would be another one


def test_statistics_are_those_of_all_pictures_whatever_the_batches(network, batches):
    seen = network[0](torch.cat(batches)).detach()
    settle(network, batches)
    torch.testing.assert_close(network[1].running_mean, seen.mean((0, 2, 3)))
    torch.testing.assert_close(network[1].running_var, seen.var((0, 2, 3), correction=0))


def test_frozen_norms_are_left_alone(network, batches):
    network[1].requires_grad_(False)
    before = copy.deepcopy(network[1].state_dict())
    settle(network, batches)
    assert all(torch.equal(before[name], value) for name, value in network[1].state_dict().items())
    assert not torch.equal(network[4].running_mean, torch.zeros(4))


def test_a_channel_that_never_varies_stays_finite(network, batches):
    with torch.no_grad():
        network[0].weight[2] = 0.0
    wanted = network(batches[0]).detach()
    settle(network, batches)
    torch.testing.assert_close(network.eval()(batches[0]), wanted, rtol=1e-3, atol=1e-3)
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())


def test_without_pictures_nothing_happens(network):
    before = copy.deepcopy(network.state_dict())
    settle(network, [])
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
