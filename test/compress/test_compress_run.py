# SPDX-License-Identifier: Apache-2.0
"""A compression of a model folder: what it writes, how it goes on, how it ends when it must."""

from dataclasses import replace
import shutil

import numpy as np
import pytest

torch = pytest.importorskip('torch')

import safetensors.torch  # noqa: E402

from vpr_ros.compress import compress_folder, compress_run  # noqa: E402
from vpr_ros.compress.compress_choice import choice, deliver  # noqa: E402
from vpr_ros.compress.compress_config import CompressRun  # noqa: E402
from vpr_ros.compress.compress_folder import PACKED  # noqa: E402
from vpr_ros.compress.compress_points import POINTS, read_points, TABLE  # noqa: E402
from vpr_ros.compress.compress_run import compress_and_learn, compressed_once  # noqa: E402
from vpr_ros.compress.finetune_data import Pictures  # noqa: E402
from vpr_ros.compress.finetune_state import STATE  # noqa: E402
from vpr_ros.compress.prune_judge import Judge  # noqa: E402
from vpr_ros.compress.self_labelled import self_labelled  # noqa: E402
from vpr_ros.core.card import Preprocessing  # noqa: E402
from vpr_ros.errors import ModelError  # noqa: E402
from vpr_ros.nets.export import card_of, weights_of, write_model  # noqa: E402
from vpr_ros.nets.model_folder import (  # noqa: E402
    load_describer,
    read_card,
    seal_model,
    WEIGHTS,
)
from vpr_ros.nets.network import build_network  # noqa: E402
from vpr_ros.nets.packed_sizes import PackedSizes  # noqa: E402
from vpr_ros.nets.torch_describer import load_network  # noqa: E402

TINY = {'prune': 0.5, 'bits': 4, 'steps': 2, 'fewest': 100, 'epochs': 1, 'last_epochs': 1,
        'views': 16, 'batch': 8, 'reuse': 1, 'views_per_place': 2, 'amp': 'off'}
KINDS = ['dense', 'pruned', 'pruned', 'shared']


def config(**changes):
    return CompressRun.read(None, **{**TINY, **changes})


@pytest.fixture(scope='module')
def pictures():
    rng = np.random.default_rng(0)
    return [np.kron(rng.integers(0, 256, (6, 6, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
            for _ in range(12)]


@pytest.fixture(scope='module')
def parent(tmp_path_factory):
    """Return the folder of a tiny network."""
    folder = tmp_path_factory.mktemp('parent') / 'model'
    torch.manual_seed(0)
    head = {'channels': 16, 'grid': 2}
    network = build_network('mobilenet_v2', 'features.4', 'convap', head, 0.25)
    write_model(folder, network, card_of(network, 'tiny', 'mobilenet_v2', 'features.4', 'convap',
                                         head, Preprocessing(32, 32), 'Apache-2.0'))
    return folder


@pytest.fixture
def compress(parent, pictures, tmp_path):
    """Return what compresses the parent into `tmp_path/out`, learning from pictures."""
    def run(knobs=None, **changes):
        given = {'parent': parent, 'lessons': Pictures(pictures), 'out': tmp_path / 'out',
                 'judge': Judge([self_labelled(pictures[:8])]), 'say': lambda _: None, **changes}
        return compress_and_learn(config=knobs or config(), **given)
    return run


@pytest.fixture
def quick(monkeypatch):
    """Write weights and card of a step only, and a stand-in for the packed file."""
    def write(folder, network, card, force):
        folder.mkdir(exist_ok=True)
        (folder / WEIGHTS).write_bytes(weights_of(network))
        (folder / 'card.json').write_text(card.to_json())

    def pack(folder, file, force=False):
        content = (folder / WEIGHTS).read_bytes()
        file.write_bytes(content)
        return PackedSizes(len(content), len(content), len(content), 0, 0, 0, 0, 0, ())
    monkeypatch.setattr(compress_folder, 'write_model', write)
    monkeypatch.setattr(compress_folder, 'pack', pack)


def digests(out):
    return {path.parent.name: path.read_bytes() for path in sorted(out.glob('step_*/' + WEIGHTS))}


class Stopped(Exception):  # noqa: N818
    pass


def test_each_step_is_a_model_that_describes_folded_or_packed(compress, parent, pictures,
                                                              tmp_path):
    said = []
    points, out = compress(say=said.append), tmp_path / 'out'
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [POINTS, TABLE, STATE, *(f'step_0{step}{end}' for step in (1, 2, 3)
                                 for end in ('', '.vprz'))])
    assert [point.kind for point in points] == KINDS
    assert points[0].sparsity < 0.01
    assert points[1].sparsity == pytest.approx(0.5 * 0.875, abs=0.01)   # cubic
    assert points[2].sparsity == points[3].sparsity == pytest.approx(0.5, abs=0.01)
    assert points[3].packed_bytes < points[2].packed_bytes < points[0].packed_bytes
    dense = read_card(parent)
    for point in points[1:]:
        folder, file = out / point.folder, out / f'{point.folder}.vprz'
        card = read_card(folder)
        assert card.parent == dense.digest
        assert card.widths == dense.widths
        assert card.queries_maps_of == (dense.digest,)
        assert card.notes['recall'][0]['at_1'] == point.recalls[0].at_1
        assert file.stat().st_size == point.packed_bytes
        assert read_card(file) == card
        wanted, found = (load_describer(path, 1, 'onnxruntime', 'fp32').describe(pictures[:3])
                         for path in (folder, file))
        assert np.array_equal(wanted, found)
    last = points[-1]
    weights = load_network(out / 'step_03', read_card(out / 'step_03')).state_dict()
    for one in last.layers:
        assert one.values <= 16
        assert len(weights[f'{one.name}.weight'].unique()) == one.values
        assert int((weights[f'{one.name}.weight'] == 0.0).sum()) == one.zeros
        assert 0.0 < one.packed_bytes < one.weights
    assert read_points(out)[0] == points
    assert [line for line in said if line.startswith('step 3/3  epoch 2/2  loss ')]
    assert said[-1].startswith('step 3  shared  50% of weights zero')


def test_a_finished_run_is_only_read(compress, quick, tmp_path):
    first = compress(config(ema=0.5))
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / 'out').rglob('*')}
    assert compress(config(ema=0.5)) == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / 'out').rglob('*')} == stamps


@pytest.mark.parametrize('ema', [0.0, 0.5])
def test_a_run_that_was_stopped_anywhere_goes_on_to_the_same_end(compress, quick, tmp_path, ema):
    knobs = config(ema=ema, epochs=2, freeze=['backbone.features.2'],
                   layers=['aggregator.*=,3', 'backbone.features.3.*=0.2,32'])
    lines = []
    whole = compress(knobs, out=tmp_path / 'whole', say=lines.append)

    def stop_at_its_next_line(line):
        if line.startswith('step') and 'is next' not in line:
            raise Stopped
    for _ in range(len(lines)):   # a line after each epoch and each step, when all is saved or not
        try:
            found = compress(knobs, say=stop_at_its_next_line)
            break
        except Stopped:
            continue
    else:
        found = compress(knobs)
    assert found == whole
    assert digests(tmp_path / 'out') == digests(tmp_path / 'whole')


def test_a_run_under_way_is_cleaned_up(compress, quick, tmp_path):
    out = tmp_path / 'out'
    (out / '.step_01.abc').mkdir(parents=True)
    (out / '.step_01.abc' / 'model.onnx').write_bytes(b'half')
    for name in (f'.{STATE}.part', '.step_01.vprz.xyz', f'.{PACKED}.part'):
        (out / name).write_bytes(b'half')
    compress(config(steps=1))
    assert not [path.name for path in out.iterdir() if path.name.startswith('.')]


def test_learning_wins_back_what_zeros_and_sharing_cost(compress, quick, parent, pictures):
    points = compress(config(prune=0.8, bits=2, epochs=6, last_epochs=6, views=64, steps=1))
    assert points[-1].loss is not None
    dense, card = load_network(parent, read_card(parent)), read_card(parent)
    at_once = compressed_once(dense, config(prune=0.8, bits=2))
    x = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()[:, :, :32, :32] / 255.0
    with torch.inference_mode():
        lost = float(1.0 - (dense(x) * at_once(x)).sum(1).mean())
    assert card.dim == points[-1].dim
    assert points[-1].loss < lost


def test_what_is_frozen_is_compressed_and_learns_nothing(compress, quick, tmp_path, parent):
    knobs = config(value_bits=32, freeze=['backbone.features.2'],
                   layers=['backbone.features.2.*=0.5,32'])
    compress(knobs)
    at_once = compressed_once(load_network(parent, read_card(parent)), knobs).state_dict()
    last = safetensors.torch.load_file(tmp_path / 'out' / 'step_03' / WEIGHTS)
    name = 'backbone.features.2.conv.0.0.weight'
    assert float((last[name] == 0.0).float().mean()) == pytest.approx(0.5, abs=0.01)
    assert torch.equal(last[name], at_once[name])
    other = 'backbone.features.3.conv.0.0.weight'
    assert not torch.equal(last[other], at_once[other])


@pytest.mark.parametrize('change', [{'seed': 1}, {'prune': 0.4}, {'bits': 5}, {'coarse': 0.1}])
def test_the_state_of_another_run_is_refused(compress, quick, tmp_path, change):
    points = compress(config(steps=1))
    with pytest.raises(ModelError, match=r'state\.pt is of a run with other settings; repeat '
                       'these .*pass --force'):
        compress(config(steps=1, **change))
    assert read_points(tmp_path / 'out')[0] == points
    (tmp_path / 'out' / 'old.html').touch()
    compress(config(steps=1, **change), force=True)
    assert not (tmp_path / 'out' / 'old.html').exists()


def test_a_damaged_state_is_refused(compress, quick, tmp_path):
    compress(config(steps=1))
    state = tmp_path / 'out' / STATE
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    state.write_bytes(bytes(content))
    with pytest.raises(ModelError, match=r'state\.pt is damaged; pass --force to start again'):
        compress(config(steps=1))
    assert digests(tmp_path / 'out')


@pytest.mark.parametrize('force', [False, True])
def test_a_folder_of_something_else_is_left_alone(compress, tmp_path, force):
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'thesis.tex').write_text('dear reader')
    with pytest.raises(ModelError, match='exists and holds no run to go on with; choose another '
                       'name'):
        compress(force=force)
    assert [path.name for path in out.iterdir()] == ['thesis.tex']


def test_a_parent_that_cannot_be_compressed_is_refused(compress, parent, tmp_path):
    int8 = tmp_path / 'int8'
    shutil.copytree(parent, int8)
    seal_model(int8, replace(read_card(parent), precision='int8'))
    with pytest.raises(ModelError, match='is int8'):
        compress(parent=int8)
    with pytest.raises(ModelError, match='no layer of the network has 1000000 weights'):
        compress(config(fewest=1_000_000))
    with pytest.raises(ModelError, match=r'--layer backbone.layer1.\* fits no layer'):
        compress(config(layers=['backbone.layer1.*=0.3']))
    with pytest.raises(ModelError, match='nothing becomes smaller'):
        compress(config(prune=0.0, bits=32))
    assert not (tmp_path / 'out').exists()


def test_a_loss_that_is_not_finite_leaves_the_steps_before(compress, quick, tmp_path, monkeypatch):
    learn = compress_run.learn

    def fail_in_step_two(teaching, state, epochs, small):
        if state.step == 2:
            with torch.no_grad():
                state.network.aggregator.conv.bias.fill_(float('nan'))
        return learn(teaching, state, epochs, small)
    monkeypatch.setattr(compress_run, 'learn', fail_in_step_two)
    with pytest.raises(ModelError, match='the loss is not finite in step 2, epoch 1'):
        compress()
    assert list(digests(tmp_path / 'out')) == ['step_01']
    monkeypatch.setattr(compress_run, 'learn', learn)
    assert len(compress()) == 4   # the state is of before it


def test_the_smallest_file_that_recalls_enough_is_taken(compress, quick, tmp_path):
    points = compress()
    assert choice(points, None) == (points[-1], 'as compressed as was asked for')
    sizes, recalls = (1000, 400, 300, 100), (0.9, 0.895, 0.89, 0.8)
    points = [replace(point, packed_bytes=size, recalls=(replace(
        point.recalls[0], at_1=recall, chooses=True),))
        for point, size, recall in zip(points, sizes, recalls, strict=True)]
    assert choice(points, 10.0)[0] == points[3]
    chosen, why = choice(points, 1.0)
    assert (chosen, why[:17]) == (points[2], 'of all steps whos')
    assert choice(points, 0.0)[0] == points[0]
    with pytest.raises(ModelError, match='no step of this run is finished'):
        choice([], 1.0)
    out = tmp_path / 'out'
    assert deliver(chosen, out) == out / PACKED
    assert (out / PACKED).read_bytes() == (out / 'step_02.vprz').read_bytes()
    assert deliver(points[0], out) is None
    assert not (out / PACKED).exists()
