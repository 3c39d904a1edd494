# SPDX-License-Identifier: Apache-2.0
"""`vpr prune` as a user meets it: a model and a bag in, smaller models and their numbers out."""

import csv
from dataclasses import asdict, replace
import os
from pathlib import Path
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
import yaml

pytest.importorskip('torch')

import torch

from vpr_ros.bags.writer import BagWriter
from vpr_ros.compress.prune_config import LearnConfig, PruneConfig
from vpr_ros.core import pose as se3
from vpr_ros.core.card import Preprocessing
from vpr_ros.nets.export import card_of, write_model
from vpr_ros.nets.model_folder import load_describer, read_card, seal_model
from vpr_ros.nets.network import build_network
from vpr_ros.tools import cli

ROOT = Path(__file__).resolve().parents[2]
TINY = {'views': 16, 'batch': 8, 'reuse': 1, 'multiple': 4, 'refit': 8, 'amp': 'off',
        'epochs': 1, 'last_epochs': 0, 'steps': 1}
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
def bag(tmp_path_factory):
    """Return a recording with poses of two laps, the second a little darker."""
    folder = tmp_path_factory.mktemp('bags') / 'run1'
    with BagWriter(folder, 'mcap') as writer:
        for row in range(40):
            rng = np.random.default_rng(row % 20)
            picture = np.kron(rng.integers(0, 256, (6, 6, 3), np.uint8),
                              np.ones((8, 8, 1), np.uint8))
            stamp_ns = row * 10**9
            writer.pose_stamped('/pose', stamp_ns, se3.from_xy_yaw(5.0 * (row % 20), 0.0, 0.0))
            writer.image('/image', stamp_ns, picture // (1 + row // 20), 'eye')
    return folder


@pytest.fixture(scope='module')
def knobs(tmp_path_factory):
    file = tmp_path_factory.mktemp('knobs') / 'tiny.yaml'
    file.write_text(yaml.safe_dump(TINY))
    return file


def prune(*words):
    return subprocess.run(
        [sys.executable, '-c', 'from vpr_ros.tools.cli import main; main()', 'prune',
         *map(str, words)], capture_output=True, text=True, check=False,
        env={**os.environ, 'COLUMNS': '200'})


@pytest.fixture(scope='module')
def run(parent, bag, knobs, tmp_path_factory):
    """Return what one run said, its folder, and the words that made it."""
    out = tmp_path_factory.mktemp('out') / 'pruned'
    words = (parent, '--out', out, '--images', bag, '--truth', '/pose', '--config', knobs,
             '--map-places', 1000, '--engine', 'onnxruntime', '--no-controls')
    done = prune(*words)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout, out, words


def test_a_run_prints_its_table_and_what_to_take(run):
    said, out, _ = run
    assert 'pruned, step by step' in said
    for row in ('0 ', '1 '):
        assert any(line.lstrip(' │┃').startswith(row) for line in said.splitlines())
    assert f'take {out / "step_01"}: as pruned as was asked for' in said
    assert 'it may query maps of its parent' in said
    assert 'run1 later half (20 queries): map = the earlier half of the bag' in said
    assert f'page: {out / "report.html"}' in said
    assert (out / 'report.html').is_file()


def test_a_step_is_a_model_that_runs(run, parent):
    _, out, _ = run
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    describer = load_describer(out / 'step_01', 1, 'onnxruntime')
    assert describer.describe([picture]).shape == (1, 64)
    assert describer.card.parent == read_card(parent).digest
    assert describer.card.notes['settings']['learn']['views'] == 16


def test_the_table_is_there_as_csv(run):
    _, out, _ = run
    with (out / 'points.csv').open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row['step'], row['model']) for row in rows] == [
        ('0', ''), ('1', 'step_01')]
    assert {row['set'] for row in rows} == {'run1 later half'}
    assert int(rows[1]['parameters']) < int(rows[0]['parameters'])
    assert {row['engine'].split()[0] for row in rows} == {'onnxruntime'}


@pytest.fixture
def vpr(monkeypatch, capsys):
    """Return what calls `vpr prune` in this process: words -> (exit code, stdout, stderr)."""
    def call(*words):
        monkeypatch.setattr(sys, 'argv', ['vpr', 'prune', *map(str, words)])
        monkeypatch.setenv('COLUMNS', '200')
        try:
            code = cli.main() or 0
        except SystemExit as stop:
            code = stop.code
        said = capsys.readouterr()
        return code, said.out, said.err
    return call


def test_the_same_again_only_says_so(run, vpr):
    said, out, words = run
    weights = {path: path.stat().st_mtime_ns for path in out.glob('step_*/*')}
    code, again, _ = vpr(*words)
    assert code == 0
    assert again.splitlines()[0] == 'step 2, epoch 1 is next'
    assert again[again.index('pruned, step'):] == said[said.index('pruned, step'):]
    assert {path: path.stat().st_mtime_ns for path in out.glob('step_*/*')} == weights


def test_other_knobs_do_not_go_on_with_it(run, vpr):
    _, _, words = run
    code, _, err = vpr(*words, '--seed', 3)
    assert code == 2
    assert 'is of a run with other settings; repeat these to go on with it, pass --force' in err


@pytest.fixture
def refused(vpr, parent, bag, knobs, tmp_path):
    """Return what asserts that words end in one line with a complaint, and nothing is written."""
    def check(*words, says, model=parent, images=bag, config=knobs):
        given = () if images is None else ('--images', images)
        code, _, err = vpr(model, '--out', tmp_path / 'out', *given, '--config', config, *words)
        assert code == 2, err
        assert err.startswith('vpr: ')
        assert err.count('\n') == 1, err
        assert says in err
        assert not (tmp_path / 'out').exists()
    return check


@pytest.mark.parametrize(('words', 'says'), [
    (('--truth', '/none'), 'no topic /none'),
    (('--image', '/none'), '/none'),
    (('--criterion', 'magic'), '--criterion'),
    (('--schedule', 'square'), '--schedule'),
    (('--places', 'world'), 'give one of the two'),
    (('--query', 'other/'), 'its poses with --truth'),
    (('--validate', 'nowhere'), "'nowhere' names no set; write layout=folder"),
    (('--validate', 'pits=nowhere'), "no layout is called 'pits'"),
    (('--validate', 'by-poses=nowhere'), 'write by-poses=nowhere,tolerance-m=...'),
    (('--sparsity', '1.5'), 'sparsity must be at least 0 and below 1'),
    (('--gamma', '-1'), 'gamma must be 0 or more'),
    (('--steps', '0'), 'steps must be at least 1'),
    (('--target-latency-ms', '0'), '--target-latency-ms must be positive'),
    (('--map-places', '0'), '--map-places must be at least 1'),
    (('--target-memory-mb', '0.001'), '0.001 MB cannot be met: the dense network takes'),
    (('--sparsity', '0.3', '--target-memory-mb', '5'), 'give one of the two'),
    (('--no-such-flag',), '--no-such-flag')])
def test_what_is_wrong_is_one_line(refused, words, says):
    refused(*words, says=says)


def test_what_is_not_there_is_one_line(refused, tmp_path, bag):
    refused(images=tmp_path / 'absent', says='there is no ')
    refused(model=tmp_path / 'absent', says='there is no model folder')
    refused(images=None, says='there is nothing to learn from; give --images')
    (tmp_path / 'empty').mkdir()
    refused(images=tmp_path / 'empty', says='holds no pictures')
    refused(config=tmp_path / 'absent.yaml', says='cannot be read as YAML')
    bad = tmp_path / 'bad.yaml'
    bad.write_text('sparsty: 0.5')
    refused(config=bad, says='bad.yaml has unknown keys: sparsty')


def test_places_of_one_picture_each_are_refused(refused, bag, tmp_path):
    once = tmp_path / 'once'
    with BagWriter(once, 'mcap') as writer:
        for row in range(10):
            writer.pose_stamped('/pose', row * 10**9, se3.from_xy_yaw(9.0 * row, 0.0, 0.0))
            writer.image('/image', row * 10**9, np.full((8, 8, 3), row, np.uint8), 'eye')
    asked = tmp_path / 'asked'
    for part in ('map', 'query'):
        (asked / part).mkdir(parents=True)
        for row in range(12):
            picture = np.random.default_rng(row).integers(0, 256, (32, 32, 3), np.uint8)
            cv2.imwrite(str(asked / part / f'{row:02d}.png'), picture)
    refused('--places', f'bag={once}', '--truth', '/pose', '--validate',
            f'by-order={asked},tolerance-frames=0', images=None, says='images')
    refused('--places', f'bag={once}', '--truth', '/pose', images=None,
            says='say with --validate what judges')


@pytest.mark.parametrize('words', [(), ('--target-memory-mb', '1')])
def test_an_int8_parent_is_refused(refused, parent, tmp_path, words):
    int8 = tmp_path / 'int8'
    shutil.copytree(parent, int8)
    seal_model(int8, replace(read_card(parent), precision='int8'))
    refused(*words, model=int8, says='is int8; prune the float model')


def test_the_file_of_knobs_holds_every_default():
    written = yaml.safe_load((ROOT / 'config' / 'prune.yaml').read_text())
    held = {**asdict(PruneConfig()), **asdict(LearnConfig())}
    assert {name: tuple(value) if isinstance(value, list) else value
            for name, value in written.items()} == held
    assert {name: type(value) for name, value in written.items() if name != 'freeze'} == {
        name: type(value) for name, value in held.items() if name != 'freeze'}
