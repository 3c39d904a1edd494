# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
import json
import shutil

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest
import torch

from vpr_ros.core.card import ModelCard
from vpr_ros.core.folder import seal
from vpr_ros.errors import ModelError
from vpr_ros.nets.export import write_model
from vpr_ros.nets.model_folder import CARD, GRAPH, load_describer, MANIFEST, read_card, WEIGHTS
from vpr_ros.nets.torch_describer import TorchDescriber

FILES = (CARD, WEIGHTS, GRAPH, MANIFEST)


@pytest.fixture
def copied(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / 'model')


def sealed_again(folder):
    """Let a folder's manifest agree with whatever its files now hold."""
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).write_text(json.dumps(seal({}, folder)))


@pytest.mark.usefixtures('no_graph')
def test_a_folder_gives_back_what_was_written(make_network, tmp_path):
    network, card = make_network(parent='1234', notes={'seed': 3, 'recall': {'a': [0.5]}})
    write_model(tmp_path / 'model', network, card)
    assert sorted(file.name for file in (tmp_path / 'model').iterdir()) == sorted(FILES)
    assert read_card(tmp_path / 'model') == card
    assert list(tmp_path.iterdir()) == [tmp_path / 'model']


def test_the_graph_holds_no_path_of_the_machine_that_made_it(model_folder):
    graph = (model_folder / GRAPH).read_bytes()
    assert b'site-packages' not in graph
    assert b'.py' not in graph


def test_an_absent_folder_is_named(tmp_path):
    with pytest.raises(ModelError, match=r'no model folder .*/nowhere; check the path'):
        load_describer(tmp_path / 'nowhere')


@pytest.mark.parametrize('name', FILES)
def test_a_missing_file_is_named_and_what_belongs_there(copied, name):
    (copied / name).unlink()
    with pytest.raises(ModelError, match=rf'holds no {name}; a model folder holds card\.json'):
        load_describer(copied)


@settings(max_examples=60)
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_found(model_folder, tmp_path_factory, data):
    folder = shutil.copytree(model_folder, tmp_path_factory.mktemp('flip') / 'model')
    file = folder / data.draw(st.sampled_from(FILES))
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content)
    try:
        same = json.loads((folder / MANIFEST).read_text()) == json.loads(
            (model_folder / MANIFEST).read_text())
    except ValueError:
        same = False
    if file.name == MANIFEST and same:
        return  # one blank became another
    with pytest.raises(ModelError, match='model again'):
        read_card(folder)


@pytest.mark.parametrize('name', FILES)
@pytest.mark.parametrize('share', [0.0, 0.5, 0.99])
def test_a_truncated_file_is_found(copied, name, share):
    content = (copied / name).read_bytes()
    (copied / name).write_bytes(content[:int(share * len(content))])
    with pytest.raises(ModelError, match='model again'):
        load_describer(copied)


@pytest.mark.parametrize('text', ['[]', '{}', 'null', '{"files": []}', '{"files": {}}'])
def test_a_manifest_of_another_kind_is_refused(copied, text):
    (copied / MANIFEST).write_text(text)
    with pytest.raises(ModelError, match=r'manifest\.json'):
        read_card(copied)


def test_a_manifest_must_seal_every_file(copied):
    graph = (copied / GRAPH).read_bytes()
    (copied / GRAPH).unlink()
    sealed_again(copied)
    (copied / GRAPH).write_bytes(graph)
    with pytest.raises(ModelError, match=r'does not seal model\.onnx'):
        read_card(copied)


@pytest.mark.usefixtures('no_graph')
def test_weights_of_another_model_are_refused(copied, make_network, tmp_path):
    write_model(tmp_path / 'other', *make_network(seed=5))
    shutil.copy(tmp_path / 'other' / WEIGHTS, copied / WEIGHTS)
    sealed_again(copied)
    with pytest.raises(ModelError, match=r'is not the card of weights\.safetensors'):
        read_card(copied)


def test_a_graph_of_another_model_is_refused(copied, make_network, tmp_path):
    write_model(tmp_path / 'other', *make_network(args={'channels': 5, 'grid': 3}))
    shutil.copy(tmp_path / 'other' / GRAPH, copied / GRAPH)
    sealed_again(copied)
    with pytest.raises(ModelError, match=r'gave \(1, 45\) for 1 images, its card says 54'):
        load_describer(copied)


def test_a_graph_of_another_input_size_is_refused(copied):
    card = json.loads((copied / CARD).read_text())
    card['preprocessing']['width_px'] = 72
    (copied / CARD).write_text(json.dumps(card))
    sealed_again(copied)
    with pytest.raises(ModelError, match=r'takes \[3, 64, 64\], its card says 64x72'):
        load_describer(copied)


def test_a_sealed_graph_that_is_none_is_refused(copied):
    (copied / GRAPH).write_bytes(b'no graph')
    sealed_again(copied)
    with pytest.raises(ModelError, match=r'model\.onnx cannot be loaded'):
        load_describer(copied)


def test_weights_that_do_not_fit_their_card_are_refused(copied):
    card = read_card(copied)
    widths = {**card.widths, 'aggregator.conv': (8, 7)}
    (copied / CARD).write_text(replace(card, widths=widths, dim=63).to_json())
    sealed_again(copied)
    with pytest.raises(ModelError, match='does not fit its card'):
        TorchDescriber.load(copied)


def test_nan_weights_are_not_written(make_network, tmp_path):
    network, card = make_network()
    network.aggregator.conv.weight.data[0, 0] = float('nan')
    with pytest.raises(ModelError, match=r'aggregator\.conv\.weight is not finite'):
        write_model(tmp_path / 'model', network, card)
    assert list(tmp_path.iterdir()) == []


def test_nan_weights_are_not_run(copied, make_network, monkeypatch, tmp_path):
    network, card = make_network()
    network.aggregator.conv.weight.data[0, 0] = float('nan')
    for check in ('refuse_nan', 'refuse_disparity'):
        monkeypatch.setattr(f'vpr_ros.nets.export.{check}', lambda *_: None)
    card = replace(card, digest=_digest_of(network))
    write_model(tmp_path / 'damaged', network, card)
    with pytest.raises(ModelError, match='not finite'):
        load_describer(tmp_path / 'damaged')
    with pytest.raises(ModelError, match=r'aggregator\.conv\.weight is not finite'):
        TorchDescriber.load(tmp_path / 'damaged')


def _digest_of(network):
    from vpr_ros.core.card import weights_digest
    from vpr_ros.nets.export import weights_of
    return weights_digest(weights_of(network))


def test_the_card_of_another_network_is_not_written(make_network, tmp_path):
    network, _ = make_network(seed=0)
    _, card = make_network(seed=1)
    with pytest.raises(ModelError, match='is not that of the network'):
        write_model(tmp_path / 'model', network, card)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures('no_graph')
def test_an_existing_folder_is_kept_unless_forced(copied, make_network):
    before = read_card(copied)
    network, card = make_network(seed=9)
    with pytest.raises(ModelError, match='exists already; choose another name or pass --force'):
        write_model(copied, network, card)
    assert read_card(copied) == before
    write_model(copied, network, card, force=True)
    assert read_card(copied) == card != before


def test_a_failed_export_leaves_the_old_folder(copied, make_network, monkeypatch):
    before = read_card(copied)

    def fail(*_: object) -> None:
        raise ModelError('the exporter gave up')
    monkeypatch.setattr('vpr_ros.nets.export.export_onnx', fail)
    with pytest.raises(ModelError, match='gave up'):
        write_model(copied, *make_network(seed=9), force=True)
    assert read_card(copied) == before
    assert [file.name for file in copied.parent.iterdir()] == ['model']


def test_equal_networks_have_equal_digests(make_network):
    (first, card), (_, again) = make_network(seed=2), make_network(seed=2)
    assert isinstance(card, ModelCard)
    assert card.digest == again.digest
    with torch.no_grad():
        first.aggregator.conv.bias += np.float32(1e-3)
    assert _digest_of(first) != card.digest
