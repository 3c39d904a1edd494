# SPDX-License-Identifier: Apache-2.0
"""Random weights in each published layout: imported, and held against the papers' formulas."""

import numpy as np
import pytest
import torch

from vpr_ros.core.card import Resize
from vpr_ros.errors import ModelError
from vpr_ros.nets.layouts import LAYOUTS, read_layout, Unsaid
from vpr_ros.nets.model_folder import read_card
from vpr_ros.nets.model_import import import_checkpoint
from vpr_ros.nets.torch_describer import TorchDescriber

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
SIDE_PX = 64


def image(seed=0, side=SIDE_PX):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def network_input(pictures):
    x = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) / 255.0
    return (x - MEAN[:, None, None]) / STD[:, None, None]


@pytest.fixture(scope='module')
def trunks(published):
    """ResNet18 up to layer4 and up to layer3, and their maps of two images."""
    found = {}
    with torch.no_grad():
        for layers in (3, 4):
            state = published.resnet('resnet18', layers)
            found[layers] = state, published.resnet_map(
                state, network_input([image(1), image(2)]))
    return found


@pytest.fixture
def imported(tmp_path, no_graph):
    """Save, import, and return (card, descriptors of the two images)."""
    def imported(state, layout, size=(SIDE_PX, SIDE_PX), **options):
        torch.save(state, tmp_path / 'weights.pth')
        card = import_checkpoint(tmp_path / 'weights.pth', layout, tmp_path / 'model', size=size,
                                 **options)
        assert read_card(tmp_path / 'model') == card
        side = card.preprocessing.height_px
        return card, TorchDescriber.load(tmp_path / 'model').describe(
            [image(1, side), image(2, side)])
    return imported


def close(got, wanted):
    np.testing.assert_allclose(got, wanted, atol=1e-4)
    assert float(wanted.std()) > 1e-4  # not a constant


@pytest.mark.parametrize('layout', ['cosplace', 'eigenplaces'])
def test_cosplace_and_eigenplaces(published, trunks, imported, layout):
    trunk, maps = trunks[4]
    state = published.renamed(trunk, lambda child: f'backbone.{published.child_number(child)}')
    state['aggregation.1.p'] = torch.tensor([2.7])
    head = published.Weights(1)
    head.linear('aggregation.3', 512, 32)
    card, got = imported({**state, **head}, layout)
    assert (card.backbone, card.cut, card.dim) == ('resnet18', 'layer4', 32)
    assert card.notes['layout'] == layout
    close(got, published.gem(maps, 2.7, before=True, linear=(head['aggregation.3.weight'],
                                                             head['aggregation.3.bias'])))


def test_cosplace_vgg16_ends_before_its_last_relu(published, imported):
    trunk = published.vgg16()
    with torch.no_grad():
        maps = published.vgg16_map(trunk, network_input([image(1), image(2)]))
    assert float(maps.min()) < 0.0
    head = published.Weights(1)
    head.linear('aggregation.3', 512, 64)
    card, got = imported({**{f'backbone.{key}': value for key, value in trunk.items()},
                          'aggregation.1.p': torch.tensor([3.2]), **head}, 'cosplace')
    assert (card.backbone, card.cut, card.dim) == ('vgg16', 'features.28', 64)
    close(got, published.gem(maps, 3.2, before=True, linear=(head['aggregation.3.weight'],
                                                             head['aggregation.3.bias'])))


@pytest.mark.parametrize('wrap', [lambda state: state, lambda state: {
    'epoch': 3, 'global_step': 99, 'pytorch-lightning_version': '1.8.4', 'state_dict': state,
    'hyper_parameters': {'agg_config': {'s1': 2}, 'layers_to_crop': []}, 'callbacks': {},
    'optimizer_states': [{'state': {}, 'param_groups': [{'lr': 1e-4}]}]}],
    ids=['plain', 'lightning'])
def test_gsv_cities_convap(published, trunks, imported, wrap):
    trunk, maps = trunks[3]
    head = published.Weights(1)
    head.convolution('aggregator.channel_pool', 256, 12, 1, bias=True)
    state = {**published.renamed(trunk, lambda child: f'backbone.model.{child}'), **head}
    card, got = imported(wrap(state), 'gsv-cities')
    assert (card.cut, card.dim, card.aggregator_args['grid']) == ('layer3', 48, 2)
    close(got, published.convap(maps, head['aggregator.channel_pool.weight'],
                                head['aggregator.channel_pool.bias'], 2))


def test_gsv_cities_gem_and_cosplace_head(published, trunks, imported):
    trunk, maps = trunks[3]
    state = published.renamed(trunk, lambda child: f'backbone.model.{child}')
    card, got = imported({**state, 'aggregator.p': torch.tensor([2.2])}, 'gsv-cities')
    assert (card.cut, card.dim) == ('layer3', 256)
    close(got, published.gem(maps, 2.2))
    head = published.Weights(1)
    head.linear('aggregator.fc', 256, 20)
    card, got = imported({**state, 'aggregator.gem.p': torch.tensor([2.2]), **head}, 'gsv-cities',
                         force=True)
    close(got, published.gem(maps, 2.2, before=True, linear=(head['aggregator.fc.weight'],
                                                             head['aggregator.fc.bias'])))


@pytest.mark.parametrize(('layout', 'wrap'), [
    ('mixvpr', lambda state: state),
    ('gsv-cities', lambda state: {'state_dict': {f'{key}': v for key, v in state.items()}})])
def test_mixvpr(published, trunks, imported, layout, wrap):
    trunk, maps = trunks[3]
    head = published.mixvpr_head(256, 16, 6, 3, depth=4, hidden=24)
    state = {**published.renamed(trunk, lambda child: f'backbone.model.{child}'), **head}
    card, got = imported(wrap(state), layout)
    assert card.dim == 18
    assert card.aggregator_args == {'channels': 6, 'depth': 4, 'rows': 3, 'hidden': 24,
                                    'height': 4, 'width': 4}
    close(got, published.mixvpr(maps, head, 4))


@pytest.mark.parametrize('frozen', [0, 2, 4])
def test_openvprlab_counts_frozen_and_unfrozen_layers_apart(published, trunks, imported, frozen):
    trunk, maps = trunks[3]
    state = published.renamed(trunk, published.halves(frozen))
    card, got = imported({'state_dict': {**state, 'aggregator.p': torch.tensor([3.1])}},
                         'openvprlab')
    assert (card.backbone, card.cut) == ('resnet18', 'layer3')
    assert card.preprocessing.resize is Resize.SMOOTH_BICUBIC
    close(got, published.gem(maps, 3.1))


def test_the_benchmarks_gem_in_each_of_its_forms(published, trunks, imported):
    trunk, maps = trunks[3]
    state = published.renamed(trunk, lambda child: f'backbone.{published.child_number(child)}')
    p, head = torch.tensor([2.4]), published.Weights(1)
    head.linear('aggregation.1', 256, 24)
    fc = (head['aggregation.1.weight'], head['aggregation.1.bias'])
    for extra, l2, wanted in (
            ({'aggregation.1.p': p}, '', {'before': True}),
            ({'aggregation.0.p': p}, '', {}),
            ({'aggregation.0.1.p': p, **head}, '', {'before': True, 'linear': fc}),
            ({'aggregation.0.0.p': p, **head}, 'after_pool', {'pooled': True, 'linear': fc}),
            ({'aggregation.0.0.p': p, **head}, 'none', {'linear': fc})):
        whole = {f'module.{key}': value for key, value in {**state, **extra}.items()}
        card, got = imported({'epoch_num': 3, 'model_state_dict': whole,
                              'recalls': np.array([80.1, 90.2]), 'best_r5': np.float64(90.2)},
                             'dvgl-benchmark', unsaid=Unsaid(l2=l2), force=True)
        close(got, published.gem(maps, 2.4, **wanted))
    assert card.preprocessing.resize is Resize.BILINEAR
    with pytest.raises(ModelError, match='trained with --l2 after_pool or --l2 none'):
        imported({**state, 'aggregation.0.0.p': p, **head}, 'dvgl-benchmark', force=True)


def test_the_benchmarks_netvlad(published, trunks, imported):
    trunk, maps = trunks[3]
    state = published.renamed(trunk, lambda child: f'backbone.{published.child_number(child)}')
    head = published.Weights(1)
    head.add('aggregation.conv.weight', 5, 256, 1, 1, scale=3.0)
    head.add('aggregation.centroids', 5, 256, scale=0.05)
    card, got = imported({**state, **head}, 'dvgl-benchmark')
    assert (card.cut, card.dim) == ('layer3', 1280)
    wanted = head['aggregation.conv.weight'], head['aggregation.centroids']
    close(got, published.netvlad(maps, *wanted))
    fc = published.Weights(2)
    fc.linear('aggregation.1', 1280, 16)
    card, got = imported({**state, **fc, 'aggregation.0.conv.weight': wanted[0],
                          'aggregation.0.centroids': wanted[1]}, 'dvgl-benchmark', force=True)
    assert card.dim == 16
    close(got, published.netvlad(maps, *wanted, linear=(fc['aggregation.1.weight'],
                                                        fc['aggregation.1.bias'])))


@pytest.mark.parametrize('parallel', ['', 'module.'])
def test_netvlad_of_vgg16_with_its_whitened_pca(published, imported, parallel):
    trunk = published.vgg16()
    with torch.no_grad():
        maps = published.vgg16_map(trunk, network_input([image(1), image(2)]))
    head, pca = published.Weights(1), published.Weights(2)
    head.add(f'pool.{parallel}conv.weight', 3, 512, 1, 1, scale=3.0)
    head.add(f'pool.{parallel}centroids', 3, 512, scale=0.05)
    pca.convolution('WPCA.0', 3 * 512, 16, 1, bias=True)
    state = {**{f'encoder.{parallel}{key}': value for key, value in trunk.items()}, **head}
    card, got = imported({'epoch': 30, 'best_score': 0.8, 'state_dict': {**state, **pca}},
                         'patch-netvlad')
    assert (card.backbone, card.cut, card.aggregator, card.dim) == (
        'vgg16', 'features.28', 'netvlad', 16)
    assert card.preprocessing.resize is Resize.SMOOTH_BILINEAR
    wanted = list(head.values())
    close(got, published.netvlad(maps, *wanted, linear=(pca['WPCA.0.weight'].flatten(1),
                                                        pca['WPCA.0.bias'])))
    card, got = imported(state, 'patch-netvlad', force=True)
    assert card.dim == 3 * 512
    close(got, published.netvlad(maps, *wanted))


@pytest.mark.parametrize(('layout', 'rule'), [
    ('boq', lambda p: lambda child: f'backbone.net.{p.child_number(child)}'),
    ('boq', lambda p: p.halves(3)), ('openvprlab', lambda p: p.halves(4))])
def test_boq(published, trunks, imported, layout, rule):
    trunk, maps = trunks[3]
    head = published.boq_head(256, 128, queries=6, blocks=2, rows=4)
    card, got = imported({**published.renamed(trunk, rule(published)), **head}, layout)
    assert (card.cut, card.dim, card.aggregator_args['heads']) == ('layer3', 512, 2)
    close(got, published.boq(maps, head, 2, heads=2))


def test_a_resnet50_has_bottlenecks(published, imported):
    trunk = published.resnet('resnet50', 2)
    with torch.no_grad():
        maps = published.resnet_map(trunk, network_input([image(1), image(2)]))
    state = published.renamed(trunk, lambda child: f'backbone.model.{child}')
    card, got = imported({**state, 'aggregator.p': torch.tensor([3.0])}, 'gsv-cities')
    assert (card.backbone, card.cut, card.dim) == ('resnet50', 'layer2', 512)
    close(got, published.gem(maps, 3.0))


@pytest.mark.parametrize('name', ['resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152'])
@pytest.mark.parametrize('layers', [3, 4])
@pytest.mark.parametrize(('layout', 'rule'), [
    ('cosplace', lambda p: lambda child: f'backbone.{p.child_number(child)}'),
    ('gsv-cities', lambda p: lambda child: f'backbone.model.{child}'),
    ('openvprlab', lambda p: p.halves(2)),
    ('boq', lambda p: lambda child: f'backbone.net.{p.child_number(child)}')])
def test_the_depth_is_read_off_the_weights(published, name, layers, layout, rule):
    state = published.renamed(published.resnet(name, layers, shapes_only=True), rule(published))
    trunk = LAYOUTS[layout].trunk(state)
    assert (trunk.backbone, trunk.cut) == (name, f'layer{layers}')


@pytest.mark.parametrize('name', ['resnet34', 'resnet50', 'resnet101'])
def test_the_names_and_shapes_written_down_here_are_torchvisions(published, name):
    from vpr_ros.nets.torchvision_models import whole_network
    with torch.device('meta'):
        whole = whole_network(name).state_dict()
    assert {key: value.shape for key, value in whole.items() if not key.startswith('fc.')} == {
        key: value.shape for key, value in published.resnet(name, shapes_only=True).items()}


@pytest.mark.parametrize(('layout', 'extra', 'size_px', 'resize'), [
    ('gsv-cities', {'aggregator.p': (1,)}, (320, 320), Resize.SMOOTH_BILINEAR),
    ('gsv-cities', {'aggregator.channel_pool.weight': (1024, 2048, 1, 1)}, (320, 320),
     Resize.SMOOTH_BICUBIC),
    ('gsv-cities', {'aggregator.channel_pool.weight': (512, 2048, 1, 1)}, (320, 320),
     Resize.SMOOTH_BILINEAR),
    ('openvprlab', {'aggregator.p': (1,)}, (320, 320), Resize.SMOOTH_BICUBIC),
    ('dvgl-benchmark', {'aggregation.centroids': (64, 256)}, (480, 640), Resize.BILINEAR)])
def test_preprocessing_is_the_sources(layout, extra, size_px, resize):
    state = {key: torch.empty(shape, device='meta') for key, shape in extra.items()}
    source = LAYOUTS[layout]
    preprocessing = source.preprocessing(source.head(state, Unsaid()))
    assert (preprocessing.height_px, preprocessing.width_px) == size_px
    assert preprocessing.resize is resize


def test_boq_is_fed_384_pixels_by_bicubic(published):
    state = published.boq_head(64, 64, 4, 1, 2, shapes_only=True)
    for layout in (LAYOUTS['boq'], LAYOUTS['openvprlab']):
        preprocessing = layout.preprocessing(layout.head(state, Unsaid()))
        assert (preprocessing.height_px, preprocessing.width_px) == (384, 384)
        assert preprocessing.resize is Resize.SMOOTH_BICUBIC


def test_another_layout_is_told_by_its_name(published):
    gsv = {**published.renamed(published.resnet('resnet18', shapes_only=True),
                               lambda child: f'backbone.model.{child}'),
           'aggregator.p': torch.empty(1)}
    with pytest.raises(ModelError, match=r'no backbone and no aggregator that the layout cosplace '
                       r'has .* backbone\.model\.conv1\.weight to aggregator\.p, as in the layout '
                       'gsv-cities or mixvpr'):
        read_layout('cosplace', gsv, Unsaid())
    with pytest.raises(ModelError, match='as in the layout torchvision'):
        read_layout('boq', published.resnet('resnet18', 1, shapes_only=True), Unsaid())
    with pytest.raises(ModelError, match=r"'patchvlad' is not known; choose one of tor"):
        read_layout('patchvlad', gsv, Unsaid())
    with pytest.raises(ModelError, match='l2 is one of after_pool, none'):
        Unsaid(l2='before')
    with pytest.raises(ModelError, match='has no cells'):
        Unsaid(grid=0)
