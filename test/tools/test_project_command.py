# SPDX-License-Identifier: Apache-2.0
"""`vpr project` as a user meets it: a model and pictures in, a shorter descriptor out."""

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

pytest.importorskip('torch')

import torch

from vpr_ros.core.card import Preprocessing
from vpr_ros.nets.export import card_of, write_model
from vpr_ros.nets.model_folder import load_describer, read_card
from vpr_ros.nets.network import build_network


@pytest.fixture(scope='module')
def parent(tmp_path_factory):
    folder = tmp_path_factory.mktemp('parent') / 'tiny'
    torch.manual_seed(0)
    network = build_network('mobilenet_v2', 'features.4', 'grid', {'grid': 2}, 0.25)
    write_model(folder, network, card_of(network, 'tiny', 'mobilenet_v2', 'features.4', 'grid',
                                         {'grid': 2}, Preprocessing(32, 32), 'Apache-2.0'))
    return folder


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp('pictures')
    rng = np.random.default_rng(0)
    for row in range(60):
        picture = np.kron(rng.integers(0, 256, (6, 6, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
        cv2.imwrite(str(folder / f'{row:03d}.png'), picture)
    return folder


def vpr(*words):
    return subprocess.run(
        [sys.executable, '-c', 'from vpr_ros.tools.cli import main; main()', *map(str, words)],
        capture_output=True, text=True, check=False, env={**os.environ, 'COLUMNS': '200'})


def test_a_shorter_descriptor_runs_and_tells_what_it_recalls(parent, pictures, tmp_path):
    out = tmp_path / 'short'
    words = ('project', parent, '--dim', 12, '--whitening', 0.5, '--unit-positions', '--images',
             pictures, '--views', 64, '--out', out)
    done = vpr(*words)
    assert done.returncode == 0, done.stderr
    assert '12 numbers, with ' in done.stdout
    assert 'recall@1 over the queries' in done.stdout
    card = read_card(out)
    assert (card.dim, card.aggregator, card.parent) == (12, 'convap', read_card(parent).digest)
    assert card.aggregator_args['unit_positions'] == 1
    assert card.queries_maps_of == ()
    assert card.notes['settings']['whitening'] == 0.5
    image = cv2.imread(str(pictures / '000.png'))
    by_engine = load_describer(out, 1, 'onnxruntime').describe([image])
    np.testing.assert_allclose(by_engine, load_describer(out, 1, 'torch').describe([image]),
                               atol=1e-5)
    again = vpr(*words)
    assert again.returncode == 2
    assert 'exists' in again.stderr
    assert vpr(*words, '--force').returncode == 0
    assert read_card(out).digest == card.digest   # the same call makes the same model


@pytest.mark.parametrize(('wrong', 'hint'), [
    (('--dim', 13), 'multiple of 4'),
    (('--dim', 8, '--whitening', 2), 'whitening'),
    (('--dim', 8, '--views', 1), 'views'),
])
def test_what_cannot_be_had_is_said_and_nothing_is_written(parent, pictures, tmp_path, wrong,
                                                            hint):
    done = vpr('project', parent, '--images', pictures, '--out', tmp_path / 'x', *wrong)
    assert done.returncode == 2
    assert hint in done.stderr
    assert 'Traceback' not in done.stderr
    assert not (tmp_path / 'x').exists()


def test_unit_positions_are_of_grids(pictures, tmp_path):
    network = build_network('mobilenet_v2', 'features.4', 'gem', {}, 0.25)
    write_model(tmp_path / 'gem', network, card_of(
        network, 'gem', 'mobilenet_v2', 'features.4', 'gem', {}, Preprocessing(32, 32), ''))
    done = vpr('project', tmp_path / 'gem', '--images', pictures, '--dim', 4, '--unit-positions',
               '--out', tmp_path / 'x')
    assert done.returncode == 2
    assert 'are of grids' in done.stderr
