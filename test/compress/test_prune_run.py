# SPDX-License-Identifier: Apache-2.0
"""A run over a model folder: what it writes, how it goes on, and how it ends when it must."""

from dataclasses import replace
import errno
import json
import os
from pathlib import Path
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from vpr_ros.compress import prune_run  # noqa: E402
from vpr_ros.compress.finetune_data import Labelled, Pictures  # noqa: E402
from vpr_ros.compress.finetune_state import STATE  # noqa: E402
from vpr_ros.compress.prune_config import RunConfig  # noqa: E402
from vpr_ros.compress.prune_descriptor import numbers_left  # noqa: E402
from vpr_ros.compress.prune_graph import groups_of  # noqa: E402
from vpr_ros.compress.prune_groups import Part  # noqa: E402
from vpr_ros.compress.prune_judge import Judge  # noqa: E402
from vpr_ros.compress.prune_points import POINTS, read_points, TABLE  # noqa: E402
from vpr_ros.compress.prune_run import Goal, prune_and_learn  # noqa: E402
from vpr_ros.compress.self_labelled import self_labelled  # noqa: E402
from vpr_ros.core.card import ModelCard, Preprocessing  # noqa: E402
from vpr_ros.errors import DatasetError, ModelError  # noqa: E402
from vpr_ros.nets.export import card_of, weights_of, write_model  # noqa: E402
from vpr_ros.nets.model_folder import load_describer, read_card, seal_model, WEIGHTS  # noqa: E402
from vpr_ros.nets.network import build_network  # noqa: E402
from vpr_ros.nets.torch_describer import load_network  # noqa: E402

ROOT = Path(__file__).parents[2]
TINY = {'sparsity': 0.5, 'steps': 2, 'epochs': 1, 'last_epochs': 1, 'views': 16, 'batch': 8,
        'reuse': 1, 'multiple': 4, 'refit': 0, 'views_per_place': 2, 'amp': 'off'}
GOAL = Goal(measure_speed=False)
LAYERS = ['backbone.features.1']


def config(**changes):
    return RunConfig.read(None, **{**TINY, **changes})


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
def prune(parent, pictures, tmp_path):
    """Return what prunes the parent into `tmp_path/out`, learning from pictures."""
    def run(knobs=None, **changes):
        given = {'lessons': Pictures(pictures), 'judge': Judge([self_labelled(pictures[:8])]),
                 'goal': GOAL, 'out': tmp_path / 'out', 'say': lambda _: None, **changes}
        return prune_and_learn(changes.pop('parent', parent), config=knobs or config(),
                               **{key: value for key, value in given.items() if key != 'parent'})
    return run


@pytest.fixture
def quick(monkeypatch):
    """Write weights and card of a step only: exports take seconds."""
    def write(folder, network, card, force):
        folder.mkdir(exist_ok=True)
        (folder / WEIGHTS).write_bytes(weights_of(network))
        (folder / 'card.json').write_text(card.to_json())
    monkeypatch.setattr(prune_run, 'write_model', write)


def digests(out):
    return {path.parent.name: path.read_bytes() for path in sorted(out.glob('step_*/' + WEIGHTS))}


class Stopped(Exception):  # noqa: N818
    pass


def test_each_step_is_a_model_that_describes(prune, parent, pictures, tmp_path):
    said = []
    points = prune(config(ema=0.5, freeze=LAYERS), goal=Goal(map_places=100), say=said.append)
    out = tmp_path / 'out'
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [POINTS, TABLE, STATE, 'step_01', 'step_02'])
    dense = read_card(parent)
    assert [point.step for point in points] == [0, 1, 2]
    assert points[0].folder == ''
    assert points[0].parameters > points[1].parameters > points[2].parameters
    for point in points[1:]:
        card = read_card(out / point.folder)
        assert card.parent == dense.digest
        assert card.widths == point.widths
        assert point.dim == card.dim == 64
        assert card.queries_maps_of == (dense.digest,)
        assert card.notes['speed']['describe_ms'] == point.speed.describe_ms
        assert card.notes['recall'][0]['at_1'] == point.recalls[0].at_1
        network = load_network(out / point.folder, card)
        describer = load_describer(out / point.folder, 1, 'onnxruntime', 'fp32')
        assert describer.describe(pictures[:2]).shape == (2, 64)
        # what is frozen loses channels, and no weight of what is left has moved
        kept = network.state_dict()['backbone.features.1.conv.1.weight']
        assert set(kept.ravel().tolist()) <= set(load_network(parent, dense).state_dict()[
            'backbone.features.1.conv.1.weight'].ravel().tolist())
    assert read_points(out)[0] == points
    assert [line for line in said if line.startswith('step 2/2  epoch 2/2  loss ')]
    assert said[-1].startswith('step 2  50% of channels')


def another(folder, **changes):
    """Return the folder of another network, by whose descriptors the parent's child can learn."""
    torch.manual_seed(1)
    head = {'channels': 16, 'grid': 2, **changes.get('head', {})}
    network = build_network('resnet18', 'layer1', 'convap', head, 0.125)
    write_model(folder, network, card_of(
        network, 'teacher', 'resnet18', 'layer1', 'convap', head,
        changes.get('preprocessing', Preprocessing(32, 32)), 'Apache-2.0'))
    return folder


def test_another_network_may_teach(prune, quick, tmp_path):
    teacher = another(tmp_path / 'teacher')
    card, given = read_card(teacher), {'teacher': teacher, 'out': tmp_path / 'taught'}
    alone, taught = prune(), prune(**given)
    assert taught[0] == alone[0]
    assert digests(tmp_path / 'taught') != digests(tmp_path / 'out')
    written = ModelCard.from_json(
        (tmp_path / 'taught' / taught[-1].folder / 'card.json').read_text(), '')
    assert written.queries_maps_of == (card.digest,)
    assert written.notes['settings']['teacher'] == card.digest
    with pytest.raises(ModelError, match='other settings'):
        prune(out=tmp_path / 'taught')


@pytest.mark.parametrize(('change', 'what'), [
    ({'head': {'channels': 8}}, 'its dim is 32, not 64'),
    ({'preprocessing': Preprocessing(48, 32)}, 'its preprocessing is')])
def test_a_teacher_that_describes_otherwise_is_refused(prune, tmp_path, change, what):
    teacher = another(tmp_path / 'teacher', **change)
    with pytest.raises(ModelError, match=f'teacher cannot teach a child of tiny: {what}'):
        prune(teacher=teacher)
    assert not (tmp_path / 'out').exists()


def test_a_finished_run_is_only_read(prune, quick, tmp_path):
    first = prune(config(ema=0.5))
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / 'out').rglob('*')}
    assert prune(config(ema=0.5)) == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / 'out').rglob('*')} == stamps


@pytest.mark.parametrize('criterion', ['taylor', 'random'])
def test_a_run_that_was_stopped_anywhere_goes_on_to_the_same_end(prune, quick, tmp_path,
                                                                criterion):
    knobs = config(ema=0.5, gamma=0.5, criterion=criterion, freeze=LAYERS, refit=8, epochs=2)
    whole = prune(knobs, out=tmp_path / 'whole')
    lines = []
    prune(knobs, out=tmp_path / 'again', say=lines.append)
    assert digests(tmp_path / 'again') == digests(tmp_path / 'whole')

    def stop_at_its_next_line(line):
        if line.startswith('step') and 'is next' not in line:
            raise Stopped
    for _ in range(len(lines)):   # a line after each epoch and each step, when all is saved or not
        try:
            found = prune(knobs, say=stop_at_its_next_line)
            break
        except Stopped:
            continue
    else:
        found = prune(knobs)
    assert found == whole
    assert digests(tmp_path / 'out') == digests(tmp_path / 'whole')


def test_a_run_under_way_is_cleaned_up(prune, quick, tmp_path):
    out = tmp_path / 'out'
    (out / '.step_01.abc').mkdir(parents=True)
    (out / '.step_01.abc' / 'model.onnx').write_bytes(b'half')
    (out / f'.{STATE}.part').write_bytes(b'half')
    prune(config(steps=1))
    assert not [path.name for path in out.iterdir() if path.name.startswith('.')]


def test_costs_of_layers_are_measured_once(prune, quick, parent, tmp_path):
    network = load_network(parent, read_card(parent))
    groups = [group for group in groups_of(network) if group.part is not Part.DESCRIPTOR]
    knobs = config(allocation='latency')
    even, skewed = ({group.name: 1.0 + 9.0 * skew * (i % 2) for i, group in enumerate(groups)}
                    for skew in (False, True))
    prune(knobs, saved_ms=even, out=tmp_path / 'even')

    def stop(line):
        raise Stopped
    with pytest.raises(Stopped):
        prune(knobs, saved_ms=even, say=stop)
    prune(knobs, saved_ms=skewed)   # measured again, and otherwise: the first time counts
    assert digests(tmp_path / 'out') == digests(tmp_path / 'even')
    prune(knobs, saved_ms=skewed, out=tmp_path / 'skewed')
    assert digests(tmp_path / 'skewed') != digests(tmp_path / 'even')


def test_too_deep_a_fall_is_the_last_step(prune, quick, monkeypatch):
    recalls = Judge.recalls
    monkeypatch.setattr(Judge, 'recalls', lambda self, network, card: tuple(
        replace(each, at_1=sum(p.numel() for p in network.parameters()) / 1e4)
        for each in recalls(self, network, card)))
    knobs, said = config(steps=3), []
    for goal in (Goal(max_drop_points=0.0, measure_speed=False),) * 2:   # and it stays the last
        points = prune(knobs, goal=goal, say=said.append)
        assert [point.step for point in points] == [0, 1]
        assert 'recall@1 fell by more than 0 points; no further step' in said.pop()
    assert len(prune(knobs)) == 4   # without a limit the same run goes on


@pytest.mark.parametrize('change', [{'seed': 1}, {'sparsity': 0.4}])
def test_the_state_of_another_run_is_refused(prune, quick, tmp_path, change):
    points = prune(config(steps=1))
    with pytest.raises(ModelError, match=r'state\.pt is of a run with other settings; repeat '
                       'these .*pass --force'):
        prune(config(steps=1, **change))
    assert read_points(tmp_path / 'out')[0] == points
    (tmp_path / 'out' / 'old.html').touch()
    prune(config(steps=1, **change), force=True)
    assert not (tmp_path / 'out' / 'old.html').exists()


@pytest.mark.parametrize('harm', ['cut', 'flipped', 'empty'])
def test_a_damaged_state_is_refused(prune, quick, tmp_path, harm):
    prune(config(steps=1))
    state = tmp_path / 'out' / STATE
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    state.write_bytes({'cut': bytes(content[:-100]), 'flipped': bytes(content),
                       'empty': b''}[harm])
    with pytest.raises(ModelError, match=r'state\.pt is damaged; pass --force to start again'):
        prune(config(steps=1))
    assert digests(tmp_path / 'out')


@pytest.mark.parametrize('force', [False, True])
def test_a_folder_of_something_else_is_left_alone(prune, tmp_path, force):
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'thesis.tex').write_text('dear reader')
    with pytest.raises(ModelError, match='exists and holds no run to go on with; choose another '
                       'name'):
        prune(force=force)
    assert [path.name for path in out.iterdir()] == ['thesis.tex']


def test_a_file_in_the_way_is_named(prune, tmp_path):
    (tmp_path / 'out').write_text('')
    with pytest.raises(ModelError, match='cannot write .*out .*choose another place'):
        prune()


def test_a_parent_that_cannot_be_pruned_is_refused(prune, parent, tmp_path):
    int8 = tmp_path / 'int8'
    shutil.copytree(parent, int8)
    seal_model(int8, replace(read_card(parent), precision='int8'))
    with pytest.raises(ModelError, match='is int8; prune the float model'):
        prune(parent=int8)
    other = tmp_path / 'other'
    shutil.copytree(parent, other)
    seal_model(other, replace(read_card(parent), backbone='resnet18', cut='layer1'))
    with pytest.raises(ModelError, match='do not have the same layers'):
        prune(parent=other)
    with pytest.raises(ModelError, match='there is no model folder'):
        prune(parent=tmp_path / 'absent')
    with pytest.raises(ModelError, match='no layer or block is called backbone.layer1'):
        prune(config(freeze=['backbone.layer1']))
    assert not (tmp_path / 'out').exists()


def test_sets_that_cannot_judge_are_refused(pictures):
    pair = self_labelled(pictures[:8])
    lost = replace(pair, positives=((),) * len(pair.query.images))
    with pytest.raises(DatasetError, match='self-labelled: 0 of 16 queries have a positive'):
        Judge([lost])
    for pairs, choosing in (([], 1), ([pair], 0), ([pair], 2)):
        with pytest.raises(DatasetError, match='sets cannot choose; give at least one'):
            Judge(pairs, choosing)


def test_only_the_first_sets_choose(pictures, parent):
    pair, card = self_labelled(pictures[:8]), read_card(parent)
    judge = Judge([pair, replace(pair, name='kept back')], 1)
    found = judge.recalls(load_network(parent, card), card)
    assert [(each.pair, each.chooses) for each in found] == [
        ('self-labelled', True), ('kept back', False)]


def test_a_loss_that_is_not_finite_leaves_the_steps_before(prune, quick, tmp_path, monkeypatch):
    learn = prune_run.learn

    def fail_in_step_two(teaching, state, epochs, small):
        if state.step == 2:
            with torch.no_grad():
                state.network.aggregator.conv.weight.fill_(float('nan'))
        return learn(teaching, state, epochs, small)
    monkeypatch.setattr(prune_run, 'learn', fail_in_step_two)
    with pytest.raises(ModelError, match='the loss is not finite in step 2, epoch 1'):
        prune()
    assert list(digests(tmp_path / 'out')) == ['step_01']
    assert len(read_points(tmp_path / 'out')[0]) == 2
    monkeypatch.setattr(prune_run, 'learn', learn)
    assert len(prune()) == 3   # the state is of before it


def test_a_full_disk_leaves_the_last_good_step(prune, pictures, tmp_path):
    """With a real limit: from the first step on, no file may be as large as its graph."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    knobs, out = config(sparsity=0.1, schedule='linear'), tmp_path / 'out'

    def limit(line):
        if line.startswith('step 1 '):
            size = (out / 'step_01' / 'model.onnx').stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, hard))
    try:
        with pytest.raises(ModelError, match=f'{os.strerror(errno.EFBIG)}|cannot be written'):
            prune(knobs, say=limit)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    step = load_describer(out / 'step_01', 1, 'onnxruntime', 'fp32')
    assert step.describe(pictures[:1]).shape == (1, 64)
    assert [point.step for point in read_points(out)[0]] == [0, 1]
    assert [point.step for point in prune(knobs)] == [0, 1, 2]


def test_labels_teach_as_well(prune, quick, pictures):
    pytest.importorskip('pytorch_metric_learning')
    points = prune(config(), lessons=Labelled(pictures, np.repeat(np.arange(4), 3), 2))
    assert len(points) == 3


@pytest.mark.parametrize(('head', 'args'), [
    ('convap', {'channels': 16, 'grid': 2}), ('gem', {}), ('grid', {'grid': 2}),
    ('netvlad', {'clusters': 6}), ('netvlad', {'clusters': 6, 'channels': 12}),
    ('mixvpr', {'channels': 16, 'rows': 4, 'depth': 1, 'height': 8, 'width': 8})])
def test_a_smaller_descriptor_is_of_the_dimensions_that_are_said_to_be_kept(head, args):
    """What is cut has no weights here, so the child says what the parent says in these."""
    torch.manual_seed(0)
    network = build_network('mobilenet_v2', 'features.4', head, args, 0.25)
    groups = groups_of(network)
    makers = [group for group in groups if group.part is Part.DESCRIPTOR]
    rng = np.random.default_rng(1)
    masks = {group.name: rng.permutation(group.channels) < max(2, group.channels // 2)
             for group in makers}
    x = torch.randn(3, 3, 64, 64)
    if head == 'netvlad':   # less clusters, other shares: look at the centroids alone
        network.aggregator.assign.weight.data.zero_()
    with torch.no_grad():
        dense = network(x)
        if head == 'mixvpr':
            network.aggregator.row_proj.bias.data.zero_()
            network.aggregator.channel_proj.bias.data.zero_()
            dense = network(x)
        child = prune_run.cut(network, groups, masks)(x)
    kept = numbers_left(groups, masks, dense.shape[1])
    assert child.shape[1] == len(kept) < dense.shape[1]
    wanted = dense[:, torch.from_numpy(kept)]
    if head == 'netvlad':
        # per cluster of unit length in both: compare cluster by cluster
        clusters = int(masks['aggregator.assign'].sum())
        child, wanted = (torch.nn.functional.normalize(y.reshape(3, clusters, -1), dim=2)
                         for y in (child, wanted))
        if not args.get('channels'):   # fewer channels turn the unit vectors that are assigned
            cosine = (child * wanted).sum(dim=2)
            assert float(cosine.mean()) > 0.9
            return
    else:
        wanted = torch.nn.functional.normalize(wanted)
    torch.testing.assert_close(child, wanted, atol=1e-5, rtol=1e-4)


def test_a_smaller_descriptor_makes_a_smaller_map(prune, quick):
    points = prune(config(gamma=1.0))
    assert [point.dim for point in points] == [64, 32, 32]   # 16 channels, then 9, in fours: 8
    assert points[-1].map_bytes == points[0].map_bytes / 2
    assert points[0].recalls[0].on_parents_map_at_1 is not None
    assert points[-1].recalls[0].on_parents_map_at_1 is None


def run_bench(*flags):
    return subprocess.run([sys.executable, 'bench/prune_kill.py', *flags], cwd=ROOT, check=False,
                          text=True, capture_output=True, timeout=600)


def test_three_kills_change_nothing(tmp_path):
    done = run_bench('--kills', '3', '--seed', '5', '--work', str(tmp_path), '--knobs',
                     json.dumps({'steps': 1, 'refit': 8}))
    assert done.returncode == 0, done.stdout + done.stderr
    assert '3 kills in' in done.stdout
