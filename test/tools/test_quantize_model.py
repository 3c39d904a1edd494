# SPDX-License-Identifier: Apache-2.0
"""From a bag or a folder to an int8 model, with the network that ships."""

import os
from pathlib import Path
import subprocess
import sys

import cv2
import numpy as np
import pytest

pytest.importorskip('onnx', reason='quantizing needs onnx')

from vpr_ros.bags.writer import BagWriter
from vpr_ros.core import pose as se3
from vpr_ros.errors import BagError, DatasetError, ModelError, VprError
from vpr_ros.nets.model_folder import default_model_folder, read_card
from vpr_ros.tools.picture_source import BagCamera
from vpr_ros.tools.quantize_model import Labels, quantize_model, quantized_lines

MODEL = default_model_folder()
SHARED = Path(os.environ.get('VPR_SHARED', Path(__file__).resolve().parents[3] / 'shared'))


@pytest.fixture(scope='module')
def wall():
    """A long wall with something else on each meter; `wall(x)` is what stands at x."""
    rng = np.random.default_rng(3)
    whole = sum(cv2.resize(rng.normal(size=(n, 12 * n, 3)).astype(np.float32), (1440, 120))
                for n in (3, 9, 20))
    whole = np.clip(120.0 + 50.0 * whole, 0, 255).astype(np.uint8)
    return lambda x: np.ascontiguousarray(whole[:, round(30 * x):round(30 * x) + 160])


@pytest.fixture(scope='module')
def lap(wall, tmp_path_factory):
    """Record a drive along the wall: `lap(name, xs) -> bag`."""
    def record(name, xs):
        path = tmp_path_factory.mktemp('bags') / name
        with BagWriter(path) as bag:
            for row, x in enumerate(xs):
                bag.pose_stamped('/pose', row * 10**9, se3.from_xy_yaw(float(x), 0.0, 0.0))
                bag.image('/image', row * 10**9, wall(x), 'eye')
        return path
    return record


@pytest.fixture(scope='module')
def pictures(wall, tmp_path_factory):
    folder = tmp_path_factory.mktemp('pictures')
    for i in range(20):
        cv2.imwrite(str(folder / f'{i:03d}.png'), wall(2.0 * i))
    (folder / 'poses.csv').write_text('not a picture')
    return folder


def test_a_bag_with_poses_judges_by_its_second_half(lap, tmp_path):
    there = np.linspace(0, 36, 16)
    done = quantize_model(MODEL, BagCamera(lap('two_laps', [*there, *there + 0.3]), '', '/pose'),
                          tmp_path / 'out', Labels(), form='onnxruntime', max_drop_points=10.0)
    assert 'map = the earlier half of the bag, query = the later' in done.protocol
    assert 'within 2 m and 45 deg' in done.protocol
    assert 'none of them a query' in done.protocol
    assert done.judged[0].verdict.queries == 16
    assert done.judged[0].verdict.parent_at_1 > 0.8
    lines = ' '.join(quantized_lines(done, tmp_path / 'out'))
    assert 'onnxruntime int8: recall@1' in lines
    assert 'maps of the parent do not fit' in lines
    assert read_card(tmp_path / 'out').precision == 'int8'


def test_a_second_bag_judges(lap, tmp_path):
    first, second = (lap(name, np.linspace(start, 36 + start, 12)) for name, start in (
        ('first', 0.0), ('second', 0.4)))
    done = quantize_model(MODEL, BagCamera(first, '/image', '/pose'), tmp_path / 'out',
                          Labels(second), form='onnxruntime', max_drop_points=100.0)
    assert 'map = the first bag, query = the second' in done.protocol
    assert done.judged[0].verdict.queries == 12


def test_pictures_without_truth_judge_by_themselves(pictures, tmp_path):
    done = quantize_model(MODEL, BagCamera(pictures), tmp_path / 'out', Labels(),
                          form='onnxruntime', max_drop_points=100.0)
    assert 'stand-in' in done.protocol
    assert '10 images of' in done.protocol


@pytest.mark.skipif(not (SHARED / 'data' / 'corridor').is_dir(),
                    reason=f'the image sets are not at {SHARED}; set VPR_SHARED')
def test_the_shipped_model_keeps_its_recall_on_a_real_corridor(tmp_path):
    done = quantize_model(MODEL, BagCamera(SHARED / 'data' / 'corridor' / 'ref'), tmp_path / 'out',
                          Labels(set_name='corridor', shared=SHARED), count=64,
                          form='onnxruntime', max_drop_points=2.0)
    verdict = done.judged[0].verdict
    assert verdict.queries == 111
    assert verdict.parent_at_1 == pytest.approx(0.928, abs=0.02)
    assert verdict.cosine['p50'] > 0.99


@pytest.mark.parametrize(('labels', 'said'), [
    ({'query': Path('b'), 'set_name': 'corridor'}, '--set has a truth of its own'),
    ({'set_name': 'corridor'}, '--set names a set below --shared; give both'),
    ({'shared': Path('x')}, '--set names a set below --shared; give both')])
def test_labels_that_contradict_are_refused(labels, said):
    with pytest.raises(VprError, match=said):
        Labels(**labels)


@pytest.mark.parametrize(('truth', 'labels', 'kind', 'said'), [
    ('/pose', {}, VprError, 'is a folder of pictures; give a bag, or --set'),
    ('', {'query': Path('b')}, VprError, '--query needs poses to compare with; give --truth'),
    ('/pose', {'set_name': 'corridor', 'shared': Path('.')}, VprError, 'has a truth of its own'),
    ('', {'set_name': 'nowhere', 'shared': Path('.')}, DatasetError, "no set is called 'nowhere'"),
    ('', {'set_name': 'corridor', 'shared': Path('/nowhere')}, DatasetError, 'corridor')])
def test_labels_that_are_not_there_are_refused(pictures, tmp_path, truth, labels, kind, said):
    with pytest.raises(kind, match=said):
        quantize_model(MODEL, BagCamera(pictures, '', truth), tmp_path / 'out', Labels(**labels),
                       form='onnxruntime')
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_comes_nowhere_twice_cannot_judge(lap, tmp_path):
    with pytest.raises(DatasetError, match='1 of 12 queries have a positive in the map'):
        quantize_model(MODEL, BagCamera(lap('once', np.linspace(0, 40, 24)), '', '/pose'),
                       tmp_path / 'out', Labels(), form='onnxruntime')


def test_too_few_or_no_pictures_are_refused(pictures, tmp_path):
    with pytest.raises(DatasetError, match=r'there is no .*nowhere'):
        quantize_model(MODEL, BagCamera(tmp_path / 'nowhere'), tmp_path / 'out', Labels())
    (tmp_path / 'few').mkdir()
    cv2.imwrite(str(tmp_path / 'few' / 'a.png'), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DatasetError, match='holds 1 images; half of them measure'):
        quantize_model(MODEL, BagCamera(tmp_path / 'few'), tmp_path / 'out', Labels())
    with pytest.raises(VprError, match='--count must be 8 or more, not 3'):
        quantize_model(MODEL, BagCamera(pictures), tmp_path / 'out', Labels(), count=3)
    with pytest.raises(ModelError, match='there is no model folder'):
        quantize_model(tmp_path / 'none', BagCamera(pictures), tmp_path / 'out', Labels())


def test_a_bag_without_images_is_refused(tmp_path):
    with BagWriter(tmp_path / 'poses') as bag:
        bag.pose_stamped('/pose', 0, se3.from_xy_yaw(0.0, 0.0, 0.0))
    with pytest.raises(BagError, match='has 0 image topics'):
        quantize_model(MODEL, BagCamera(tmp_path / 'poses'), tmp_path / 'out', Labels())


def test_on_the_command_line_a_refusal_is_one_line(pictures, tmp_path):
    done = subprocess.run(
        [sys.executable, '-c', 'from vpr_ros.tools.cli import main; main()', 'quantize',
         str(MODEL), '--images', str(pictures), '--out', str(tmp_path), '--format', 'onnxruntime'],
        capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'exists already; choose another name or pass --force' in done.stderr
    assert done.stderr.count('\n') == 1
