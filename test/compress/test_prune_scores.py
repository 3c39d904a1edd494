# SPDX-License-Identifier: Apache-2.0
"""Scores of a network of two layers, small enough to be worked out by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from vpr_ros.compress.prune_graph import groups_of
from vpr_ros.compress.prune_groups import Group, Member, Part
from vpr_ros.compress.prune_scores import CRITERIA, scores_of
from vpr_ros.errors import ModelError

HIDDEN = Group('first', 2, (Member('first', 'out'), Member('norm', 'out'),
                            Member('second', 'in')), Part.BACKBONE)
LAST = Group('second', 3, (Member('second', 'out'),), Part.DESCRIPTOR)


@pytest.fixture
def toy():
    """Two inputs -> two hidden channels with a norm -> three outputs."""
    network = nn.Sequential()
    network.add_module('first', nn.Conv2d(2, 2, 1, bias=False))
    network.add_module('norm', nn.BatchNorm2d(2))
    network.add_module('second', nn.Conv2d(2, 3, 1))
    with torch.no_grad():
        network.first.weight[:] = torch.tensor([[3.0, -4.0], [0.0, 1.0]])[..., None, None]
        network.norm.weight[:] = torch.tensor([-0.5, 2.0])
        network.second.weight[:] = torch.tensor(
            [[1.0, 2.0], [2.0, 0.0], [-2.0, 1.0]])[..., None, None]
    return network


# Channel 0 of the hidden layer: row (3, -4), column (1, 2, -2); channel 1: (0, 1), (2, 0, 1).
@pytest.mark.parametrize(('criterion', 'hidden', 'last'), [
    ('l1', [(7 + 5) / 2, (1 + 3) / 2], [3, 2, 3]),
    ('l2', [(5 + 3) / 2, (1 + 5 ** 0.5) / 2], [5 ** 0.5, 2, 5 ** 0.5]),
    ('bn-scale', [0.5, 2.0], [3, 2, 3])])   # the last has no norm: l1
def test_norms_and_factors_are_those_worked_out_by_hand(toy, criterion, hidden, last):
    scores = scores_of(toy, [HIDDEN, LAST], criterion)
    np.testing.assert_allclose(scores['first'], np.array(hidden) / np.mean(hidden), rtol=1e-6)
    np.testing.assert_allclose(scores['second'], np.array(last) / np.mean(last), rtol=1e-6)


def test_lamp_is_the_share_of_those_no_smaller(toy):
    scores = scores_of(toy, [HIDDEN, LAST], 'lamp')
    least = ((1 + 5 ** 0.5) / 2) ** 2
    np.testing.assert_allclose(scores['first'], [1.0, least / (least + 16.0)], rtol=1e-6)
    # 5, 4, 5: the first of the equals counts as the lower
    np.testing.assert_allclose(scores['second'], [5 / 10, 4 / 14, 1.0], rtol=1e-6)


def test_taylor_is_how_much_the_loss_would_change(toy):
    gradients = {
        'first.weight': torch.tensor([[1.0, 1.0], [5.0, -2.0]])[..., None, None],
        'norm.weight': torch.tensor([2.0, 0.5]),
        'second.weight': torch.tensor([[1.0, 0.0], [1.0, 9.0], [1.0, 4.0]])[..., None, None]}
    scores = scores_of(toy, [HIDDEN], 'taylor', gradients)['first']
    # channel 0: |3 - 4|, |-0.5 * 2|, |1 + 2 - 2|; channel 1: |0 - 2|, |2 * 0.5|, |0 + 0 + 4|
    by_hand = np.array([(1 + 1 + 1) / 3, (2 + 1 + 4) / 3])
    np.testing.assert_allclose(scores, by_hand / by_hand.mean(), rtol=1e-6)


def test_taylor_does_without_the_layers_that_are_frozen(toy):
    gradients = {'second.weight': torch.ones(3, 2, 1, 1)}
    scores = scores_of(toy, [HIDDEN], 'taylor', gradients)['first']
    np.testing.assert_allclose(scores, np.array([1.0, 3.0]) / 2.0)
    with pytest.raises(ModelError, match='channels of first have no gradients; were all of its '
                                         'layers frozen'):
        scores_of(toy, [HIDDEN], 'taylor', {})


def test_random_is_another_for_each_seed_and_group_and_looks_at_no_weight(toy):
    first, again, other = (scores_of(toy, [HIDDEN, LAST], 'random', seed=seed)
                           for seed in (1, 1, 2))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first['first'], other['first'])
    assert not np.array_equal(first['first'], first['second'][:2])


@pytest.mark.parametrize('criterion', CRITERIA)
@pytest.mark.parametrize('head', ['convap', 'netvlad-whiten', 'netvlad-both', 'boq', 'mixvpr'])
def test_every_group_has_a_score_a_channel(make_dense, head, criterion):
    network = make_dense(head)
    groups = groups_of(network)
    gradients = {name: torch.ones_like(each) for name, each in network.named_parameters()}
    scores = scores_of(network, groups, criterion, gradients)
    for group in groups:
        assert scores[group.name].shape == (group.channels,)
        assert (scores[group.name] >= 0.0).all()
        if criterion not in ('lamp', 'random'):
            np.testing.assert_allclose(scores[group.name].mean(), 1.0)


@pytest.mark.parametrize('criterion', ['l1', 'l2', 'lamp', 'bn-scale', 'taylor'])
@pytest.mark.parametrize('head', ['convap', 'netvlad-whiten', 'boq'])
def test_channels_without_weights_are_the_first_to_go(make_dense, head, criterion):
    network = make_dense(head)
    gradients = {name: torch.ones_like(each) for name, each in network.named_parameters()}
    groups = groups_of(network)
    for group in groups:
        silent = np.arange(group.channels) == 3
        assert group.channels > 4
        for member in group.members:
            layer, rows = network.get_submodule(member.layer), member.rows(silent)
            layer.weight.data[(slice(None), rows) if member.side == 'in' else rows] = 0.0
    scores = scores_of(network, groups, criterion, gradients)
    for name, each in scores.items():
        assert each[3] == 0.0, name
        assert (each[:3] > 0.0).all(), name


@pytest.mark.parametrize(('head', 'name', 'layer', 'channel'), [
    ('netvlad-both', 'aggregator.assign', 'whiten', (slice(None), slice(24, 36))),
    ('netvlad-both', 'aggregator.assign', 'centroids', 2),
    ('netvlad-whiten', 'backbone.features.4.conv.2', 'whiten', (slice(None), slice(2, None, 8))),
    ('boq', 'aggregator.blocks.0.cross.value', 'blocks.0.cross.out',
     (slice(None), slice(2, None, 8)))])
def test_what_moves_with_a_channel_makes_its_score(make_dense, head, name, layer, channel):
    network = make_dense(head)
    network.aggregator.get_submodule(layer).weight.data[channel] = 100.0
    assert scores_of(network, groups_of(network), 'l1')[name].argmax() == 2


@pytest.mark.parametrize('criterion', ['l1', 'l2', 'lamp', 'taylor'])
@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_damaged_weights_are_refused(toy, criterion, bad):
    toy.second.weight.data[0, 1] = bad
    gradients = {name: torch.ones_like(each) for name, each in toy.named_parameters()}
    with pytest.raises(ModelError, match='channels of first have scores that are not finite; the '
                                         'weights or gradients are damaged'):
        scores_of(toy, [HIDDEN, LAST], criterion, gradients)


def test_a_damaged_norm_is_refused(toy):
    toy.norm.weight.data[0] = float('nan')
    with pytest.raises(ModelError, match='first have scores that are not finite'):
        scores_of(toy, [HIDDEN], 'bn-scale')


def test_an_unknown_criterion_and_missing_gradients_are_refused(toy):
    with pytest.raises(ModelError, match=r"'fpgm' is not known; choose one of l1, l2, taylor, "
                                         'bn-scale, lamp, random'):
        scores_of(toy, [HIDDEN], 'fpgm')
    with pytest.raises(ModelError, match='taylor needs gradients, and so images to learn from'):
        scores_of(toy, [HIDDEN], 'taylor')
