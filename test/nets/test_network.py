# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest
import torch

from vpr_ros.core.card import ModelCard
from vpr_ros.errors import ModelError
from vpr_ros.nets.network import build_network, rebuild
from vpr_ros.nets.torchvision_models import build_backbone, load_torchvision, whole_network
from vpr_ros.nets.widths import set_widths, widths_of


@pytest.mark.parametrize(('name', 'cut', 'shape'), [
    ('mobilenet_v2', 'features.14', (160, 4, 4)), ('mobilenet_v2', 'features.3', (24, 32, 32)),
    ('mobilenet_v2', 'features', (1280, 4, 4)),
    ('resnet18', 'layer3', (256, 8, 8)), ('resnet18', 'layer4.0', (512, 4, 4)),
    ('resnet34', 'layer2', (128, 16, 16)), ('resnet50', 'layer1', (256, 32, 32)),
    ('resnet101', 'layer2', (512, 16, 16)), ('vgg16', 'features.28', (512, 8, 8)),
    ('vgg16', 'features.9', (128, 32, 32)), ('mobilenet_v3_large', 'features.6', (40, 16, 16)),
    ('efficientnet_b0', 'features.3', (40, 16, 16)),
    ('squeezenet1_0', 'features.9', (384, 15, 15)), ('squeezenet1_0', 'features', (512, 7, 7)),
    ('squeezenet1_1', 'features.4', (128, 31, 31))])
def test_a_backbone_ends_at_its_cut(name, cut, shape):
    backbone = build_backbone(name, cut).eval()
    assert backbone(torch.zeros(2, 3, 128, 128)).shape == (2, *shape)


@pytest.mark.parametrize(('name', 'cut'), [('mobilenet_v2', 'features'), ('resnet18', 'layer4')])
def test_a_cut_backbone_computes_what_torchvision_does(name, cut):
    whole, backbone = whole_network(name).eval(), build_backbone(name, cut).eval()
    backbone.load_state_dict({key: value for key, value in whole.state_dict().items()
                              if key in backbone.state_dict()})
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    pooled = backbone(x).mean((2, 3))
    last = whole.classifier if name == 'mobilenet_v2' else whole.fc
    torch.testing.assert_close(last(pooled), whole(x))


def test_a_cut_squeezenet_computes_what_torchvision_does():
    whole = whole_network('squeezenet1_1').eval()
    backbone = build_backbone('squeezenet1_1', 'features').eval()
    backbone.load_state_dict({key: value for key, value in whole.state_dict().items()
                              if key.startswith('features.')})
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(whole.classifier(backbone(x)).flatten(1), whole(x))


def test_torchvision_may_be_asked_for_again():
    assert load_torchvision() is load_torchvision()


@pytest.mark.parametrize(('name', 'cut', 'said'), [
    ('alexnet', 'features', "'alexnet' is not known; choose one of resnet18, resnet34"),
    ('resnet18', 'layer9', "resnet18 has no child 'layer9'; its children are conv1, bn1"),
    ('mobilenet_v2', 'features.19', "has no child 'features.19'"),
    ('squeezenet1_0', 'features.13', "has no child 'features.13'"),
    ('squeezenet1_0', 'features.3.expand1x1', '3 has two halves side by side and stays whole')])
def test_an_unknown_backbone_or_cut_is_refused(name, cut, said):
    with pytest.raises(ModelError, match=said):
        build_backbone(name, cut)


@pytest.mark.parametrize(('name', 'cut'), [('mobilenet_v2', 'features.4'), ('resnet18', 'layer2'),
                                           ('squeezenet1_0', 'features.5')])
def test_half_width_halves_every_layer_but_the_image(name, cut):
    dense, half = (widths_of(build_backbone(name, cut, width)) for width in (1.0, 0.5))
    assert half[next(iter(half))][0] == 3
    for layer, (_, n_out) in dense.items():
        assert abs(half[layer][1] - n_out / 2) <= 4, layer


@pytest.mark.parametrize('width_mult', [0.1, 0.3, 0.7])
def test_a_squeezenet_of_any_width_fits_together(width_mult):
    backbone = build_backbone('squeezenet1_1', 'features.9', width_mult)
    halves = widths_of(backbone)['features.9.expand1x1'][1]
    assert halves == widths_of(backbone)['features.9.expand3x3'][1]
    assert backbone(torch.zeros(1, 3, 64, 64)).shape == (1, 2 * halves, 3, 3)


@pytest.mark.parametrize('recipe', [
    {}, {'backbone': 'resnet18', 'cut': 'layer2', 'aggregator': 'gem', 'args': {'dim': 7},
         'width_mult': 0.25},
    {'aggregator': 'grid', 'args': {'grid': 2}, 'width_mult': 1.0},
    {'backbone': 'mobilenet_v3_large', 'cut': 'features.4', 'aggregator': 'netvlad',
     'args': {'clusters': 3, 'channels': 5, 'dim': 6}, 'width_mult': 0.5},
    {'backbone': 'efficientnet_b0', 'cut': 'features.3', 'aggregator': 'boq', 'width_mult': 0.5,
     'args': {'channels': 8, 'queries': 3, 'blocks': 2, 'rows': 2, 'heads': 2}},
    {'backbone': 'resnet50', 'cut': 'layer2', 'aggregator': 'mixvpr', 'width_mult': 0.125,
     'args': {'channels': 4, 'rows': 2, 'depth': 2, 'height': 8, 'width': 8}},
    {'backbone': 'vgg16', 'cut': 'features.12', 'aggregator': 'gem', 'args': {'dim': 4},
     'width_mult': 0.125},
    {'backbone': 'squeezenet1_0', 'cut': 'features.5', 'aggregator': 'grid', 'args': {'grid': 2},
     'width_mult': 0.3}])
def test_a_network_rebuilds_from_its_card_alone(make_network, recipe):
    network, card = make_network(**recipe)
    again = rebuild(ModelCard.from_json(card.to_json(), 'card.json'))
    assert widths_of(again) == widths_of(network)
    again.load_state_dict(network.state_dict())
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(again(x), network(x))


def test_a_pruned_network_rebuilds_from_its_card_alone(make_network):
    network, card = make_network(width_mult=1.0)
    pruned = {**widths_of(network),  # seven of the 96 channels inside the third block are left
              'backbone.features.2.conv.0.0': (16, 7), 'backbone.features.2.conv.0.1': (7, 7),
              'backbone.features.2.conv.1.0': (7, 7), 'backbone.features.2.conv.1.1': (7, 7),
              'backbone.features.2.conv.2': (7, 24)}
    set_widths(network, pruned)
    again = rebuild(replace(card, widths=pruned))
    again.load_state_dict(network.state_dict())
    assert again.backbone.features[2].conv[1][0].groups == 7
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(again.eval()(x), network.eval()(x))


@pytest.mark.parametrize(('aggregator', 'args', 'pruned', 'dim'), [
    ('netvlad', {'clusters': 4, 'channels': 6}, {  # two clusters: filters and centroids together
        'aggregator.assign': (6, 2), 'aggregator.centroids': (6, 2)}, 12),
    ('mixvpr', {'channels': 6, 'rows': 3, 'depth': 1, 'height': 16, 'width': 16}, {
        'aggregator.channel_proj': (8, 5), 'aggregator.mixers.0.widen': (256, 9),
        'aggregator.mixers.0.narrow': (9, 256)}, 15),
    ('boq', {'channels': 8, 'queries': 4, 'blocks': 1, 'rows': 3, 'heads': 2}, {
        'aggregator.blocks.0.queries': (8, 3), 'aggregator.rows': (3, 2),
        'aggregator.blocks.0.widen': (8, 5), 'aggregator.blocks.0.narrow': (5, 8),
        'aggregator.blocks.0.encode.query': (8, 4), 'aggregator.blocks.0.encode.key': (8, 4),
        'aggregator.blocks.0.encode.value': (8, 4), 'aggregator.blocks.0.encode.out': (4, 8)},
     16)])
def test_a_pruned_aggregator_rebuilds_from_its_card_alone(make_network, aggregator, args, pruned,
                                                          dim):
    network, card = make_network(cut='features.2', aggregator=aggregator, args=args)
    set_widths(network, pruned)
    again = rebuild(replace(card, widths=widths_of(network), dim=dim))
    again.load_state_dict(network.state_dict())
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(again.eval()(x), network.eval()(x))


@pytest.mark.parametrize(('change', 'said'), [
    ({'widths': {'aggregator.conv': (8, 6)}}, 'do not have the same layers'),
    ({'cut': 'features.3'}, 'do not have the same layers'),
    ({'dim': 55}, 'says 55 dimensions, its widths give 54'),
])
def test_a_card_that_contradicts_itself_is_refused(make_network, change, said):
    _, card = make_network()
    with pytest.raises(ModelError, match=said):
        rebuild(replace(card, **change))


@pytest.mark.parametrize(('widths', 'said'), [
    ({'backbone.features.2.conv.2': (9, 8)}, 'do not fit together'),
    ({'backbone.features.2.conv.1.0': (7, 8)}, 'cannot have 7 inputs, 8 outputs and 7 groups'),
    ({'backbone.features.2.conv.1.1': (7, 8)}, 'cannot turn 7 channels into 8'),
])
def test_widths_that_cannot_be_are_refused(make_network, widths, said):
    _, card = make_network()
    with pytest.raises(ModelError, match=said):
        rebuild(replace(card, widths={**card.widths, **widths}))


def test_building_does_not_train():
    assert not build_network('resnet18', 'layer1', 'grid', {'grid': 2}).training
