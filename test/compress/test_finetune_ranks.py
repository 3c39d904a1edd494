# SPDX-License-Identifier: Apache-2.0
"""Two processes of torchrun, on processors by gloo."""

import json
import os
from pathlib import Path
import subprocess
import sys

import pytest

torch = pytest.importorskip('torch')

from vpr_ros.compress.finetune_ranks import ALONE, ranks  # noqa: E402
from vpr_ros.errors import ModelError  # noqa: E402

ROOT = Path(__file__).parents[2]
LIMIT_S = 600

DRIVER = """
import copy, hashlib, json, os, sys
from pathlib import Path
import numpy as np
import torch
from vpr_ros.compress.finetune import gradients_of, learn, Teaching
from vpr_ros.compress.finetune_data import Labelled
from vpr_ros.compress.finetune_ranks import ranks
from vpr_ros.compress.finetune_state import State
from vpr_ros.compress.prune_config import LearnConfig
from vpr_ros.core.card import Preprocessing
from vpr_ros.errors import ModelError
from vpr_ros.nets.network import build_network

out, mode = Path(sys.argv[1]), sys.argv[2]
rng = np.random.default_rng(0)
pictures = [np.kron(rng.integers(0, 256, (6, 6, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
            for _ in range(12)]
config = LearnConfig(views=32, reuse=1, batch=16, views_per_place=2, accumulate=2, ema=0.5,
                     amp='off', learning_rate=3e-3)

def digest(network):
    return hashlib.sha256(b''.join(x.numpy().tobytes() for x in network.state_dict().values())
                          ).hexdigest()

with ranks('cpu') as here:
    torch.manual_seed(here.rank)   # what differs between processes must not matter
    if mode == 'fails':
        def judge():
            raise ModelError('the set is gone')
        here.by_first(judge)
    torch.manual_seed(0)
    parent = build_network('mobilenet_v2', 'features.4', 'gem', {}, 0.25).requires_grad_(False)
    child = copy.deepcopy(parent).requires_grad_(True)
    child.backbone.features[1].requires_grad_(False)
    with torch.no_grad():
        child.backbone.features[2].conv[0][0].weight.add_(0.2)
    teaching = Teaching(parent, Preprocessing(32, 32),
                        Labelled(pictures, np.repeat(np.arange(4), 3), 2), config, here)
    state = State(child, copy.deepcopy(child), np.arange(16), step=1)
    gradients = gradients_of(teaching, state, 2)
    losses = []
    for loss in learn(teaching, state, 2):
        losses.append(loss)
        if mode == 'dies' and here.rank == 1:
            os._exit(9)
        if mode == 'nan' and here.rank == 1:
            with torch.no_grad():
                state.network.aggregator.p.fill_(float('nan'))
    record = {'losses': losses, 'network': digest(state.network), 'average': digest(state.average),
              'gradients': [float(x.abs().sum()) for x in gradients.values()],
              'wrote': here.by_first(lambda: [here.rank])}
    (out / f'{here.rank}.json').write_text(json.dumps(record))
"""


def start(tmp_path, processes, mode='learns'):
    (tmp_path / 'driver.py').write_text(DRIVER)
    return subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone',
         '--nproc_per_node', str(processes), str(tmp_path / 'driver.py'), str(tmp_path), mode],
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}, text=True,
        capture_output=True, timeout=LIMIT_S, check=False)


def test_two_processes_end_with_one_network(tmp_path):
    pytest.importorskip('pytorch_metric_learning')
    found = {}
    for processes in (2, 1):
        done = start(tmp_path, processes)
        assert done.returncode == 0, done.stderr[-4000:]
        found[processes] = [json.loads((tmp_path / f'{rank}.json').read_text())
                            for rank in range(processes)]
    first, second = found[2]
    assert first == second   # weights, batch statistics, average, gradients, losses
    alone, = found[1]
    assert first['wrote'] == alone['wrote'] == [0]
    assert first['losses'][-1] == pytest.approx(alone['losses'][-1], rel=0.4)
    assert first['network'] != first['average']


@pytest.mark.parametrize(('mode', 'said'), [
    ('fails', 'the set is gone'), ('dies', 'exitcode  : 9'), ('nan', 'the loss is not finite')])
def test_when_one_fails_none_waits(tmp_path, mode, said):
    done = start(tmp_path, 2, mode)   # a hang would be a TimeoutExpired
    assert done.returncode != 0
    assert said in done.stderr
    assert not list(tmp_path.glob('*.json'))
    if mode == 'fails':
        assert 'the first process failed: the set is gone' in done.stderr


def test_one_process_is_alone(monkeypatch):
    monkeypatch.delenv('WORLD_SIZE', raising=False)
    with ranks('cpu') as here:
        assert here == ALONE
        assert here.is_first
        assert here.by_first(lambda: 5) == 5
        layer = torch.nn.Linear(2, 2)
        assert here.wrapped(layer) is layer


def test_a_device_that_is_not_there_is_named(monkeypatch):
    with pytest.raises(ModelError, match="device must be auto, cpu or cuda, not 'tpu'"), \
            ranks('tpu'):
        pass
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 0)
    with pytest.raises(ModelError, match='no CUDA device here.*choose --device cpu'), \
            ranks('cuda'):
        pass
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    monkeypatch.setenv('LOCAL_RANK', '1')
    monkeypatch.setenv('WORLD_SIZE', '2')
    with pytest.raises(ModelError, match='process 1 of this machine has no GPU of its own, there '
                       'are 1; start torchrun with --nproc_per_node 1'), ranks('cuda'):
        pass
