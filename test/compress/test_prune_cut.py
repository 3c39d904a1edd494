# SPDX-License-Identifier: Apache-2.0
"""What is left of a network is what it was, and what did nothing leaves no trace."""

import numpy as np
import pytest
import torch

from vpr_ros.compress.prune import cut, freeze
from vpr_ros.compress.prune_descriptor import numbers_left
from vpr_ros.compress.prune_graph import groups_of
from vpr_ros.compress.prune_groups import Group, kept_rows, Member, Part
from vpr_ros.compress.prune_widths import Plan
from vpr_ros.errors import ModelError
from vpr_ros.nets.widths import widths_of

HEADS = ('gem', 'gem-linear', 'convap', 'grid', 'mixvpr', 'netvlad', 'netvlad-reduce',
         'netvlad-whiten', 'netvlad-both', 'boq')
# A layer norm's mean and variance are over the channels of BoQ's residual stream, so that these
# matter when they are zero as well.
INEXACT = {('boq', 'aggregator.project')}


def silence(network, group, dead):
    """Take the weights of the channels `dead` to zero, in all layers of a group."""
    for member in group.members:
        layer, rows = network.get_submodule(member.layer), ~member.rows(~dead)
        layer.weight.data[(slice(None), rows) if member.side == 'in' else rows] = 0.0
        if member.side == 'out' and getattr(layer, 'bias', None) is not None:
            layer.bias.data[rows] = 0.0
    if group.name == 'aggregator.assign':   # zero weights are a vote: give it to the others
        if network.aggregator.reduce is not None:
            network.aggregator.reduce.weight.data.abs_()
            network.aggregator.reduce.bias.data.fill_(1.0)
        network.backbone.append(torch.nn.ReLU())
        network.aggregator.assign.weight.data[torch.from_numpy(dead)] = -1000.0
    if group.name == 'aggregator.channel_proj':   # what row_proj adds comes from no channel
        network.aggregator.row_proj.bias.data.zero_()


def some(channels, seed=0):
    """Return the mask of about a third of the channels, never all."""
    dead = np.zeros(channels, bool)
    dead[np.random.default_rng(seed).permutation(channels)[:max(1, channels // 3)]] = True
    return dead


def numbers_of(head, group, dim, kept):
    """Return which numbers of a descriptor (dim,) are of channels that a group keeps."""
    many = dim // group.channels
    last = (group.few and head in ('boq', 'mixvpr')) or (
        head == 'netvlad' and group.part is Part.DESCRIPTOR and not group.few)
    return Member('descriptor', 'out', many, 1).rows(kept) if last else Member(
        'descriptor', 'out', 1, many).rows(kept)


@pytest.mark.parametrize('head', HEADS)
def test_channels_without_weights_leave_without_a_trace(make_dense, images, head):
    names = [group.name for group in groups_of(make_dense(head))]
    exact = [name for name in names if (head, name) not in INEXACT]
    if head != 'convap':   # the backbone is the same: its end is enough
        exact = [name for name in exact
                 if name.startswith('aggregator.') or name.endswith('4.conv.2')]
    for name in exact:
        network = make_dense(head)
        group = next(group for group in groups_of(network) if group.name == name)
        dead = some(group.channels)
        silence(network, group, dead)
        with torch.no_grad():
            whole = network(images)
            rest = cut(network, [group], {name: ~dead})(images)
        if group.part is Part.DESCRIPTOR:   # what goes was zero; GeM: its least value
            stays = numbers_of(head, group, whole.shape[1], ~dead)
            assert whole[:, ~stays].abs().max() < 1e-5, name
            whole = whole[:, stays]
        torch.testing.assert_close(rest, whole, rtol=1e-4, atol=2e-6, msg=name)


@pytest.mark.parametrize('head', ['grid', 'netvlad', 'netvlad-whiten'])
def test_halves_of_a_fire_leave_their_own_numbers_of_the_descriptor(make_dense, images, head):
    network = make_dense(head, 'squeezenet1_1', 'features.3', width_mult=0.5)
    groups = groups_of(network)
    kept = {group.name: np.ones(group.channels, bool) for group in groups}
    dead = {group.name: some(group.channels, seed) for seed, group in enumerate(groups)
            if '.expand' in group.name}
    for group in groups:
        if group.name in dead:
            silence(network, group, dead[group.name])
            kept[group.name] = ~dead[group.name]
    with torch.no_grad():
        whole, rest = network(images), cut(network, groups, kept)(images)
    stays = numbers_left(groups, kept, whole.shape[1])
    assert (len(stays) < whole.shape[1]) == (head != 'netvlad-whiten')
    torch.testing.assert_close(rest, whole[:, stays], rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize(('backbone', 'cut_at'), [
    ('resnet18', 'layer2'), ('resnet50', 'layer1'), ('vgg16', 'features.9'),
    ('mobilenet_v3_large', 'features.5'), ('efficientnet_b0', 'features.2'),
    ('squeezenet1_1', 'features.4')])
def test_so_they_do_in_every_group_of_every_backbone(make_dense, images, backbone, cut_at):
    network = make_dense('convap', backbone, cut_at)
    groups = groups_of(network)
    dead = {group.name: some(group.channels, seed) for seed, group in enumerate(groups)
            if group.part is Part.BACKBONE}
    for group in groups:
        if group.name in dead:
            silence(network, group, dead[group.name])
    smaller = cut(network, groups, {name: ~mask for name, mask in dead.items()})
    assert len(dead) > 3
    with torch.no_grad():
        torch.testing.assert_close(smaller(images), network(images), rtol=1e-4, atol=2e-6)


def test_a_silent_channel_of_boqs_stream_is_not_nothing(make_dense, images):
    network = make_dense('boq')
    group = next(each for each in groups_of(network) if each.name == 'aggregator.project')
    dead = some(group.channels)
    silence(network, group, dead)
    with torch.no_grad():
        whole = network(images).reshape(4, group.channels, -1)[:, ~dead].flatten(1)
        rest = cut(network, [group], {group.name: ~dead})(images)
    assert not torch.allclose(torch.nn.functional.normalize(whole), rest, atol=1e-3)


@pytest.mark.parametrize('head', HEADS)
def test_every_weight_that_stays_is_its_origins(make_dense, prune_by, head):
    network = make_dense(head)
    groups = groups_of(network)
    smaller, kept = prune_by(network, Plan(0.4, 0.5, multiple=1))
    rows = kept_rows(groups, kept)
    origin, changed = network.state_dict(), 0
    for name, tensor in smaller.state_dict().items():
        layer, _, kind = name.rpartition('.')
        expected = origin[name].numpy()
        if expected.ndim and (layer, 'out') in rows:
            expected = np.compress(rows[layer, 'out'], expected, axis=0)
        if kind == 'weight' and (layer, 'in') in rows:
            expected = np.compress(rows[layer, 'in'], expected, axis=1)
        np.testing.assert_array_equal(tensor.numpy(), expected, err_msg=name)
        changed += tensor.shape != origin[name].shape
    assert changed > 10


def test_the_given_network_stays_as_it_was(make_dense, prune_by):
    network = make_dense()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    prune_by(network, Plan(0.5, 1.0, multiple=1))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_centroid_goes_with_its_filter_and_with_its_part_of_the_whitening(make_dense):
    network = make_dense('netvlad-both')
    vlad = network.aggregator
    with torch.no_grad():
        for k in range(6):   # cluster k is marked by its number everywhere
            vlad.assign.weight[k] = vlad.centroids.weight[k] = k
            vlad.whiten.weight[:, 12 * k:12 * (k + 1)] = k
    mask = np.array([False, True, False, True, True, False])
    smaller = cut(network, groups_of(network), {'aggregator.assign': mask}).aggregator
    for layer in (smaller.assign, smaller.centroids):
        assert layer.weight.flatten(1).unique(dim=1).squeeze().tolist() == [1.0, 3.0, 4.0]
    assert smaller.whiten.weight[0].tolist() == [1.0] * 12 + [3.0] * 12 + [4.0] * 12


def test_the_whitening_loses_the_columns_of_clusters_and_of_channels(make_dense):
    network = make_dense('netvlad-whiten')
    clusters, channels = network.aggregator.centroids.weight.shape
    with torch.no_grad():
        network.aggregator.whiten.weight[:] = torch.arange(clusters * channels)
    stays, through = some(clusters, 1), some(channels, 2)
    smaller = cut(network, groups_of(network), {
        'aggregator.assign': stays, 'backbone.features.4.conv.2': through})
    left = [channels * k + c for k in np.flatnonzero(stays) for c in np.flatnonzero(through)]
    assert smaller.aggregator.whiten.weight[0].tolist() == left


def test_values_leave_every_head_of_an_attention_alike(make_dense):
    network = make_dense('boq')
    with torch.no_grad():
        network.aggregator.blocks[0].cross.value.weight[:] = torch.arange(16)[:, None]
    mask = np.array([True, False, True, True, False, False, True, False])
    smaller = cut(network, groups_of(network), {'aggregator.blocks.0.cross.value': mask})
    attention = smaller.aggregator.blocks[0].cross
    assert attention.value.weight[:, 0].tolist() == [0, 2, 3, 6, 8, 10, 11, 14]
    assert attention.out.in_features == 8
    assert attention.query.out_features == attention.key.out_features == 16


def test_precision_and_mode_are_kept(make_dense, prune_by):
    network = make_dense().double().train()
    smaller = cut(network, groups_of(network), {'aggregator.conv': ~some(24)})
    assert {parameter.dtype for parameter in smaller.parameters()} == {torch.float64}
    assert all(module.training for module in smaller.modules())


def test_what_was_frozen_stays_frozen_and_what_was_trained_trains(make_dense, prune_by):
    network = make_dense('gem-linear')
    layers = freeze(network, ['backbone.features.0', 'backbone.features.1', 'aggregator.linear'])
    assert layers[0] == 'backbone.features.0.0'
    assert layers[-1] == 'aggregator.linear'
    smaller, _ = prune_by(network, Plan(0.5, 1.0, multiple=1))
    trained = {name: parameter.requires_grad for name, parameter in smaller.named_parameters()}
    assert trained == {name: parameter.requires_grad
                       for name, parameter in network.named_parameters()}
    assert {name for name, trains in trained.items() if not trains} == {
        name for name in trained
        if name.startswith(('backbone.features.0.', 'backbone.features.1.', 'aggregator.linear'))}
    assert smaller.backbone.features[0][0].weight.shape[0] == 4   # smaller, and frozen


def test_a_block_is_not_another_whose_name_begins_alike(make_dense):
    network = make_dense(cut='features.11')
    layers = freeze(network, ['backbone.features.1'])
    assert {name.split('.')[2] for name in layers} == {'1'}
    assert network.backbone.features[10].conv[2].weight.requires_grad


def test_a_frozen_aggregator_has_a_frozen_power(make_dense):
    network = make_dense('gem-linear')
    freeze(network, ['aggregator'])
    assert not any(parameter.requires_grad for parameter in network.aggregator.parameters())


@pytest.mark.parametrize('pattern', ['backbone.layer9', 'features', 'backbone.features.1.co', ''])
def test_a_pattern_without_layers_is_refused(make_dense, pattern):
    with pytest.raises(ModelError, match=f'no layer or block is called {pattern}; there are '
                                         'backbone.features.0.0'):
        freeze(make_dense(), ['aggregator', pattern])


@pytest.mark.parametrize(('mask', 'said'), [
    (np.zeros(24, bool), r'aggregator.conv has 24 channels; a mask of \(24,\) that keeps 0'),
    (np.ones(23, bool), r'24 channels; a mask of \(23,\) that keeps 23 cannot be applied'),
    (np.ones((24, 1), bool), r'24 channels; a mask of \(24, 1\)')])
def test_a_mask_that_does_not_fit_is_refused(make_dense, mask, said):
    network = make_dense()
    with pytest.raises(ModelError, match=said):
        cut(network, groups_of(network), {'aggregator.conv': mask})


def test_a_mask_of_no_group_is_refused(make_dense):
    network = make_dense()
    with pytest.raises(ModelError, match=r'no group of channels aggregator\.linear; take the'):
        cut(network, groups_of(network), {'aggregator.linear': np.ones(24, bool)})


def test_rows_of_an_axis_stay_where_both_of_its_groups_keep_them():
    groups = [Group('clusters', 2, (Member('last', 'in', inner=3),), Part.HEAD),
              Group('channels', 3, (Member('last', 'in', outer=2),), Part.HEAD)]
    kept = {'clusters': np.array([False, True]), 'channels': np.array([True, False, True])}
    assert kept_rows(groups, kept)['last', 'in'].tolist() == [False] * 3 + [True, False, True]


def test_layers_that_lose_nothing_are_on_no_list(make_dense):
    network = make_dense()
    smaller = cut(network, groups_of(network), {})
    assert widths_of(smaller) == widths_of(network)
