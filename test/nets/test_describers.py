# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest

from vpr_ros.errors import FrameError, ModelError
from vpr_ros.nets.checked import checked_descriptors
from vpr_ros.nets.engine_choice import MIN_COSINE, probe_pictures
from vpr_ros.nets.engines import installed
from vpr_ros.nets.export import write_model
from vpr_ros.nets.model_folder import load_describer
from vpr_ros.nets.onnx_describer import OnnxDescriber
from vpr_ros.nets.torch_describer import TorchDescriber

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize('recipe', [
    {'cut': 'features.2', 'args': {'channels': 6, 'grid': 4, 'unit_positions': 1}},
    {'aggregator': 'gem', 'args': {'dim': 9, 'p': 2.0}},
    {'aggregator': 'grid', 'args': {'grid': 3}, 'width_mult': 0.5},  # 8x8 to 3x3: uneven windows
    {'backbone': 'resnet18', 'cut': 'layer2', 'width_mult': 0.25},
    {'cut': 'features.1', 'aggregator': 'netvlad',
     'args': {'clusters': 5, 'channels': 6, 'dim': 9}},
    {'cut': 'features.1', 'aggregator': 'mixvpr', 'args': {
        'channels': 5, 'rows': 3, 'depth': 1, 'height': 32, 'width': 32, 'hidden': 7}},
    {'cut': 'features.1', 'aggregator': 'boq', 'args': {
        'channels': 8, 'queries': 5, 'blocks': 1, 'rows': 3, 'heads': 2, 'hidden': 6}},
    {'backbone': 'mobilenet_v3_large', 'cut': 'features.4', 'aggregator': 'gem', 'args': {}},
    {'backbone': 'squeezenet1_0', 'cut': 'features.6', 'aggregator': 'grid', 'args': {'grid': 2}},
], ids=lambda recipe: '-'.join(map(str, recipe.values())))
def test_engine_and_reference_agree(make_network, pictures, tmp_path, recipe):
    write_model(tmp_path / 'model', *make_network(**recipe))
    reference = TorchDescriber.load(tmp_path / 'model')
    for name in (name for name in installed() if name != 'torch'):
        engine = load_describer(tmp_path / 'model', 1, name, 'fp32')
        assert engine.card == reference.card
        for count in (1, 3):
            images = pictures(count)
            got = engine.describe(images)
            assert got.shape == (count, engine.card.dim)
            assert got.dtype == np.float32
            np.testing.assert_allclose(got, reference.describe(images), atol=1e-4)
            np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1.0, atol=1e-5)
    pictures = [picture[::step] for picture in probe_pictures(reference.card) for step in (1, 2)]
    best, wanted = load_describer(tmp_path / 'model', 1), reference.describe(pictures)
    assert (best.describe(pictures) * wanted).sum(axis=1).min() >= MIN_COSINE


@pytest.mark.parametrize('kind', [load_describer, TorchDescriber.load])
def test_any_number_of_images_is_described_in_order(model_folder, pictures, kind):
    describer, images = kind(model_folder), pictures(37)
    got = describer.describe(images)
    assert got.shape == (37, 54)
    for i in (0, 15, 16, 36):
        np.testing.assert_allclose(got[i:i + 1], describer.describe([images[i]]), atol=1e-5)
    assert describer.describe([]).shape == (0, 54)


@pytest.mark.parametrize('kind', [load_describer, TorchDescriber.load])
def test_an_image_that_is_none_is_refused(model_folder, kind):
    with pytest.raises(FrameError, match='uint8 RGB'):
        kind(model_folder).describe([np.zeros((10, 10), np.uint8)])


def test_threads_change_nothing_but_time(model_folder, pictures):
    images = pictures(3)
    one, two = (load_describer(model_folder, n, 'onnxruntime').describe(images) for n in (1, 2))
    np.testing.assert_allclose(one, two, atol=1e-6)
    with pytest.raises(ModelError, match='threads must be 0'):
        load_describer(model_folder, -1)


def test_a_missing_graph_is_named(model_folder, tmp_path):
    card = load_describer(model_folder).card
    with pytest.raises(ModelError, match=r'gone\.onnx cannot be loaded'):
        OnnxDescriber(tmp_path / 'gone.onnx', card)


@pytest.mark.parametrize(('rows', 'said'), [
    ([[1.0, 0.0, 0.0]], '1 images, its card says 2 dimensions'),
    ([[1.0, 0.0], [0.0, 1.0]], 'for 1 images'),
    ([[np.nan, 0.0]], 'not finite'), ([[np.inf, 0.0]], 'not finite'),
    ([[0.0, 0.0]], 'length 0, not 1'), ([[3.0, 4.0]], 'length 5, not 1')])
def test_output_that_is_no_descriptor_is_refused(model_folder, rows, said):
    card = replace(load_describer(model_folder).card, dim=2)
    with pytest.raises(ModelError, match=said):
        checked_descriptors(np.array(rows), 1, card)


def test_describing_needs_no_torch(model_folder):
    code = ('import sys, numpy\n'
            'from pathlib import Path\n'
            'from vpr_ros.nets.model_folder import load_describer\n'
            f'describer = load_describer(Path({str(model_folder)!r}), 1)\n'
            'print(describer.describe([numpy.zeros((9, 9, 3), numpy.uint8)]).shape)\n'
            'print(sorted({"torch", "torchvision", "onnx"} & set(sys.modules)))')
    run = subprocess.run([sys.executable, '-c', code], cwd=ROOT, text=True, capture_output=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ['(1, 54)', '[]']
