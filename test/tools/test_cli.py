# SPDX-License-Identifier: Apache-2.0
import json
import os
from pathlib import Path
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[2]


def vpr(*words, cwd=None):
    return subprocess.run(
        [sys.executable, '-c', 'from vpr_ros.tools.cli import main; main()', *map(str, words)],
        capture_output=True, text=True, check=False, cwd=cwd,
        env={**os.environ, 'COLUMNS': '200'})


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """The folder of a network with random weights."""
    torch = pytest.importorskip('torch', reason='torch is not installed')
    from vpr_ros.core.card import Preprocessing
    from vpr_ros.nets.export import card_of, write_model
    from vpr_ros.nets.network import build_network
    torch.manual_seed(0)
    network = build_network('resnet18', 'layer1', 'convap', {'grid': 2, 'channels': 8}).eval()
    folder = tmp_path_factory.mktemp('model') / 'tiny'
    card = card_of(network, 'tiny', 'resnet18', 'layer1', 'convap', {'grid': 2, 'channels': 8},
                   Preprocessing(32, 32), 'Apache-2.0')
    write_model(folder, network, card)
    return folder


def refused(done, *words):
    """Assert exit 2 and one line that says so."""
    assert done.returncode == 2, done.stderr + done.stdout
    assert done.stderr.count('\n') == 1, done.stderr
    assert 'Traceback' not in done.stderr
    for word in words:
        assert word in done.stderr


def test_help_names_the_commands():
    done = vpr('--help')
    assert done.returncode == 0
    for command in ('map', 'evaluate', 'model', 'demo', 'doctor'):
        assert command in done.stdout


def test_help_waits_for_nothing_heavy():
    heavy = {'torch', 'cv2', 'faiss', 'onnxruntime', 'rosbags', 'matplotlib'}
    done = subprocess.run(
        [sys.executable, '-c', 'import sys, vpr_ros.tools.cli; print(*sys.modules)'],
        capture_output=True, text=True, check=True)
    assert not heavy & set(done.stdout.split())


def test_from_bag_to_numbers(drive, halves, model, tmp_path):
    bag, out, result = drive('run', halves(0, 20)), tmp_path / 'a.map', tmp_path / 'eval'
    built = vpr('map', 'build', bag, '--image', '/image', '--pose', '/pose', '--out', out,
                '--model', model)
    assert built.returncode == 0, built.stderr
    assert '20 places' in built.stdout
    shown = json.loads(vpr('map', 'info', out, '--json').stdout)
    assert (shown['places'], shown['model'], shown['topics']) == (20, 'tiny', {'camera': '/image'})
    done = vpr('evaluate', bag, '--map', out, '--out', result, '--model', model, '--odom', '/odom')
    assert done.returncode == 0, done.stderr
    assert 'recall@1' in done.stdout
    assert 'vpr calibrate' in done.stdout or 'vpr model' in done.stdout   # what to do next
    for name in ('report.html', 'report.json', 'settings.json', 'outcomes.jsonl', 'outcomes.csv',
                 'pictures.bin', 'similarity.npz', 'places.npz', 'curves.json'):
        assert (result / name).stat().st_size > 0
    assert 'protocol' in done.stdout
    report = json.loads((result / 'report.json').read_text())
    assert report['frames'] == 40


def test_what_the_user_can_mend_is_one_line_and_exit_2(drive, halves, model, tmp_path):
    bag, out = drive('run', halves(0, 5)), tmp_path / 'a.map'
    build = ('map', 'build', bag, '--pose', '/pose', '--out', out, '--model', model)
    refused(vpr(*build, '--image', '/nope'), '/nope', '/image')
    refused(vpr(*build, '--image', '/pose'), '/pose is of type')
    refused(vpr(*build), '--image')
    refused(vpr('map', 'build', tmp_path / 'none', '--image', '/image', '--pose', '/pose', '--out',
                out, '--model', model), 'does not exist')
    refused(vpr('map', 'build', bag, '--image', '/image', '--pose', '/pose', '--out', out,
                '--model', tmp_path), 'holds no card.json')
    assert not out.exists()
    refused(vpr('map', 'info', tmp_path / 'none'), 'there is no map at')
    refused(vpr('evaluate', bag, '--map', out, '--out', tmp_path / 'e', '--model', model),
            'there is no map at')
    refused(vpr('frobnicate'), 'frobnicate')


def test_a_cut_bag_is_refused_and_salvaged(drive, halves, model, tmp_path):
    bag, out = drive('run', halves(0, 40)), tmp_path / 'a.map'
    mcap = next(bag.glob('*.mcap'))
    mcap.write_bytes(mcap.read_bytes()[:mcap.stat().st_size // 2])
    build = ('map', 'build', bag, '--image', '/image', '--pose', '/pose', '--out', out, '--model',
             model)
    refused(vpr(*build), '--salvage')
    done = vpr(*build, '--salvage')
    assert done.returncode == 0, done.stderr
    assert 'salvaged' in done.stdout + done.stderr


def test_settings_come_from_the_nodes_parameter_file(drive, halves, model, tmp_path):
    bag, out = drive('run', halves(0, 20)), tmp_path / 'a.map'
    vpr('map', 'build', bag, '--image', '/image', '--pose', '/pose', '--out', out, '--model',
        model)
    params = tmp_path / 'p.yaml'
    evaluate = ('evaluate', bag, '--map', out, '--model', model, '--params', params, '--out')
    params.write_text('/**:\n  ros__parameters:\n    confirm_steps: 77\n    map: other\n')
    done = vpr(*evaluate, tmp_path / 'one')
    assert done.returncode == 0, done.stderr
    settings = json.loads((tmp_path / 'one/settings.json').read_text())
    assert settings['confirm_steps'] == 77
    assert f'network: {settings["engine"]}' in done.stdout
    done = vpr(*evaluate, tmp_path / 'named', '--engine', 'onnxruntime', '--threads', '1')
    assert done.returncode == 0, done.stderr
    assert 'network: onnxruntime fp32, as asked' in done.stdout
    refused(vpr(*evaluate, tmp_path / 'two', '--engine', 'tflite'), '--engine', 'tflite')
    params.write_text('/**:\n  ros__parameters:\n    confirm_steps: many\n')
    refused(vpr(*evaluate, tmp_path / 'two'), 'confirm_steps', 'int is needed')
    params.write_text('nothing: here\n')
    refused(vpr(*evaluate, tmp_path / 'two'), 'no ros__parameters')


def test_a_recording_that_a_flag_swallowed_is_asked_for(tmp_path):
    refused(vpr('evaluate', '--map', 'a.map', 'run2', '--out', tmp_path / 'e'),
            'Give its bags before all flags')


def test_truth_is_of_one_source(drive, halves, model, tmp_path):
    words = ('evaluate', tmp_path, '--map', tmp_path, '--out', tmp_path / 'e')
    refused(vpr(*words, '--truth-unit', 'ms'), '--truth-unit', 'give it with --truth')
    refused(vpr(*words, '--truth', 'a.tum', '--pose', '/pose'), '--pose and --truth')


def test_doctor_says_what_works(model):
    done = vpr('doctor', '--model', model)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'onnxruntime' in done.stdout
    assert 'tiny' in done.stdout
    for line in ('tf2_ros', 'tf2_msgs'):  # neither is needed, so neither spoils the verdict
        assert line in done.stdout
    assert 'mounts_from_tf' in done.stdout
    broken = vpr('doctor', '--model', model.parent)
    assert broken.returncode == 1
    assert 'card.json' in broken.stdout


def test_the_launch_files_parameters_are_the_localizers():
    from vpr_ros.core.knobs import flat
    from vpr_ros.core.localizer import LocalizerConfig
    from vpr_ros.tools.params_file import read_config
    read = read_config(ROOT / 'config' / 'relocalize.yaml')
    assert flat(read) == flat(LocalizerConfig())


def test_engines_are_those_that_there_are():
    from typing import get_args

    from vpr_ros.nets.engines import ENGINES
    from vpr_ros.tools.flags import Engine
    assert get_args(Engine) == ENGINES
