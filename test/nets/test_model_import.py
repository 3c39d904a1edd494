# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import safetensors.torch
import torch

from vpr_ros.core.card import Preprocessing, Resize
from vpr_ros.errors import ModelError
from vpr_ros.nets.layouts import Unsaid
from vpr_ros.nets.model_folder import load_describer
from vpr_ros.nets.model_import import import_checkpoint, import_torchvision
from vpr_ros.nets.torchvision_models import whole_network

SMALL = Preprocessing(64, 64)


@pytest.fixture
def state():
    torch.manual_seed(0)
    return whole_network('mobilenet_v2').state_dict()


@pytest.fixture
def load(tmp_path):
    """Save a state dict, import it and return the card; the folder is tmp_path / 'model'."""
    def load(state, cut='features.4', aggregator='grid', **options):
        torch.save(state, tmp_path / 'weights.pth')
        return import_torchvision(tmp_path / 'weights.pth', 'mobilenet_v2', cut, aggregator,
                                  tmp_path / 'model', preprocessing=SMALL, **options)
    return load


def test_a_state_dict_becomes_a_model(state, load, tmp_path, pictures):
    card = load(state, aggregator_args={'grid': 2}, licence='BSD-3-Clause')
    assert (card.name, card.dim, card.licence) == ('mobilenet_v2-features.4-grid', 128,
                                                   'BSD-3-Clause')
    whole = whole_network('mobilenet_v2').eval()
    whole.load_state_dict(state)
    images = [np.full((64, 64, 3), 90, np.uint8), pictures(3)[2]]
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 255.0
    mean, std = torch.tensor(SMALL.mean), torch.tensor(SMALL.std)
    with torch.no_grad():
        maps = whole.features[:5]((pixels - mean[:, None, None]) / std[:, None, None])
    wanted = torch.nn.functional.adaptive_avg_pool2d(maps, 2).flatten(1)
    wanted = torch.nn.functional.normalize(wanted, dim=1)
    describer = load_describer(tmp_path / 'model', 1, 'onnxruntime')
    np.testing.assert_allclose(describer.describe(images), wanted, atol=1e-4)


@pytest.mark.usefixtures('no_graph')
def test_layers_behind_the_cut_may_be_there_or_not(state, load, tmp_path):
    first = load(state)
    kept = {key: value for key, value in state.items()
            if key.startswith('features.') and int(key.split('.')[1]) <= 4}
    assert load(kept, force=True).digest == first.digest


@pytest.mark.parametrize(('change', 'said'), [
    ({'features.1.conv.0.0.weight': None}, r'missing: features\.1\.conv\.0\.0\.weight'),
    ({'features.3.extra': torch.zeros(1)}, r'unexpected: features\.3\.extra'),
    ({'fc.weight': torch.zeros(1)}, r'unexpected: fc\.weight'),
    ({'features.0.0.weight': torch.zeros(8, 3, 3, 3)},
     r'mis-shaped: features\.0\.0\.weight \(8, 3, 3, 3\), not \(32, 3, 3, 3\)'),
    ({f'module.{i}': torch.zeros(1) for i in range(9)}, r'module\.4 and 4 more'),
    ({'features.0.0.weight': torch.full((32, 3, 3, 3), float('nan'))}, 'is not finite'),
])
def test_keys_that_do_not_fit_are_listed_and_nothing_is_written(state, load, tmp_path, change,
                                                                said):
    changed = {key: value for key, value in {**state, **change}.items() if value is not None}
    with pytest.raises(ModelError, match=said):
        load(changed)
    assert [file.name for file in tmp_path.iterdir()] == ['weights.pth']


def test_all_that_is_wrong_is_said_at_once(load):
    with pytest.raises(ModelError, match=r'missing: features.* and \d+ more; unexpected: w'):
        load({'w': torch.zeros(1)})


@pytest.mark.parametrize(('aggregator', 'args'), [
    ('convap', {'channels': 4, 'grid': 2}), ('gem', {'dim': 8}), ('netvlad', {'clusters': 4})])
def test_an_aggregator_that_needs_training_is_refused(state, load, tmp_path, aggregator, args):
    with pytest.raises(ModelError, match='choose grid, or gem without dim'):
        load(state, aggregator=aggregator, aggregator_args=args)


def test_an_absent_file_and_an_existing_folder_are_refused(state, load, tmp_path):
    with pytest.raises(ModelError, match='there is no file'):
        import_torchvision(tmp_path / 'none.pth', 'mobilenet_v2', 'features.4', 'grid',
                           tmp_path / 'model')
    (tmp_path / 'model').mkdir()
    with pytest.raises(ModelError, match='exists already'):
        load(state)


@pytest.fixture(scope='module')
def whole(published):
    """The weights of a ResNet18-ConvAP as GSV-Cities writes it."""
    head = published.Weights(1)
    head.convolution('aggregator.channel_pool', 128, 4, 1, bias=True)
    return {**published.renamed(published.resnet('resnet18', 2),
                                lambda child: f'backbone.model.{child}'), **head}


@pytest.fixture
def load_whole(tmp_path):
    """Save, import and return the card; the folder is tmp_path / 'model'."""
    def load(state, layout='gsv-cities', size=(64, 64), **options):
        torch.save(state, tmp_path / 'weights.pth')
        return import_checkpoint(tmp_path / 'weights.pth', layout, tmp_path / 'model', size=size,
                                 **options)
    return load


@pytest.mark.parametrize(('change', 'said'), [
    ({'backbone.model.layer2.0.bn1.bias': None},
     r'fit resnet18 up to layer2 with convap: missing: backbone\.model\.layer2\.0\.bn1\.bias$'),
    ({'backbone.model.fc.weight': torch.zeros(1)}, r'unexpected: backbone\.model\.fc\.weight$'),
    ({'aggregator.channel_pool.weight': torch.zeros(4, 500, 1, 1)},
     r'mis-shaped: aggregator\.channel_pool\.weight \(4, 500, 1, 1\), not \(4, 128, 1, 1\)$'),
    ({'aggregator.channel_pool.bias': None, 'aggregator.x': torch.zeros(1),
      'backbone.model.conv1.weight': torch.zeros(64, 3, 3, 3)},
     r'missing: aggregator\.channel_pool\.bias; unexpected: aggregator\.x; mis-shaped: back'),
    ({'backbone.model.layer2.1.bn2.running_var': torch.full((128,), float('nan'))},
     r'layer2\.1\.bn2\.running_var is not finite'),
    ({'aggregator.channel_pool.bias': torch.tensor([1.0, 2.0, float('inf'), 3.0])},
     r'conv\.bias is not finite'),
    ({'backbone.model.layer2.1.conv1.weight': None, 'backbone.model.conv1.weight': None},
     'no backbone that the layout gsv-cities has'),
    ({'aggregator.channel_pool.weight': None}, 'no aggregator that the layout gsv-cities has'),
    ({'aggregator.channel_pool.weight': torch.zeros(())}, 'missing or mis-shaped: aggregator'),
])
def test_published_names_that_do_not_fit_are_listed_and_nothing_is_written(whole, load_whole,
                                                                           tmp_path, change, said):
    changed = {key: value for key, value in {**whole, **change}.items() if value is not None}
    with pytest.raises(ModelError, match=said):
        load_whole(changed)
    assert [file.name for file in tmp_path.iterdir()] == ['weights.pth']


def test_half_precision_weights_become_single(whole, load_whole, tmp_path, no_graph):
    load_whole({key: value.half() if value.is_floating_point() else value
                for key, value in whole.items()})
    weights = safetensors.torch.load_file(tmp_path / 'model' / 'weights.safetensors')
    assert {value.dtype for value in weights.values()} == {torch.float32, torch.int64}


@pytest.mark.usefixtures('no_graph')
def test_what_no_file_says_can_be_said(whole, load_whole):
    card = load_whole(whole, unsaid=Unsaid(grid=1), resize=Resize.AREA, name='mine', dim=4)
    assert (card.name, card.dim, card.preprocessing.resize) == ('mine', 4, Resize.AREA)
    assert card.notes['imported_from'] == 'weights.pth'
    assert len(card.notes['checkpoint_sha256']) == 64
    with pytest.raises(ModelError, match='gives 16 dimensions, not 4'):
        load_whole(whole, dim=4, force=True)


def test_mixers_for_another_input_size_are_refused(published, load_whole):
    state = {**published.renamed(published.resnet('resnet18', 3),
                                 lambda child: f'backbone.model.{child}'),
             **published.mixvpr_head(256, 16, 6, 3, depth=1)}
    with pytest.raises(ModelError, match='take maps of 16 positions, and an input of 96x64 gives '
                                         '6x4; pass the --size that it was trained for'):
        load_whole(state, 'mixvpr', size=(96, 64))


def test_a_size_is_asked_where_the_source_has_none(published, load_whole):
    head = published.Weights(1)
    head.linear('aggregation.3', 512, 8)
    state = {**published.renamed(published.resnet('resnet18'),
                                 lambda child: f'backbone.{published.child_number(child)}'),
             'aggregation.1.p': torch.tensor([3.0]), **head}
    with pytest.raises(ModelError, match='eigenplaces runs at the size that the images have'):
        load_whole(state, 'eigenplaces', size=None)
    with pytest.raises(ModelError, match='below 8 pixels'):
        load_whole(state, 'eigenplaces', size=(4, 64))


def test_a_state_dict_of_another_layout_is_told_by_its_name(whole, load):
    with pytest.raises(ModelError, match='as in the layout gsv-cities or mixvpr'):
        load(whole)
