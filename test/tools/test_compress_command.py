# SPDX-License-Identifier: Apache-2.0
"""`vpr compress` as a user meets it: a model and pictures in, one small file and a table out."""

import csv
from dataclasses import asdict
import os
from pathlib import Path
import subprocess
import sys

import cv2
import numpy as np
import pytest
import yaml

pytest.importorskip('torch')

import torch

from vpr_ros.compress.compress_config import CompressConfig, ShareConfig
from vpr_ros.core.card import Preprocessing
from vpr_ros.errors import VprError
from vpr_ros.nets.export import card_of, write_model
from vpr_ros.nets.model_folder import load_describer, read_card
from vpr_ros.nets.network import build_network
from vpr_ros.tools import compress_model as module
from vpr_ros.tools.compression_table import kind_of
from vpr_ros.tools.report_command import make_page

ROOT = Path(__file__).resolve().parents[2]
TINY = {'views': 16, 'batch': 8, 'reuse': 1, 'amp': 'off', 'epochs': 1, 'last_epochs': 0,
        'steps': 1, 'fewest': 100, 'scan_pictures': 4}
HEAD = {'channels': 16, 'grid': 2}


@pytest.fixture(scope='module')
def parent(tmp_path_factory):
    """Return the folder of a tiny network."""
    folder = tmp_path_factory.mktemp('parent') / 'tiny'
    torch.manual_seed(0)
    network = build_network('mobilenet_v2', 'features.4', 'convap', HEAD, 0.25)
    write_model(folder, network, card_of(network, 'tiny', 'mobilenet_v2', 'features.4', 'convap',
                                         HEAD, Preprocessing(32, 32), 'Apache-2.0'))
    return folder


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """Return a folder of 60 pictures."""
    folder = tmp_path_factory.mktemp('photos')
    for row in range(60):
        coarse = np.random.default_rng(row).integers(0, 256, (6, 6, 3), np.uint8)
        cv2.imwrite(str(folder / f'{row:02d}.png'), np.kron(coarse, np.ones((8, 8, 1), np.uint8)))
    return folder


@pytest.fixture(scope='module')
def knobs(tmp_path_factory):
    file = tmp_path_factory.mktemp('knobs') / 'tiny.yaml'
    file.write_text(yaml.safe_dump(TINY))
    return file


def compress(*words):
    return subprocess.run(
        [sys.executable, '-c', 'from vpr_ros.tools.cli import main; main()', 'compress',
         *map(str, words)], capture_output=True, text=True, check=False,
        env={**os.environ, 'COLUMNS': '200', 'OMP_NUM_THREADS': '1'})


@pytest.fixture(scope='module')
def run(parent, photos, knobs, tmp_path_factory):
    """Return what one run said, its folder, and the words that made it."""
    out = tmp_path_factory.mktemp('out') / 'small'
    words = (parent, '--out', out, '--images', photos, '--config', knobs, '--layer',
             'aggregator.*=0.25,3', '--budget', 100, '--engine', 'onnxruntime', '--int8',
             '--max-recall-drop', 100, '--beside', parent)
    done = compress(*words)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout, out, words


def test_a_run_says_what_it_does_not_do_and_what_to_take(run):
    said, out, _ = run
    said = ' '.join(said.split())
    assert 'They do not make the network faster, and once it is loaded it takes as much' in said
    assert 'compressed, step by step' in said
    assert 'models side by side' in said
    assert f'take {out / "model.vprz"}' in said
    assert f'page: {out / "report.html"}' in said
    assert '100.0 points' not in said


def test_the_file_is_the_smallest_step_and_runs(run, parent):
    _, out, _ = run
    assert (out / 'model.vprz').read_bytes() == (out / 'step_02.vprz').read_bytes()
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    describer = load_describer(out / 'model.vprz', 1, 'onnxruntime')
    assert describer.describe([picture]).shape == (1, 64)
    assert describer.card.parent == read_card(parent).digest
    plans = {plan['name']: plan for plan in describer.card.notes['settings']['plans']}
    assert plans['aggregator.conv'] == {'name': 'aggregator.conv', 'prune': 0.25, 'bits': 3}
    assert kind_of(describer.card) == 'weights compressed'


def test_the_table_is_there_as_csv(run):
    _, out, _ = run
    with (out / 'models.csv').open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row['label'] for row in rows] == [
        'parent', 'tiny', 'model.vprz', 'model.vprz, in int8']
    assert [row['kind'] for row in rows] == ['dense', 'dense', 'weights compressed',
                                             'weights compressed, int8']
    assert float(rows[2]['packed_bytes']) < float(rows[0]['packed_bytes'])
    assert rows[0]['recall_at_1'] == rows[1]['recall_at_1']
    assert all(float(row['memory_mb']) > 10.0 and float(row['describe_ms']) > 0.0 for row in rows)
    assert rows[3]['engine'] == 'onnxruntime int8'
    assert read_card(out / 'int8').precision == 'int8'


def test_the_same_command_goes_on_and_makes_nothing_anew(run):
    said, out, words = run
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob('step_*/*')}
    done = compress(*words)
    assert done.returncode == 0, done.stderr
    assert 'step 3, epoch 1 is next' in done.stdout
    assert 'layer 1/' in said
    assert 'layer 1/' not in done.stdout
    assert {path: path.stat().st_mtime_ns for path in out.rglob('step_*/*')} == stamps


def test_the_page_can_be_made_anew(run, tmp_path):
    _, out, _ = run
    page = tmp_path / 'again.html'
    assert make_page([out], None, page, False) == [f'page written: {page}']
    assert page.read_text() == (out / 'report.html').read_text()
    with pytest.raises(VprError, match='a compression has a page of its own'):
        make_page([out, out], None, page, True)
    with pytest.raises(VprError, match=r'again\.html exists already'):
        make_page([out], None, page, False)


@pytest.mark.parametrize(('words', 'says'), [
    (('--budget', 5, '--bits', 8), '--budget finds out how far each layer goes'),
    (('--budget', -5), '--budget is points of recall@1'),
    (('--bits', 9), 'bits: weights are shared in 2 to 8 bits'),
    (('--prune', 1.0), 'prune: the share of weights to prune must be'),
    (('--layer', 'x=0.5'), '--layer x fits no layer'),
    (('--layer', 'nonsense'), "--layer 'nonsense' says nothing"),
    (('--beside', '/nowhere'), '--beside /nowhere: there is no model folder'),
    (('--prune', 0, '--bits', 32), 'nothing becomes smaller')])
def test_what_cannot_be_is_one_line_and_no_folder(parent, photos, knobs, tmp_path, capsys, words,
                                                  says):
    from vpr_ros.tools import cli
    out = tmp_path / 'out'
    line = [parent, '--out', out, '--images', photos, '--config', knobs, *words]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', ['vpr', 'compress', *map(str, line)])
        with pytest.raises(SystemExit, match='2'):
            cli.main()
    said = capsys.readouterr().err
    assert said.startswith('vpr: ')
    assert says in said
    assert said.count('\n') == 1
    assert not out.exists()


def test_a_refused_int8_model_is_a_remark(monkeypatch, tmp_path, parent):
    from vpr_ros.compress.finetune_data import Pictures
    from vpr_ros.errors import ModelError

    def refuse(*args, **more):
        raise ModelError('recall@1 falls')
    monkeypatch.setattr(module, 'quantize', refuse)
    said = []
    remarks = module._Remarks(said.append)
    pictures = [np.random.default_rng(i).integers(0, 256, (32, 32, 3), np.uint8)
                for i in range(10)]
    judge = type('Judge', (), {'pairs': [None]})()
    assert module._int8(parent, tmp_path / 'int8', Pictures(pictures), judge, module.Wanted(),
                        remarks) is None
    assert said == remarks.said == ['no int8 model: recall@1 falls']


def test_the_file_of_knobs_holds_every_default():
    written = yaml.safe_load((ROOT / 'config' / 'compress.yaml').read_text())
    held = {**asdict(CompressConfig()), **asdict(ShareConfig())}
    assert {name: tuple(value) if isinstance(value, list) else value
            for name, value in written.items()} == held
    assert {name: type(value) for name, value in written.items() if not isinstance(value, list)
            } == {name: type(value) for name, value in held.items()
                  if not isinstance(value, tuple)}
