# SPDX-License-Identifier: Apache-2.0
"""The shipped network in int8: small enough to be quantized for real, on made-up pictures."""

from dataclasses import replace
import importlib.util
import json
import shutil

import cv2
import numpy as np
import pytest

pytest.importorskip('onnx', reason='quantizing needs onnx')

from vpr_ros.compress.quantize import quantize
from vpr_ros.compress.quantize_judge import compare, Seen, shared
from vpr_ros.compress.self_labelled import self_labelled
from vpr_ros.core.card import ModelCard
from vpr_ros.errors import DatasetError, ModelError
from vpr_ros.nets.model_folder import (
    CARD,
    default_model_folder,
    INT8_GRAPH,
    load_describer,
    MANIFEST,
    OPENVINO_INT8,
    read_card,
    seal_model,
    WEIGHTS,
)

HAS_NNCF = all(importlib.util.find_spec(name) for name in ('nncf', 'openvino'))
PARENT = default_model_folder()


def blots(count, seed, gain=60.0, middle=120.0):
    rng = np.random.default_rng(seed)
    return [np.clip(middle + gain * sum(cv2.resize(
        rng.normal(size=(n, n, 3)).astype(np.float32), (160, 120)) for n in (3, 9, 27)),
        0, 255).astype(np.uint8) for _ in range(count)]


@pytest.fixture(scope='module')
def pair():
    return self_labelled(blots(8, 1))


@pytest.fixture(scope='module')
def small(pair, tmp_path_factory):
    """The network in int8 for ONNX Runtime, and what was found about it."""
    out = tmp_path_factory.mktemp('int8') / 'small'
    return out, quantize(PARENT, blots(8, 0), pair, out, form='onnxruntime',
                         max_drop_points=10.0, source='blots')


def test_the_child_is_a_model_of_its_own(small):
    out, done = small
    card, parent = read_card(out), read_card(PARENT)
    assert card == done.card
    assert card == ModelCard.from_json(card.to_json(), CARD)
    assert (card.precision, card.parent, card.name) == ('int8', parent.digest, 'vpr-default-int8')
    assert card.digest != parent.digest
    assert (card.widths, card.preprocessing, card.licence) == (
        parent.widths, parent.preprocessing, parent.licence)
    assert set(json.loads((out / MANIFEST).read_text())['files']) == {
        CARD, WEIGHTS, 'model.onnx', INT8_GRAPH}
    assert (out / INT8_GRAPH).stat().st_size < 0.35 * (PARENT / 'model.onnx').stat().st_size


def test_the_card_tells_how_it_was_made_and_judged(small):
    notes = small[1].card.notes
    assert notes['forced'] is False
    assert 'stand-in' in notes['protocol']
    assert '8 images of blots, none of them a query' in notes['protocol']
    verdict = notes['int8']['onnxruntime']
    assert verdict['queries'] == 16
    assert verdict['at_1'] >= verdict['parent_at_1'] - 0.1
    assert verdict['parent_at_1'] > 0.5
    assert verdict['cosine']['min'] > 0.9
    assert 'QDQ' in verdict['method']
    assert 'nodes in float' in verdict['method']


def test_it_runs_in_int8_and_near_its_parent(small):
    describer = load_describer(small[0], 1, 'onnxruntime', 'int8')
    assert (describer.engine, describer.precision) == ('onnxruntime', 'int8')
    images = blots(3, 2)
    cosine = (describer.describe(images) * load_describer(None, 1, 'onnxruntime', 'fp32').describe(
        images)).sum(axis=1)
    assert 0.9 < cosine.min() < 0.99999


def test_what_it_is_made_of_is_int8_inside_and_float_at_the_end(small):
    import onnx
    model = onnx.load(small[0] / INT8_GRAPH)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count('QuantizeLinear') > 10
    maker = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type == 'Conv':
            assert maker[node.input[1]].op_type == 'DequantizeLinear'
        if node.op_type == 'ReduceL2':
            assert node.output[0] not in {name for each in model.graph.node
                                          if each.op_type == 'QuantizeLinear'
                                          for name in each.input}


@pytest.mark.skipif(not HAS_NNCF, reason='nncf and openvino are not installed')
def test_openvino_runs_its_own_int8(pair, tmp_path):
    out = tmp_path / 'small'
    done = quantize(PARENT, blots(8, 0), pair, out, form='openvino', max_drop_points=10.0)
    assert [each.engine for each in done.judged] == ['openvino']
    assert not (out / INT8_GRAPH).exists()
    assert (out / OPENVINO_INT8).is_file()
    describer = load_describer(out, 1, 'openvino', 'int8')
    cosine = (describer.describe(blots(3, 2)) * load_describer(
        None, 1, 'onnxruntime', 'fp32').describe(blots(3, 2))).sum(axis=1)
    assert 0.9 < cosine.min() < 0.99999


def test_a_child_that_recalls_less_is_refused_unless_forced(tmp_path):
    pair = self_labelled(blots(24, 1, gain=25.0))  # many that look alike
    dark = blots(8, 0, gain=0.4, middle=1.0)  # scales of a night without lamps
    out = tmp_path / 'bad'
    with pytest.raises(ModelError, match=r'recall@1 on self-labelled falls from .* more than 1 is '
                                         r'refused.*nothing was written'):
        quantize(PARENT, dark, pair, out, form='onnxruntime')
    assert list(tmp_path.iterdir()) == []
    done = quantize(PARENT, dark, pair, out, form='onnxruntime', force=True)
    assert done.judged[0].verdict.drop_points > 1.0
    assert read_card(out).notes['forced'] is True


def test_quantizing_twice_is_refused(small, pair, tmp_path):
    with pytest.raises(ModelError, match='is int8 already; quantize the model that it was made'):
        quantize(small[0], blots(8, 0), pair, tmp_path / 'out', form='onnxruntime')


@pytest.mark.parametrize(('change', 'said'), [
    ({'form': 'tflite'}, 'no format tflite; choose one of onnxruntime, openvino, both'),
    ({'images': blots(3, 0)}, '3 images are too few'),
    ({'images': [np.full((9, 9, 3), 5, np.uint8)] * 8}, 'each of the images is of one color'),
    ({'max_drop_points': float('nan')}, 'must be 0 or more points'),
    ({'max_drop_points': -1.0}, 'must be 0 or more points')])
def test_what_cannot_be_is_said(pair, tmp_path, change, said):
    given = {'images': blots(8, 0), 'form': 'onnxruntime', **change}
    with pytest.raises(ModelError, match=said):
        quantize(PARENT, given.pop('images'), pair, tmp_path / 'out', **given)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_replaced(pair, tmp_path):
    with pytest.raises(ModelError, match='exists already'):
        quantize(PARENT, blots(8, 0), pair, tmp_path, form='onnxruntime')


@pytest.mark.parametrize(('absent', 'form', 'said'), [
    ('nncf', 'openvino', 'nncf is not installed; pip install nncf, or choose --format'),
    ('openvino', 'both', 'openvino is not installed; pip install openvino, or choose --format'),
    ('onnx', 'onnxruntime', 'onnx is not installed; pip install onnx')])
def test_a_missing_tool_is_named(pair, tmp_path, monkeypatch, absent, form, said):
    for module in ('quantize_onnx', 'quantize_openvino'):
        monkeypatch.setattr(f'vpr_ros.compress.{module}.find_spec',
                            lambda name: None if name == absent else object())
    with pytest.raises(ModelError, match=said):
        quantize(PARENT, blots(8, 0), pair, tmp_path / 'out', form=form)


def test_a_cut_model_is_refused(pair, tmp_path):
    folder = tmp_path / 'cut'
    shutil.copytree(PARENT, folder)
    graph = folder / 'model.onnx'
    graph.write_bytes(graph.read_bytes()[:-1000])
    with pytest.raises(ModelError, match=r'model\.onnx does not match its digest'):
        quantize(folder, blots(8, 0), pair, tmp_path / 'out', form='onnxruntime')


def test_weights_that_are_not_finite_are_refused(pair, tmp_path):
    import safetensors.numpy as st

    from vpr_ros.core.card import weights_digest
    folder = tmp_path / 'nan'
    shutil.copytree(PARENT, folder)
    state = st.load_file(folder / WEIGHTS)
    state['backbone.conv1.weight'][0, 0, 0, 0] = np.nan
    (folder / WEIGHTS).write_bytes(st.save(state))
    seal_model(folder, replace(read_card(PARENT),
                               digest=weights_digest((folder / WEIGHTS).read_bytes())))
    with pytest.raises(ModelError, match=r'backbone\.conv1\.weight is not finite'):
        quantize(folder, blots(8, 0), pair, tmp_path / 'out', form='onnxruntime')
    assert not (tmp_path / 'out').exists()


def test_verdicts_count_in_points_of_a_hundred(pair):
    eye = np.eye(8, dtype=np.float32)
    parent = Seen(eye, np.repeat(eye, 2, axis=0))
    child = Seen(eye, np.repeat(eye[[1, 0, 2, 3, 4, 5, 6, 7]], 2, axis=0))
    verdict = compare(parent, child, pair)
    assert (verdict.queries, verdict.parent_at_1, verdict.at_1) == (16, 1.0, 0.75)
    assert verdict.drop_points == pytest.approx(25.0)
    assert verdict.cosine['min'] == 0.0
    assert verdict.cosine['p50'] == 1.0


def test_too_few_queries_say_nothing():
    few = self_labelled(blots(2, 0))
    eye = np.eye(2, dtype=np.float32)
    seen = Seen(eye, np.repeat(eye, 2, axis=0))
    with pytest.raises(DatasetError, match='4 of 4 queries have a positive in the map, recall '
                                           'needs 10'):
        compare(seen, seen, few)


def test_images_that_also_judge_are_counted(pair):
    assert shared(blots(2, 0), pair) == 0
    assert shared([pair.query.images[3], pair.query.images[9]], pair) == 2
