# SPDX-License-Identifier: Apache-2.0
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from vpr_ros.compress.prune_graph import groups_of
from vpr_ros.compress.prune_groups import Member, Part
from vpr_ros.compress.prune_heads import head_of
from vpr_ros.compress.prune_widths import Plan
from vpr_ros.errors import ModelError
from vpr_ros.nets.aggregators import Grid
from vpr_ros.nets.network import build_network, Network
from vpr_ros.nets.widths import widths_of

HEADS = ('gem', 'gem-linear', 'convap', 'grid', 'mixvpr', 'netvlad', 'netvlad-reduce',
         'netvlad-whiten', 'netvlad-both', 'boq')


@pytest.mark.parametrize(('backbone', 'cut', 'groups', 'together'), [
    ('resnet18', 'layer3', 10, ('conv1', 'layer1.0.conv2', 'layer1.1.conv2')),
    ('resnet50', 'layer2', 18, ('layer1.0.downsample.0', 'layer1.1.conv3', 'layer1.2.conv3')),
    ('vgg16', 'features.28', 14, ('features.0',)),
    ('mobilenet_v2', 'features.6', 10, ('features.2.conv.0.0', 'features.2.conv.1.0')),
    ('mobilenet_v3_large', 'features.6', 12,   # expanded, depthwise, squeezed and excited
     ('features.4.block.0.0', 'features.4.block.1.0', 'features.4.block.2.fc2')),
    ('efficientnet_b0', 'features.3', 14,
     ('features.2.0.block.0.0', 'features.2.0.block.1.0', 'features.2.0.block.2.fc2')),
    ('squeezenet1_1', 'features.4', 8, ('features.3.expand3x3',))])   # halves side by side
def test_every_backbone_can_be_cut_in_half_and_runs(
        make_dense, prune_by, backbone, cut, groups, together):
    network = make_dense('convap', backbone, cut, width_mult=0.5)
    found = groups_of(network)
    assert len(found) == groups
    made = [{member.layer for member in group.members if member.side == 'out'
             and 'bn' not in member.layer} for group in found]
    assert any({f'backbone.{layer}' for layer in together} <= layers for layers in made)
    smaller, _ = prune_by(network, Plan(0.5, 1.0, multiple=1))
    dense, left = widths_of(network), widths_of(smaller)
    assert {left[layer][1] / dense[layer][1] for layer in dense} == {0.5}
    x = torch.randn(2, 3, 64, 64)
    assert smaller(x).shape == (2, 48)
    assert torch.isfinite(smaller(x)).all()


@pytest.mark.parametrize('head', HEADS)
def test_no_side_of_a_layer_is_in_two_groups_but_that_of_netvlads_whitening(make_dense, head):
    counted = Counter((member.layer, member.side) for group in groups_of(make_dense(head))
                      for member in group.members)
    twice = {side for side, count in counted.items() if count > 1}
    assert twice == ({('aggregator.whiten', 'in')} if head == 'netvlad-whiten' else set())


@pytest.mark.parametrize('head', HEADS)
def test_groups_are_as_wide_as_the_sides_of_their_layers(make_dense, head):
    network = make_dense(head)
    widths = widths_of(network)
    for group in groups_of(network):
        for member in group.members:
            n_in, n_out = widths[member.layer]
            depthwise = n_in == n_out and member.side == 'out'
            across = n_out if member.side == 'out' or depthwise else n_in
            assert across == group.channels * member.inner * member.outer, member


@pytest.mark.parametrize(('head', 'descriptor'), [
    ('gem', {'backbone.features.4.conv.2'}), ('gem-linear', {'aggregator.linear'}),
    ('convap', {'aggregator.conv'}), ('grid', {'backbone.features.4.conv.2'}),
    ('mixvpr', {'aggregator.channel_proj', 'aggregator.row_proj'}),
    ('netvlad', {'backbone.features.4.conv.2', 'aggregator.assign'}),
    ('netvlad-reduce', {'aggregator.assign'}), ('netvlad-whiten', {'aggregator.whiten'}),
    ('netvlad-both', {'aggregator.whiten'}),
    ('boq', {'aggregator.project', 'aggregator.rows'})])
def test_what_makes_the_descriptor_is_known_of_every_aggregator(make_dense, head, descriptor):
    assert {group.name for group in groups_of(make_dense(head))
            if group.part is Part.DESCRIPTOR} == descriptor


def test_the_last_group_of_the_backbone_reaches_into_the_head(make_dense):
    last = next(group for group in groups_of(make_dense('netvlad-whiten'))
                if group.name == 'backbone.features.4.conv.2')
    assert Member('aggregator.assign', 'in') in last.members
    assert Member('aggregator.centroids', 'in') in last.members
    assert Member('aggregator.whiten', 'in', outer=6) in last.members


def test_the_graph_is_that_of_a_frozen_network_and_of_a_pruned_one(make_dense, prune_by):
    network = make_dense('convap')
    groups = groups_of(network)
    assert groups_of(network.requires_grad_(False)) == groups
    assert not any(parameter.requires_grad for parameter in network.parameters())
    smaller, kept = prune_by(network, Plan(0.5, multiple=4))
    again = groups_of(smaller)
    assert [group.members for group in again] == [group.members for group in groups]
    assert [group.channels for group in again] == [kept[group.name].sum() for group in groups]


class Joined(nn.Module):
    """Two branches side by side: channels of the one stand behind those of the other."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 5, 1)
        self.last = nn.Conv2d(9, 4, 1)

    def forward(self, x):
        return self.last(torch.cat([self.left(x), self.right(x)], dim=1))


def test_what_is_read_side_by_side_is_cut_side_by_side():
    groups = {group.name: group for group in groups_of(Network(Joined(), Grid(2)))}
    assert groups['backbone.left'].members[1] == Member('backbone.last', 'in', first=0, of=9)
    right = groups['backbone.right'].members[1]
    assert right == Member('backbone.last', 'in', first=4, of=9)
    kept = np.array([True, False, True, False, True])
    assert right.rows(kept).tolist() == [True] * 4 + kept.tolist()


@pytest.mark.parametrize(('head', 'descriptor'), [
    ('grid', True), ('netvlad', True), ('netvlad-whiten', False), ('convap', False)])
def test_a_head_reads_both_halves_of_a_fire(make_dense, head, descriptor):
    network = make_dense(head, 'squeezenet1_1', 'features.3', width_mult=0.5)
    halves = [group for group in groups_of(network) if '.expand' in group.name]
    assert {(group.name.rpartition('.')[2], group.first, group.channels) for group in halves} == {
        ('expand1x1', 0, 32), ('expand3x3', 32, 32)}
    for group in halves:
        assert (group.part is Part.DESCRIPTOR) == descriptor
        for member in group.members[1:]:
            assert (member.first, member.of) == (group.first, 64)


class Repeated(nn.Module):
    """The same channels twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 1), nn.Conv2d(8, 4, 1)

    def forward(self, x):
        x = self.first(x)
        return self.last(torch.cat([x, x], dim=1))


def test_channels_that_are_read_twice_are_refused():
    with pytest.raises(ModelError, match=r'of backbone\.last are not one to one'):
        groups_of(Network(Repeated(), Grid(2)))


def test_an_unknown_aggregator_is_refused():
    with pytest.raises(ModelError, match='no rules say how ReLU is pruned; choose a network with '
                                         'GeM, ConvAP, Grid, MixVPR, NetVLAD, BoQ'):
        head_of(nn.ReLU())


def test_groups_are_found_of_a_network_in_training_which_stays_so():
    network = build_network('mobilenet_v2', 'features.2', 'grid', {'grid': 2}, 0.25).train()
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    groups_of(network)
    assert all(module.training for module in network.modules())
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, state[name]), name
