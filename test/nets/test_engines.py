# SPDX-License-Identifier: Apache-2.0
"""Every engine that is installed gives the network's descriptors, or says why it cannot."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
import json
from pathlib import Path
import shutil
import subprocess
import sys

import numpy as np
import pytest

from vpr_ros.core.folder import seal
from vpr_ros.errors import FrameError, ModelError
from vpr_ros.nets import engines, model_folder as files, onnx_describer, torch_describer
from vpr_ros.nets.engine_choice import MIN_COSINE, probe_pictures
from vpr_ros.nets.engines import Candidate, candidates, installed, open_describer
from vpr_ros.nets.model_folder import load_describer, read_card

ROOT = Path(__file__).resolve().parents[2]
def runnable():
    for engine in installed():
        yield engine, 'fp32'
    if 'openvino' in installed():
        from vpr_ros.nets.openvino_describer import float_precisions
        yield from (('openvino', precision) for precision in float_precisions()[1:])


RUNNABLE = list(runnable())
each_engine = pytest.mark.parametrize(('engine', 'precision'), RUNNABLE)


@pytest.fixture
def copied(model_folder, tmp_path):
    """A model folder that a test may spoil."""
    return shutil.copytree(model_folder, tmp_path / 'model',
                           ignore=shutil.ignore_patterns('.engines.json'))


def sealed_again(folder):
    (folder / files.MANIFEST).unlink()
    (folder / files.MANIFEST).write_text(json.dumps(seal({}, folder)))


@each_engine
def test_every_engine_gives_what_torch_gives(model_folder, engine, precision):
    describer = load_describer(model_folder, 1, engine, precision)
    assert (describer.engine, describer.precision) == (engine, precision)
    assert describer.choice == f'{engine} {precision}, as asked'
    card = describer.card
    images = [picture[::step, ::2] for picture in probe_pictures(card) for step in (1, 2, 3, 4)]
    images.append(images[0])
    wanted = torch_describer.TorchDescriber.load(model_folder).describe(images)
    for count in (1, 3, 17):
        got = describer.describe(images[:count])
        assert got.shape == (count, card.dim)
        assert got.dtype == np.float32
        assert (got * wanted[:count]).sum(axis=1).min() >= MIN_COSINE
        np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1.0, atol=1e-5)
        if precision == 'fp32':
            np.testing.assert_allclose(got, wanted[:count], atol=1e-4)
    assert describer.describe([]).shape == (0, card.dim)


@each_engine
def test_two_may_ask_at_once(model_folder, pictures, engine, precision):
    describer = load_describer(model_folder, 1, engine, precision)
    batches = [pictures(1 + seed % 2, seed) for seed in range(20)]
    alone = [describer.describe(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for got, wanted in zip(pool.map(describer.describe, batches), alone, strict=True):
            np.testing.assert_allclose(got, wanted, atol=1e-5)


@each_engine
@pytest.mark.parametrize('image', [np.zeros((0, 8, 3), np.uint8), np.zeros((8, 0, 3), np.uint8),
                                   np.zeros((8, 8), np.uint8)], ids=str)
def test_an_image_without_pixels_is_refused(model_folder, engine, precision, image):
    with pytest.raises(FrameError, match=r'must be \(height, width, 3\) uint8 RGB'):
        load_describer(model_folder, 1, engine, precision).describe([image])


@each_engine
def test_threads_below_zero_are_refused(model_folder, engine, precision):
    with pytest.raises(ModelError, match='threads must be 0'):
        load_describer(model_folder, -1, engine, precision)


def graph_engines():
    return [pair for pair in RUNNABLE if pair[0] != 'torch']


@pytest.mark.parametrize(('engine', 'precision'), graph_engines())
def test_a_graph_with_nan_weights_is_refused(copied, engine, precision):
    onnx = pytest.importorskip('onnx')
    model = onnx.load(copied / files.GRAPH)
    largest = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    spoilt = np.full(list(largest.dims), np.nan, np.float32)
    largest.CopyFrom(onnx.numpy_helper.from_array(spoilt, largest.name))
    onnx.save(model, copied / files.GRAPH)
    sealed_again(copied)
    with pytest.raises(ModelError, match='not finite; its weights are damaged'):
        load_describer(copied, 1, engine, precision)


@pytest.mark.parametrize(('engine', 'precision'), graph_engines())
def test_a_graph_that_is_none_is_refused(copied, engine, precision):
    (copied / files.GRAPH).write_bytes(b'no graph')
    sealed_again(copied)
    with pytest.raises(ModelError, match=r'model\.onnx cannot be loaded .*export it again'):
        load_describer(copied, 1, engine, precision)


@pytest.mark.parametrize(('engine', 'precision'), graph_engines())
def test_a_graph_of_another_input_size_is_refused(copied, engine, precision):
    card = json.loads((copied / files.CARD).read_text())
    card['preprocessing']['width_px'] = 72
    (copied / files.CARD).write_text(json.dumps(card))
    sealed_again(copied)
    with pytest.raises(ModelError, match=r'takes \[3, 64, 64\], its card says 64x72'):
        load_describer(copied, 1, engine, precision)


@pytest.mark.parametrize(('asked', 'said'), [
    (('tensorflow', 'auto'), 'no engine tensorflow; choose one of auto, onnxruntime, openvino'),
    (('auto', 'int4'), 'no precision int4; choose one of auto, fp32, bf16, fp16, int8'),
    (('onnxruntime', 'bf16'), 'onnxruntime does not run bf16; choose another'),
    (('torch', 'int8'), 'torch does not run int8'),
    (('onnxruntime', 'int8'), 'no int8 graph for onnxruntime; make one by vpr quantize'),
    (('auto', 'int8'), 'no int8 graph'),
])
def test_what_cannot_be_is_refused(model_folder, asked, said):
    with pytest.raises(ModelError, match=said):
        load_describer(model_folder, 1, *asked)


def test_half_precision_asks_for_a_gpu(model_folder):
    if 'TensorrtExecutionProvider' in onnx_describer.onnxruntime.get_available_providers():
        pytest.skip('TensorRT is here')
    with pytest.raises(ModelError, match='by TensorRT only, which this one lacks; install'):
        load_describer(model_folder, 1, 'onnxruntime', 'fp16')
    if torch_describer.torch.cuda.is_available():
        pytest.skip('a GPU is here')
    with pytest.raises(ModelError, match='fp16 needs a CUDA device'):
        load_describer(model_folder, 1, 'torch', 'fp16')


@pytest.mark.parametrize(('engine', 'remedy'), [
    ('onnxruntime', 'pip install onnxruntime'), ('openvino', 'pip install openvino'),
    ('torch', 'pip install torch==2')])
def test_an_engine_that_is_not_installed_is_named_with_its_package(
        model_folder, monkeypatch, engine, remedy):
    monkeypatch.setattr(engines, 'find_spec', lambda name: None)
    with pytest.raises(ModelError, match=f'the engine {engine} is not installed; {remedy}'):
        load_describer(model_folder, 1, engine)
    with pytest.raises(ModelError, match='no engine is installed; pip install onnxruntime'):
        load_describer(model_folder, 1)


@pytest.fixture
def all_installed(monkeypatch):
    """Every engine is there, without bf16, and no GPU."""
    monkeypatch.setattr(engines, 'find_spec', lambda name: name)
    monkeypatch.setattr(engines, '_float_precisions', lambda engine: ('fp32',))
    monkeypatch.setattr(engines, 'gpu_present', lambda: False)


@pytest.mark.usefixtures('all_installed')
def test_torch_is_nobodys_choice_without_a_gpu(model_folder, monkeypatch):
    card = read_card(model_folder)
    found = candidates(model_folder, card, 'auto', 'auto')
    assert found == (Candidate('onnxruntime', 'fp32'), Candidate('openvino', 'fp32'))
    monkeypatch.setattr(engines, 'gpu_present', lambda: True)
    assert Candidate('torch', 'fp32') in candidates(model_folder, card, 'auto', 'auto')
    monkeypatch.setattr(engines, 'gpu_present', lambda: False)
    monkeypatch.setattr(engines, 'find_spec', lambda name: name == 'torch' or None)
    assert candidates(model_folder, card, 'auto', 'auto') == (Candidate('torch', 'fp32'),)


@pytest.mark.usefixtures('all_installed')
def test_int8_runs_only_where_the_card_was_released_with_it(copied):
    (copied / files.INT8_GRAPH).write_bytes(b'')
    card, int8 = read_card(copied), Candidate('onnxruntime', 'int8')
    assert int8 not in candidates(copied, card, 'auto', 'auto')
    quantized = replace(card, precision='int8')
    found = candidates(copied, quantized, 'auto', 'auto')
    assert int8 in found
    assert Candidate('openvino', 'int8') not in found  # it has no file of its own
    assert candidates(copied, card, 'auto', 'int8') == (int8,)  # asked for by name
    with pytest.raises(ModelError, match=r'model\.int8\.onnx cannot be loaded'):
        open_describer(copied, card, 1, int8)


@pytest.mark.parametrize('engine', [name for name in installed() if name != 'torch'])
def test_describing_needs_no_torch(model_folder, engine):
    code = ('import sys, numpy\n'
            'from pathlib import Path\n'
            'from vpr_ros.nets.model_folder import load_describer\n'
            f'describer = load_describer(Path({str(model_folder)!r}), 1, {engine!r}, "fp32")\n'
            'print(describer.describe([numpy.zeros((9, 9, 3), numpy.uint8)]).shape)\n'
            'print(sorted({"torch", "torchvision", "onnx", "nncf", "onnxruntime", "openvino"}'
            ' & set(sys.modules)))')
    run = subprocess.run([sys.executable, '-c', code], cwd=ROOT, text=True, capture_output=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ['(1, 54)', f"['{engine}']"]
