# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, strategies as st
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vpr_ros.errors import ModelError
from vpr_ros.nets.aggregators import build_aggregator, ConvAP, GeM, Grid, grid_average


def features(channels=5, height=7, width=6, seed=0):
    return torch.randn(2, channels, height, width,
                       generator=torch.Generator().manual_seed(seed))


@given(height=st.integers(1, 20), width=st.integers(1, 20), grid=st.integers(1, 7))
def test_grid_average_is_adaptive_average_pooling(height, width, grid):
    x = features(2, height, width, seed=height * 20 + width)
    torch.testing.assert_close(grid_average(x, grid), F.adaptive_avg_pool2d(x, grid),
                               atol=1e-6, rtol=1e-5)


def test_gem_is_the_generalized_mean_of_each_channel():
    x, gem = features(), GeM(5, p=2.5)
    values = np.maximum(x.numpy(), 1e-6).astype(np.float64)
    wanted = (values ** 2.5).mean(axis=(2, 3)) ** (1 / 2.5)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(gem(x).detach().numpy(), wanted, atol=1e-5)


def test_gem_learns_its_exponent_and_may_end_in_a_linear():
    gem = GeM(5, dim=3)
    gem(features()).sum().backward()
    assert gem.p.grad is not None
    assert gem(features()).shape == (2, 3)


def test_convap_is_convolution_pooling_and_length_one():
    x, convap = features(), ConvAP(5, 4, 3)
    wanted = F.normalize(F.adaptive_avg_pool2d(convap.conv(x), 3).flatten(1), dim=1)
    torch.testing.assert_close(convap(x), wanted)


@pytest.mark.parametrize(('name', 'args', 'dim'), [
    ('gem', {}, 5), ('gem', {'dim': 8, 'p': 2.0}, 8), ('convap', {'channels': 4, 'grid': 2}, 16),
    ('grid', {'grid': 3}, 45), ('netvlad', {'clusters': 3}, 15),
    ('netvlad', {'clusters': 3, 'channels': 2}, 6), ('netvlad', {'clusters': 3, 'dim': 7}, 7),
    ('mixvpr', {'channels': 4, 'rows': 3, 'depth': 2, 'height': 7, 'width': 6}, 12),
    ('boq', {'channels': 6, 'queries': 4, 'blocks': 2, 'rows': 3, 'heads': 2}, 18)])
def test_descriptors_have_length_one(name, args, dim):
    out = build_aggregator(name, args, 5)(features())
    assert out.shape == (2, dim)
    torch.testing.assert_close(out.norm(dim=1), torch.ones(2))


def test_grid_keeps_the_layout_that_an_average_forgets():
    x = features()
    mirrored = x.flip(3)
    assert float((Grid(1)(x) * Grid(1)(mirrored)).sum(dim=1).min()) > 0.999
    assert float((Grid(3)(x) * Grid(3)(mirrored)).sum(dim=1).max()) < 0.9


@pytest.mark.parametrize(('name', 'args'), [
    ('gem', {'p': 1.0}), ('grid', {'grid': 3}), ('convap', {'channels': 4, 'grid': 2})])
def test_no_position_outweighs_the_others_once_all_are_unit(name, args):
    torch.manual_seed(0)
    aggregator = build_aggregator(name, {**args, 'unit_positions': 1}, 5)
    if name == 'convap':
        torch.nn.init.zeros_(aggregator.conv.bias)
    x = features().abs()
    louder = x * torch.linspace(0.5, 9.0, 7)[:, None]
    torch.testing.assert_close(aggregator(louder), aggregator(x))
    aggregator.unit_positions = False
    assert float((aggregator(louder) - aggregator(x)).detach().abs().max()) > 0.01


@pytest.mark.parametrize(('name', 'args', 'said'), [
    ('delf', {}, "'delf' is not known; choose one of gem, convap, grid, netvlad"),
    ('grid', {}, 'takes grid, unit_positions; the card gives nothing'),
    ('grid', {'grid': 2, 'channels': 3}, 'the card gives channels, grid'),
    ('convap', {'grid': 2}, 'takes channels, grid, unit_positions'),
    ('gem', {'power': 3.0}, 'takes dim, p, unit_pooled, unit_positions; the card gives power'),
    ('convap', {'channels': 0, 'grid': 2}, 'at least 1'),
    ('convap', {'channels': 2.5, 'grid': 2}, 'must be a whole number, not 2.5'),
    ('netvlad', {'clusters': 4, 'dim': -1}, 'must be a whole number, not -1'),
    ('mixvpr', {'channels': 4, 'rows': 3, 'depth': 2}, 'the card gives channels, depth, rows'),
    ('boq', {'channels': 6, 'queries': 4, 'blocks': 2, 'rows': 3, 'heads': 4},
     '6 channels cannot be split among 4 heads'),
])
def test_a_wrong_recipe_is_refused(name, args, said):
    with pytest.raises(ModelError, match=said):
        build_aggregator(name, args, 5)


def test_mixers_refuse_a_map_of_another_size():
    mixvpr = build_aggregator('mixvpr', {'channels': 4, 'rows': 3, 'depth': 1, 'height': 6,
                                         'width': 7}, 5)
    with pytest.raises(ModelError, match='mixes maps of 6x7, the backbone gives 7x6'):
        mixvpr(features())


def test_netvlad_does_not_ask_in_which_order_positions_come():
    netvlad = build_aggregator('netvlad', {'clusters': 4}, 5)
    shuffled = features().flatten(2)[:, :, torch.randperm(42)].reshape(2, 5, 7, 6)
    torch.testing.assert_close(netvlad(shuffled), netvlad(features()))
