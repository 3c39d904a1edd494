# SPDX-License-Identifier: Apache-2.0
"""Flags of `vpr model import` that say how pixels become what a network takes."""

import pytest

torch = pytest.importorskip('torch', reason='importing needs torch')

from vpr_ros.errors import ModelError  # noqa: E402
from vpr_ros.nets.model_folder import read_card  # noqa: E402
from vpr_ros.nets.torchvision_models import whole_network  # noqa: E402
from vpr_ros.tools.model_commands import model_import, parse_colors  # noqa: E402


@pytest.fixture
def squeezenet(tmp_path, monkeypatch):
    """A state dict, and no wait for the exporter."""
    monkeypatch.setattr('vpr_ros.nets.export.export_onnx',
                        lambda network, preprocessing, path: path.write_bytes(b'no graph'))
    torch.manual_seed(0)
    torch.save(whole_network('squeezenet1_1').state_dict(), tmp_path / 'weights.pth')
    return tmp_path / 'weights.pth'


def test_a_network_from_caffe_says_so_on_its_card(squeezenet, tmp_path):
    model_import(squeezenet, out=tmp_path / 'model', backbone='squeezenet1_1', cut='features.4',
                 aggregator='grid', grid=2, size='64x96', scale=1.0, mean='123,117,104',
                 std='1,1,1')
    card = read_card(tmp_path / 'model')
    pre = card.preprocessing
    assert (pre.scale, pre.mean, pre.std) == (1.0, (123.0, 117.0, 104.0), (1.0, 1.0, 1.0))
    assert (pre.height_px, pre.width_px, card.dim) == (64, 96, 512)
    assert card.widths['backbone.features.4.squeeze'] == (128, 16)


@pytest.mark.parametrize('text', ['1,2', '1,2,3,4', 'red', '1,2,', 'nan,1,1', 'inf,0,0'])
def test_colors_that_are_not_three_numbers_are_refused(text):
    with pytest.raises(ModelError, match='--mean is a number each for red, green and blue'):
        parse_colors('--mean', text)


def test_colors_are_for_plain_state_dicts(squeezenet, tmp_path):
    with pytest.raises(ModelError, match='--scale and --std: a file in the layout cosplace says'):
        model_import(squeezenet, out=tmp_path / 'model', layout='cosplace', scale=1.0,
                     std='1,1,1')
    with pytest.raises(ModelError, match='std and scale of the preprocessing must be positive'):
        model_import(squeezenet, out=tmp_path / 'model', backbone='squeezenet1_1',
                     cut='features.4', aggregator='grid', std='0,1,1')
    assert not (tmp_path / 'model').exists()
