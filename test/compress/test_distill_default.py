# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
import sys

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from vpr_ros.compress import distill_default  # noqa: E402
from vpr_ros.compress.distill_config import DistillConfig  # noqa: E402
from vpr_ros.compress.distill_eval import Recall  # noqa: E402
from vpr_ros.errors import ModelError  # noqa: E402
from vpr_ros.nets.model_folder import read_card  # noqa: E402
from vpr_ros.nets.torchvision_models import whole_network  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TINY = DistillConfig(width_mult=0.125, channels=4, grid=2, input_px=64, size_px=32, rounds=1,
                     views=8, reuse=1, batch=8, world_frames=0)


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """Stand-ins: a random teacher, random images, recalls that count the descriptor's size."""
    torch.manual_seed(0)
    file = tmp_path / 'shared' / distill_default.TEACHER_FILE
    file.parent.mkdir(parents=True)
    torch.save(whole_network('mobilenet_v2').state_dict(), file)
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    monkeypatch.setattr(distill_default, 'source_images', lambda *_: (image,))
    monkeypatch.setattr(distill_default, 'benchmark', lambda describer, _: {
        'park': Recall('park', 'same frame', 9, describer.card.dim / 1000, 1.0)})
    monkeypatch.setattr('vpr_ros.nets.export.export_onnx',
                        lambda network, preprocessing, path: path.write_bytes(b'no graph'))
    return tmp_path / 'shared'


def test_a_default_model_tells_how_it_was_made_and_what_it_scores(shared, tmp_path, capsys):
    folder = distill_default.make_default(TINY, shared, tmp_path / 'out', seed=3)
    card = read_card(folder)
    assert (card.name, card.dim, card.parent) == ('vpr-default', 16, None)
    assert card.notes['seed'] == 3
    assert card.notes['steps'] == 1
    assert card.notes['views'] == 8
    assert DistillConfig(**card.notes['config']) == TINY
    assert card.notes['recall']['park'] == {
        'pair': 'park', 'protocol': 'same frame', 'queries': 9, 'at_1': 0.016, 'at_5': 1.0,
        'teacher_at_1': 0.64, 'teacher_at_5': 1.0}
    assert 'recall@1 0.016 (teacher 0.640)' in capsys.readouterr().out
    with pytest.raises(ModelError, match='exists already'):
        distill_default.make_default(TINY, shared, tmp_path / 'out', seed=3)


def test_a_missing_teacher_is_one_line_and_exit_status_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [
        'distill', '--config', str(ROOT / 'config' / 'distill.yaml'),
        '--shared', str(tmp_path), '--out', str(tmp_path / 'out')])
    with pytest.raises(SystemExit) as stop:
        distill_default.main()
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith('distill: there is no file')
    assert error.count('\n') == 1


def test_the_shipped_config_says_what_the_defaults_are():
    assert DistillConfig.read(ROOT / 'config' / 'distill.yaml') == DistillConfig()
