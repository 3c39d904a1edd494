# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
import json
import shutil

import numpy as np
import pytest
import torch

from vpr_ros.core.card import ModelCard
from vpr_ros.errors import ModelError
from vpr_ros.nets.model_folder import CARD, load_describer, read_card, seal_model, WEIGHTS
from vpr_ros.nets.reexport import export_again, refuse_other_map
from vpr_ros.nets.torch_describer import TorchDescriber


@pytest.fixture
def quick(monkeypatch):
    """Write the parent's graph, and compare nothing: the exporter takes seconds."""
    monkeypatch.setattr('vpr_ros.nets.reexport.export_onnx',
                        lambda network, preprocessing, path: path.write_bytes(b'no graph'))
    monkeypatch.setattr('vpr_ros.nets.reexport._parity', lambda *_: {'onnxruntime fp32': 1.0})


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()
            if not file.name.startswith('.')}


def test_another_size_is_another_model_that_runs(model_folder, pictures, tmp_path):
    before, out = contents(model_folder), tmp_path / 'wide'
    card = export_again(model_folder, out, pictures(4), size=(48, 80), shown='noise')
    assert contents(model_folder) == before
    parent = read_card(model_folder)
    assert read_card(out) == card == ModelCard.from_json((out / CARD).read_text(), CARD)
    assert (card.preprocessing.height_px, card.preprocessing.width_px) == (48, 80)
    assert card.parent == parent.digest != card.digest
    assert 'not measured' in card.notes['size']
    assert card.notes['parity']['with'] == 'torch fp32 on 4 noise'
    assert card.notes['parity']['least_cosine']['onnxruntime fp32'] >= 0.9999
    for count in (1, 3):
        np.testing.assert_allclose(
            load_describer(out, 1, 'onnxruntime', 'fp32').describe(pictures(count)),
            TorchDescriber.load(out).describe(pictures(count)), atol=1e-4)


def test_the_same_size_is_the_same_model(model_folder, pictures, tmp_path, quick):
    card = export_again(model_folder, tmp_path / 'again', pictures(2))
    parent = read_card(model_folder)
    assert replace(card, notes={}) == replace(parent, notes={})
    assert (tmp_path / 'again' / WEIGHTS).read_bytes() == (model_folder / WEIGHTS).read_bytes()
    same = export_again(model_folder, tmp_path / 'said', pictures(2), size=(64, 64))
    assert same.digest == parent.digest


def test_equal_exports_have_equal_digests(model_folder, pictures, tmp_path, quick):
    digests = {export_again(model_folder, tmp_path / str(i), pictures(2), size=size).digest
               for i, size in enumerate([(48, 80), (48, 80), (80, 48)])}
    assert len(digests) == 2


def test_existing_output_is_replaced_when_forced_only(model_folder, pictures, tmp_path, quick):
    (tmp_path / 'there').mkdir()
    with pytest.raises(ModelError, match='exists already; choose another name or pass --force'):
        export_again(model_folder, tmp_path / 'there', pictures(2))
    export_again(model_folder, tmp_path / 'there', pictures(2), force=True)
    assert (tmp_path / 'there' / CARD).is_file()


def test_mixvpr_keeps_the_map_that_it_learnt(make_network):
    network, card = make_network(cut='features.2', aggregator='mixvpr', args={
        'channels': 6, 'rows': 3, 'depth': 1, 'height': 16, 'width': 16})
    with pytest.raises(ModelError, match=r'an input of 96x64 gives a map of 24x16, and the mixers '
                                         r'of MixVPR .* 16x16; keep 64x64'):
        refuse_other_map(network, card, (96, 64))
    refuse_other_map(network, card, (63, 62))  # rounds to the same map


def test_a_grid_needs_a_position_for_each_cell(make_network):
    network, card = make_network()
    refuse_other_map(network, card, (128, 24))
    with pytest.raises(ModelError, match=r'too small for the 3 cells on a side of convap'):
        refuse_other_map(network, card, (16, 128))


def test_int8_is_not_exported_again(model_folder, pictures, tmp_path):
    folder = tmp_path / 'int8'
    shutil.copytree(model_folder, folder)
    seal_model(folder, replace(read_card(model_folder), precision='int8'))
    with pytest.raises(ModelError, match='is int8, measured for the input that it has'):
        export_again(folder, tmp_path / 'out', pictures(2), size=(48, 80))


def test_an_engine_that_does_something_else_is_refused(model_folder, pictures, tmp_path,
                                                       monkeypatch):
    graph = (model_folder / 'model.onnx').read_bytes()
    monkeypatch.setattr('vpr_ros.nets.reexport.export_onnx',
                        lambda network, preprocessing, path: path.write_bytes(graph))
    original = torch.nn.Module.load_state_dict

    def changed(self, state, *args, **kwargs):
        return original(self, {name: -tensor if name == 'aggregator.conv.weight' else tensor
                               for name, tensor in state.items()}, *args, **kwargs)
    monkeypatch.setattr(torch.nn.Module, 'load_state_dict', changed)
    with pytest.raises(ModelError, match='does not do what torch does: cosine'):
        export_again(model_folder, tmp_path / 'out', pictures(2))
    assert list(tmp_path.iterdir()) == []


def test_nan_weights_are_not_exported(model_folder, pictures, tmp_path):
    import safetensors.torch as st

    from vpr_ros.core.card import weights_digest
    folder = tmp_path / 'nan'
    shutil.copytree(model_folder, folder)
    state = st.load_file(folder / WEIGHTS)
    state['aggregator.conv.bias'][0] = torch.nan
    (folder / WEIGHTS).write_bytes(st.save(state))
    seal_model(folder, replace(read_card(model_folder),
                               digest=weights_digest((folder / WEIGHTS).read_bytes())))
    with pytest.raises(ModelError, match=r'aggregator\.conv\.bias is not finite'):
        export_again(folder, tmp_path / 'out', pictures(2))
    assert json.loads((folder / CARD).read_text())['precision'] == 'float32'
