# SPDX-License-Identifier: Apache-2.0
"""Layers that lost inputs do again what they did, as far as the inputs that are left allow."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from torch import nn  # noqa: E402

from vpr_ros.compress import prune_refit  # noqa: E402
from vpr_ros.compress.prune import cut, freeze  # noqa: E402
from vpr_ros.compress.prune_descriptor import numbers_left  # noqa: E402
from vpr_ros.compress.prune_graph import groups_of  # noqa: E402
from vpr_ros.compress.prune_groups import Group, Member, Part  # noqa: E402
from vpr_ros.compress.prune_refit import refit  # noqa: E402
from vpr_ros.compress.prune_scores import scores_of  # noqa: E402
from vpr_ros.compress.prune_widths import channels_left, Plan, strongest  # noqa: E402
from vpr_ros.nets.torchvision_models import load_torchvision  # noqa: E402

KEPT = np.array([True, False, True, True, False, True, True, False])
HEADS = ('gem', 'gem-linear', 'convap', 'grid', 'mixvpr', 'netvlad', 'netvlad-reduce',
         'netvlad-whiten', 'netvlad-both', 'boq')


class Pooled(nn.Module):
    def forward(self, x):
        return x.mean(dim=(2, 3))


def mixed(norm=False):
    """Return layers of which the first makes 8 channels; the lost ones are mixtures of the kept.

    `norm`: a batch norm is behind it, which keeps them mixtures, of a constant too.
    """
    torch.manual_seed(0)
    first = nn.Conv2d(3, 8, 3, padding=1, bias=norm)
    layers = [first, nn.BatchNorm2d(8)] if norm else [first]
    lost = torch.from_numpy(np.flatnonzero(~KEPT))
    kept = torch.from_numpy(np.flatnonzero(KEPT))
    with torch.no_grad():
        first.weight[lost] = torch.einsum('lk,k...->l...', torch.randn(3, 5), first.weight[kept])
        for layer in layers[1:]:
            for values in (layer.weight, layer.bias, layer.running_mean):
                values.normal_(0.5, 0.3)
    return layers


def normed(channels):
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2.0)
        norm.bias.normal_()
    return norm


# by name: what is behind the eight channels, and which layers of it lose inputs
BEHIND = {
    'conv 1x1': (lambda: [*mixed(True), nn.Conv2d(8, 6, 1)], ('2',)),
    'conv 1x1 without bias, norm': (
        lambda: [*mixed(True), nn.Conv2d(8, 6, 1, bias=False), normed(6), nn.ReLU()], ('2',)),
    'conv 3x3, norm': (
        lambda: [*mixed(), nn.Conv2d(8, 6, 3, padding=1, bias=False), normed(6)], ('1',)),
    'conv 3x3, stride, dilation': (
        lambda: [*mixed(), nn.Conv2d(8, 6, 3, 2, 2, 2), nn.ReLU()], ('1',)),
    'conv without bias': (lambda: [*mixed(), nn.Conv2d(8, 6, 1, bias=False), nn.ReLU()], ('1',)),
    'linear': (lambda: [*mixed(True), Pooled(), nn.Linear(8, 5), nn.ReLU()], ('3',)),
    'linear without bias': (lambda: [*mixed(), Pooled(), nn.Linear(8, 5, bias=False)], ('2',)),
    'squeeze-excitation': (
        lambda: [*mixed(), load_torchvision().ops.SqueezeExcitation(8, 3)], ('1.fc1',)),
}


def groups_for(network, behind):
    members = [Member('0', 'out'), *(Member(name, 'in') for name in behind)]
    if isinstance(network[1], nn.BatchNorm2d):
        members.append(Member('1', 'out'))
    if behind == ('1.fc1',):
        members.append(Member('1.fc2', 'out'))
    return [Group('0', 8, tuple(members), Part.BACKBONE)]


@pytest.fixture
def pictures():
    draw = torch.Generator().manual_seed(3)
    return torch.randn(24, 3, 8, 8, generator=draw) + torch.randn(24, 3, 1, 1, generator=draw)


@pytest.mark.parametrize('what', BEHIND)
def test_what_can_be_made_of_the_kept_inputs_is_not_missed(pictures, monkeypatch, what):
    monkeypatch.setattr(prune_refit, '_RIDGE', 1e-9)
    make, behind = BEHIND[what]
    before = nn.Sequential(*make()).eval()
    groups = groups_for(before, behind)
    network = cut(before, groups, {'0': KEPT})
    kept = KEPT if behind == ('1.fc1',) else slice(None)
    fresh = torch.randn(4, 3, 8, 8) + torch.randn(4, 3, 1, 1)
    with torch.no_grad():
        lost = [network(x) - before(x)[:, kept] for x in (pictures, fresh)]
        refit(network, before, groups, {'0': KEPT}, pictures)
        left = [network(x) - before(x)[:, kept] for x in (pictures, fresh)]
    assert all(float(error.norm()) > 0.1 for error in lost)
    for was, now in zip(lost, left, strict=True):
        assert float(now.norm()) < 0.002 * float(was.norm())


def test_the_weights_as_they_were_are_held_on_to(pictures):
    """With the usual ridge: nearly what can be had, and nothing where nothing is missing."""
    make, behind = BEHIND['conv 1x1']
    before = nn.Sequential(*make()).eval()
    groups = groups_for(before, behind)
    network = cut(before, groups, {'0': KEPT})
    with torch.no_grad():
        wanted, lost = before(pictures), network(pictures)
        refit(network, before, groups, {'0': KEPT}, pictures)
        assert float((network(pictures) - wanted).norm()) < 0.02 * float((lost - wanted).norm())
        dead = copy.deepcopy(before)
        dead[2].weight[:, ~torch.from_numpy(KEPT)] = 0.0
        whole = cut(dead, groups, {'0': KEPT})
        weight = whole[2].weight.clone()
        refit(whole, dead, groups, {'0': KEPT}, pictures)
        torch.testing.assert_close(whole[2].weight, weight, atol=1e-5, rtol=1e-5)


def half(network, gamma=0.0):
    groups = groups_of(network)
    scores = scores_of(network, groups, 'l2')
    left = channels_left(groups, scores, Plan(0.5, gamma, multiple=4))
    return groups, {name: strongest(scores[name], count) for name, count in left.items()}


def watched(monkeypatch):
    """Return the (squared error before, after) of each layer that is refitted, as it happens."""
    seen, solve = [], prune_refit._solve

    def error(layer, mean, given, wanted):
        found = given @ layer.weight.flatten(1).T
        if layer.bias is not None:
            found = found + layer.bias
        return float((found - mean - wanted).double().square().mean())

    def watch(layer, norm, given, wanted):
        with torch.no_grad():
            old = 0.0 if norm is None else norm.running_mean.clone()
            before = error(layer, 0.0, given, wanted)
            solve(layer, norm, given, wanted)
            shift = 0.0 if norm is None else norm.running_mean - old
            seen.append((before, error(layer, shift, given, wanted)))
    monkeypatch.setattr(prune_refit, '_solve', watch)
    return seen


@pytest.mark.parametrize('head', HEADS)
def test_no_layer_does_worse_and_the_descriptor_is_nearer_to_the_parents(
        make_dense, images, monkeypatch, head):
    parent = make_dense(head)
    groups, masks = half(parent, 0.5)
    plain = cut(parent, groups, masks)
    network, seen = copy.deepcopy(plain), watched(monkeypatch)
    refit(network, parent, groups, masks, images)
    assert len(seen) >= 4
    for before, after in seen:
        assert after <= before * (1.0 + 1e-4) + 1e-9
    assert any(after < 0.9 * before for before, after in seen)
    with torch.no_grad():
        whole = parent(images)
        wanted = nn.functional.normalize(
            whole[:, torch.from_numpy(numbers_left(groups, masks, whole.shape[1]))])
        near, far = (float((net(images) * wanted).sum(dim=1).mean()) for net in (network, plain))
    assert np.isfinite(near)
    assert near > far


@pytest.mark.parametrize(('backbone', 'at', 'least'), [
    ('vgg16', 'features.6', 2), ('efficientnet_b0', 'features.2', 4), ('resnet18', 'layer1', 3)])
def test_other_backbones_do_not_do_worse(make_dense, images, monkeypatch, backbone, at, least):
    """Without batch norms; with squeeze-excitation; with short cuts."""
    parent = make_dense('convap', backbone, at)
    groups, masks = half(parent)
    plain = cut(parent, groups, masks)
    network, seen = copy.deepcopy(plain), watched(monkeypatch)
    refit(network, parent, groups, masks, images)
    assert len(seen) >= least
    assert all(after <= before * (1.0 + 1e-4) + 1e-9 for before, after in seen)
    with torch.no_grad():
        near, far = ((net(images) * parent(images)).sum(dim=1).mean() for net in (network, plain))
    assert near > far
    if backbone == 'vgg16':
        assert not torch.equal(network.backbone.features[2].bias, plain.backbone.features[2].bias)


def test_only_layers_that_mix_channels_and_what_takes_their_shift_change(make_dense, images):
    parent = make_dense('convap')
    groups, masks = half(parent)
    plain = cut(parent, groups, masks)
    network = copy.deepcopy(plain)
    refit(network, parent, groups, masks, images)
    new, old = network.state_dict(), plain.state_dict()
    changed = {name for name in new if not torch.equal(new[name], old[name])}
    layers = dict(network.named_modules())
    assert changed
    for name in changed:
        layer, kind = layers[name.rpartition('.')[0]], name.rpartition('.')[2]
        if isinstance(layer, nn.BatchNorm2d):
            assert kind == 'running_mean'
        else:
            assert layer.groups == 1
    depthwise = [name for name, layer in layers.items()
                 if isinstance(layer, nn.Conv2d) and layer.groups > 1]
    assert depthwise


def test_what_is_frozen_stays_and_takes_no_shift(make_dense, images):
    parent = make_dense('convap')
    freeze(parent, ['backbone.features.2', 'backbone.features.3.conv.3'])
    groups, masks = half(parent)
    plain = cut(parent, groups, masks)
    network = copy.deepcopy(plain)
    refit(network, parent, groups, masks, images)
    new, old = network.state_dict(), plain.state_dict()
    changed = {name for name in new if not torch.equal(new[name], old[name])}
    assert not {name for name in changed if name.startswith('backbone.features.2.')
                or name.startswith('backbone.features.3.conv.3.')}
    # the convolution before the frozen norm has nothing that takes a shift, but weights
    assert 'backbone.features.3.conv.2.weight' in changed
    assert all(parameter.requires_grad == old_one.requires_grad for parameter, old_one in zip(
        network.parameters(), plain.parameters(), strict=True))


@pytest.mark.parametrize('value', [float('nan'), float('inf'), 1e30])
@pytest.mark.parametrize('what', BEHIND)
def test_inputs_that_are_not_finite_leave_the_weights(pictures, what, value):
    make, behind = BEHIND[what]
    before = nn.Sequential(*make()).eval()
    groups = groups_for(before, behind)
    network = cut(before, groups, {'0': KEPT})
    weights = copy.deepcopy(network.state_dict())
    pictures[5, 0, 2, 2] = value
    refit(network, before, groups, {'0': KEPT}, pictures)
    for name, tensor in network.state_dict().items():
        assert torch.isfinite(tensor).all()
        if not np.isfinite(value):
            assert torch.equal(tensor, weights[name]), name


def test_pictures_of_one_color_leave_finite_weights(make_dense):
    parent = make_dense('convap')
    groups, masks = half(parent)
    network = cut(parent, groups, masks)
    refit(network, parent, groups, masks, torch.zeros(3, 3, 64, 64))
    assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())


def test_the_same_seed_draws_the_same_positions(make_dense, images):
    parent = make_dense('gem-linear')
    groups, masks = half(parent)
    found = []
    for seed in (0, 0, 1):
        network = cut(parent, groups, masks)
        refit(network, parent, groups, masks, images, seed)
        found.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_the_network_before_is_left_as_it_is(make_dense, images):
    parent = make_dense('convap')
    groups, masks = half(parent)
    weights = copy.deepcopy(parent.state_dict())
    refit(cut(parent, groups, masks), parent, groups, masks, images)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in parent.state_dict().items())
