# SPDX-License-Identifier: Apache-2.0
"""Weights that make up for those that are gone: what is solved, and what stays as it is."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from torch import nn  # noqa: E402

from vpr_ros.compress.compress_layers import LayerPlan  # noqa: E402
from vpr_ros.compress.fold_norms import fold_norms  # noqa: E402
from vpr_ros.compress.match_outputs import match_outputs  # noqa: E402
from vpr_ros.compress.mend_weights import _met, mend_weights  # noqa: E402
from vpr_ros.compress.sparse_weights import mask_weights, settled, share_weights  # noqa: E402
from vpr_ros.nets.network import Network  # noqa: E402


class Last(nn.Module):
    """The mean over positions, then a linear."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 4)

    def forward(self, x):
        return self.linear(x.mean((2, 3)))


def made():
    torch.manual_seed(0)
    return Network(nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(),
                                 nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8),
                                 nn.Conv2d(8, 6, 1)), Last())


NAMES = ('backbone.0', 'backbone.2', 'backbone.3', 'aggregator.linear')
PLANS = [LayerPlan(name, 0.5, 2) for name in NAMES]


@pytest.fixture(scope='module')
def x():
    base = torch.randn(40, 1, 14, 14, generator=torch.Generator().manual_seed(1))
    other = torch.randn(40, 3, 14, 14, generator=torch.Generator().manual_seed(2))
    return base + 0.3 * other     # channels that know of each other


def off(network, other, x):
    with torch.no_grad():
        return float((network(x) - other(x)).square().mean())


@pytest.mark.parametrize('layer', [
    nn.Conv2d(4, 6, 3), nn.Conv2d(4, 6, 3, 2, 1), nn.Conv2d(4, 6, (3, 1), (1, 2), (1, 0), (2, 1)),
    nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Conv2d(4, 6, 5, 3, 2, groups=2), nn.Linear(9, 5)])
def test_what_weights_meet_gives_what_the_layer_gives(layer):
    x = torch.randn(2, 4, 11, 9)
    with torch.no_grad():
        y = layer(x)
        rows = y.reshape(2, -1, 5) if isinstance(layer, nn.Linear) else y.flatten(2).mT
        at = torch.stack([torch.randperm(rows.shape[1])[:7] for _ in range(2)])
        met = _met(layer, x, at)
        groups = getattr(layer, 'groups', 1)
        weight = layer.weight.flatten(1).unflatten(0, (groups, -1))
        found = torch.einsum('ngi,goi->ngo', met.unflatten(1, (groups, -1)), weight).flatten(1)
    wanted = rows.gather(1, at[:, :, None].expand(-1, -1, rows.shape[2])).flatten(0, 1)
    assert torch.allclose(found + layer.bias, wanted, atol=1e-5)


def test_each_output_is_solved_as_well_as_it_can_be():
    torch.manual_seed(0)
    plain = Network(nn.Identity(), nn.Linear(12, 5))
    network = copy.deepcopy(plain)
    mask_weights(network, [LayerPlan('aggregator', 0.5, 8)], 1.0)
    x = torch.randn(400, 12) @ torch.randn(12, 12) + 1.0
    mend_weights(network, plain, x)
    with torch.no_grad():
        wanted, kept = plain(x).numpy(), network.aggregator.weight.numpy() != 0.0
        found = network(x).numpy()
    assert kept.sum() == 30
    for row in range(5):
        columns = np.c_[x.numpy()[:, kept[row]], np.ones(400)]
        best = columns @ np.linalg.lstsq(columns, wanted[:, row], rcond=None)[0]
        left, least = (np.square(each - wanted[:, row]).mean() for each in (found[:, row], best))
        assert left == pytest.approx(least, rel=0.02)


def test_mending_helps_more_than_matching_and_on_other_pictures_as_well(x):
    plain, matched = made(), made()
    mask_weights(matched, PLANS, 1.0)
    lost = off(matched.backbone, plain.backbone, x[20:])
    match_outputs(matched, plain, x[:20])
    mended = made()
    mask_weights(mended, PLANS, 1.0)
    zero = [mended.get_submodule(name).weight.detach() == 0.0 for name in NAMES]
    mend_weights(mended, plain, x[:20])
    left, half = (off(each.backbone, plain.backbone, x[20:]) for each in (mended, matched))
    assert left < 0.7 * half < lost
    for name, gone in zip(NAMES, zero, strict=True):
        assert torch.equal(mended.get_submodule(name).weight.detach() == 0.0, gone)
    assert off(settled(mended, plain), mended, x) == 0.0


def test_more_weights_than_pictures_tell_of_are_left_alone(x):
    plain, network = made(), made()
    mask_weights(network, PLANS, 1.0)
    before = network.aggregator.linear.weight.detach().clone()
    mend_weights(network, plain, x[:5])    # five rows for three weights of an output
    assert torch.equal(network.aggregator.linear.weight.detach(), before)


def test_a_network_that_lost_nothing_is_left_as_it_is(x):
    plain, network = made(), made()
    mend_weights(network, plain, x)
    assert off(network, plain, x) < 1e-9


def test_shared_and_frozen_layers_stay(x):
    plain, network = made(), made()
    for each in (plain, network):
        each.backbone[3].requires_grad_(False)
    mask_weights(network, PLANS[2:3], 1.0)
    share_weights(network, PLANS[:2], 10, 0.0)
    kept = {name: network.get_submodule(name).weight.detach().clone() for name in NAMES[:3]}
    before = network.aggregator.linear.weight.detach().clone()
    mend_weights(network, plain, x)
    for name, weight in kept.items():
        assert torch.equal(network.get_submodule(name).weight.detach(), weight)
    assert not torch.equal(network.aggregator.linear.weight.detach(), before)


def test_shifts_go_into_folded_norms(make_dense, images):
    plain = make_dense('convap')
    fold_norms(plain)
    plans = [LayerPlan(f'backbone.features.{name}', 0.6, 8)
             for name in ('2.conv.0.0', '2.conv.1.0', '3.conv.2')]

    def away(network):
        with torch.no_grad():
            return float((1.0 - (network(images) * plain(images)).sum(1)).mean())
    network, matched = copy.deepcopy(plain), copy.deepcopy(plain)
    for each in (network, matched):
        mask_weights(each, plans, 1.0)
    lost = away(network)
    match_outputs(matched, plain, images)
    mend_weights(network, plain, images)
    assert away(network) < away(matched) < lost
    norm = network.backbone.features[2].conv[0][1]
    assert bool((norm.weight == 1.0).all())
    assert not torch.equal(norm.bias, plain.backbone.features[2].conv[0][1].bias)
