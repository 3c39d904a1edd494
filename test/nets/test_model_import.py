# SPDX-License-Identifier: Apache-2.0
import pickle

import numpy as np
import pytest
import torch

from vpr_ros.core.card import Preprocessing
from vpr_ros.errors import ModelError
from vpr_ros.nets.model_folder import load_describer
from vpr_ros.nets.model_import import import_torchvision
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
    np.testing.assert_allclose(load_describer(tmp_path / 'model').describe(images), wanted,
                               atol=1e-4)


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


@pytest.mark.parametrize(('aggregator', 'args'), [('convap', {'channels': 4, 'grid': 2}),
                                                  ('gem', {'dim': 8})])
def test_an_aggregator_that_needs_training_is_refused(state, load, tmp_path, aggregator, args):
    with pytest.raises(ModelError, match='choose grid, or gem without dim'):
        load(state, aggregator=aggregator, aggregator_args=args)


class Harmful:
    def __reduce__(self):
        return open, ('harm', 'w')


@pytest.mark.parametrize('content', [b'', b'no zip', pickle.dumps(Harmful(), protocol=2)])
def test_a_file_of_another_kind_is_refused_and_not_run(tmp_path, content, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'weights.pth').write_bytes(content)
    with pytest.raises(ModelError, match='cannot be read as plain tensors'):
        import_torchvision(tmp_path / 'weights.pth', 'mobilenet_v2', 'features.4', 'grid',
                           tmp_path / 'model')
    assert [file.name for file in tmp_path.iterdir()] == ['weights.pth']


@pytest.mark.parametrize('saved', [[], {}, {'epoch': 3}, {'state_dict': {'a': 1}}])
def test_a_checkpoint_that_is_no_state_dict_is_refused(tmp_path, saved):
    torch.save(saved, tmp_path / 'weights.pth')
    with pytest.raises(ModelError, match=r'is no state dict \(names to tensors\)'):
        import_torchvision(tmp_path / 'weights.pth', 'mobilenet_v2', 'features.4', 'grid',
                           tmp_path / 'model')


def test_an_absent_file_and_an_existing_folder_are_refused(state, load, tmp_path):
    with pytest.raises(ModelError, match='there is no file'):
        import_torchvision(tmp_path / 'none.pth', 'mobilenet_v2', 'features.4', 'grid',
                           tmp_path / 'model')
    (tmp_path / 'model').mkdir()
    with pytest.raises(ModelError, match='exists already'):
        load(state)
