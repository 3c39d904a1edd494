# SPDX-License-Identifier: Apache-2.0
"""The default model made smaller: its teacher, and the run that learns from it."""

from dataclasses import replace
import sys

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from vpr_ros.compress import distill_default, prune_default  # noqa: E402
from vpr_ros.compress.distill_config import DistillConfig  # noqa: E402
from vpr_ros.compress.distill_eval import Recall  # noqa: E402
from vpr_ros.compress.distill_student import convap_args  # noqa: E402
from vpr_ros.compress.finetune_data import Pictures  # noqa: E402
from vpr_ros.compress.project import axes_of, Projection  # noqa: E402
from vpr_ros.compress.project_descriptor import given_by  # noqa: E402
from vpr_ros.compress.prune_points import read_points  # noqa: E402
from vpr_ros.compress.self_labelled import self_labelled  # noqa: E402
from vpr_ros.core.card import Preprocessing, Resize  # noqa: E402
from vpr_ros.nets.export import card_of, write_model  # noqa: E402
from vpr_ros.nets.model_folder import read_card  # noqa: E402
from vpr_ros.nets.network import build_network  # noqa: E402
from vpr_ros.nets.torch_describer import load_network  # noqa: E402
from vpr_ros.nets.torchvision_models import whole_network  # noqa: E402

DISTILL = DistillConfig(width_mult=0.125, channels=8, grid=2, input_px=64, world_frames=0)
RUN = """sparsity: 0.5
steps: 1
epochs: 1
last_epochs: 0
views: 16
batch: 8
reuse: 1
multiple: 4
refit: 0
"""


@pytest.fixture(scope='module')
def images():
    rng = np.random.default_rng(0)
    return tuple(np.kron(rng.integers(0, 256, (8, 8, 3), np.uint8), np.ones((9, 9, 1), np.uint8))
                 for _ in range(12))


@pytest.fixture(scope='module')
def shared(tmp_path_factory):
    """Return a folder with a random teacher's weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp('shared')
    file = folder / distill_default.TEACHER_FILE
    file.parent.mkdir(parents=True)
    torch.save(whole_network('mobilenet_v2').state_dict(), file)
    return folder


@pytest.fixture(scope='module')
def parent(tmp_path_factory):
    """Return the folder of a dense student that was never taught."""
    torch.manual_seed(1)
    folder, args = tmp_path_factory.mktemp('parent') / 'model', convap_args(DISTILL)
    network = build_network('resnet18', 'layer4', 'convap', args, DISTILL.width_mult)
    write_model(folder, network, card_of(network, 'student', 'resnet18', 'layer4', 'convap', args,
                                         Preprocessing(64, 64), 'Apache-2.0'))
    return folder


def test_the_teacher_speaks_the_language_of_the_student_as_far_as_a_turn_can(
        shared, images, parent, tmp_path, monkeypatch):
    monkeypatch.setattr(prune_default, '_VIEWS', 96)
    turned, plain = tmp_path / 'turned', tmp_path / 'plain'
    prune_default.write_teacher(turned, shared, images, parent, DISTILL, seed=0)
    monkeypatch.setattr(prune_default, '_turn', lambda said, wanted: torch.eye(said.shape[1]))
    prune_default.write_teacher(plain, shared, images, parent, DISTILL, seed=0)
    views = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        said, unturned, student = (load_network(folder, read_card(folder))(views)
                                   for folder in (turned, plain, parent))
    assert said.shape == student.shape
    # a turn leaves all similarities as they are
    torch.testing.assert_close(said @ said.T, unturned @ unturned.T, atol=1e-4, rtol=0.0)
    seen = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)[..., :64, :64].float() / 64 - 2
    with torch.inference_mode():
        near, far = ((load_network(folder, read_card(folder))(seen)
                      * load_network(parent, read_card(parent))(seen)).sum(dim=1).mean()
                     for folder in (turned, plain))
    assert near > far


@pytest.mark.parametrize('dim', [None, 16])
def test_the_child_of_the_default_model_learns_from_its_teacher(
        shared, images, parent, tmp_path, monkeypatch, capsys, dim):
    knobs = tmp_path / 'run.yaml'
    knobs.write_text(RUN)
    distill = tmp_path / 'distill.yaml'
    distill.write_text('channels: 8\ngrid: 2\ninput_px: 64\nwidth_mult: 0.125\nworld_frames: 0\n')
    pair = self_labelled(list(images))
    monkeypatch.setattr(prune_default, '_VIEWS', 32)
    monkeypatch.setattr(prune_default, 'source_images', lambda *_: images)
    monkeypatch.setattr(prune_default, 'held_out_pairs', lambda _: (pair, pair, pair))
    monkeypatch.setattr(prune_default, 'campus_loop', lambda _: replace(pair, name='campus'))
    monkeypatch.setattr(prune_default, 'benchmark_pairs', lambda _: dict.fromkeys(
        ('stromovka', 'webcams', 'corridor', 'laps'), pair))
    recall = Recall('park', 'same frame', 9, 0.5, 1.0)
    monkeypatch.setattr(prune_default, 'benchmark', lambda describer, _: {
        'park': replace(recall, at_1=describer.card.dim / 1000)})
    given = ['--config', str(knobs), '--distill', str(distill), '--shared', str(shared),
             '--parent', str(parent), '--out', str(tmp_path / 'out'),
             *([] if dim is None else ['--dim', str(dim)])]
    for _ in range(2):   # the second call finds all done
        monkeypatch.setattr(sys, 'argv', ['prune_default', *given])
        prune_default.main()
    points = read_points(tmp_path / 'out' / 'run')[0]
    assert [each.chooses for each in points[1].recalls] == [True] * 2 + [False] * 5
    card = read_card(tmp_path / 'out' / 'run' / 'step_01')
    taught_by, dense = (('teacher', parent) if dim is None else
                        ('teacher_16', tmp_path / 'out' / 'parent_16'))
    assert card.queries_maps_of == (read_card(tmp_path / 'out' / taught_by).digest,)
    assert card.parent == read_card(dense).digest
    assert card.dim == (dim or 32)
    assert 'step 1  50% of channels' in capsys.readouterr().out
    ships = read_card(tmp_path / 'out' / 'model')
    assert (ships.name, ships.digest, ships.parent) == ('vpr-default', card.digest, card.parent)
    assert ships.preprocessing == replace(card.preprocessing, resize=Resize.HALVED_AREA)
    assert ships.notes['recall']['park'] == {
        'pair': 'park', 'protocol': 'same frame', 'queries': 9, 'at_1': card.dim / 1000,
        'at_5': 1.0,
        'teacher_at_1': 0.64, 'teacher_at_5': 1.0, 'dense_at_1': 0.032, 'dense_at_5': 1.0}
    assert ships.notes['dense']['digest'] == read_card(parent).digest
    assert (ships.notes['views'], ships.notes['steps']) == (16, 2)
    assert ships.notes['projected_to'] == dim


def test_a_shorter_pair_describes_along_the_axes_of_the_teacher(
        shared, images, parent, tmp_path, monkeypatch):
    monkeypatch.setattr(prune_default, '_VIEWS', 96)
    teacher = tmp_path / 'teacher'
    prune_default.write_teacher(teacher, shared, images, parent, DISTILL, seed=0)
    wanted = Projection(16, views=64)
    short, taught_by = prune_default._shortened(parent, teacher, Pictures(images), wanted,
                                                tmp_path)
    before = (short / 'weights.safetensors').stat().st_mtime_ns
    assert prune_default._shortened(parent, teacher, Pictures(images), wanted, tmp_path) == (
        short, taught_by)
    assert (short / 'weights.safetensors').stat().st_mtime_ns == before   # written once
    # what both give before lengths: the same turn of what they gave
    card = read_card(teacher)
    axes = axes_of(load_network(teacher, card), card, Pictures(images), wanted)
    views = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for long, now in ((parent, short), (teacher, taught_by)):
        old, new = (given_by(load_network(folder, read_card(folder)), [views])
                    for folder in (long, now))
        torch.testing.assert_close(new, (old - axes.mean) @ axes.turn, atol=1e-4, rtol=1e-4)


def test_without_weights_it_says_what_is_missing(parent, images, tmp_path, monkeypatch, capsys):
    knobs = tmp_path / 'run.yaml'
    knobs.write_text(RUN)
    monkeypatch.setattr(prune_default, 'source_images', lambda *_: images)
    monkeypatch.setattr(sys, 'argv', [
        'prune_default', '--config', str(knobs), '--distill', 'config/distill.yaml', '--shared',
        str(tmp_path / 'nothing'), '--parent', str(parent), '--out', str(tmp_path / 'out')])
    with pytest.raises(SystemExit) as stop:
        prune_default.main()
    assert stop.value.code == 2
    assert distill_default.TEACHER_FILE in capsys.readouterr().err
