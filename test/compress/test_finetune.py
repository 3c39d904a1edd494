# SPDX-License-Identifier: Apache-2.0
import copy
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from vpr_ros.compress import finetune  # noqa: E402
from vpr_ros.compress.finetune import gradients_of, learn, Teaching  # noqa: E402
from vpr_ros.compress.finetune_data import Labelled, Pictures  # noqa: E402
from vpr_ros.compress.finetune_ranks import ALONE, Ranks  # noqa: E402
from vpr_ros.compress.finetune_state import State  # noqa: E402
from vpr_ros.compress.prune import freeze  # noqa: E402
from vpr_ros.compress.prune_config import LearnConfig  # noqa: E402
from vpr_ros.core.card import Preprocessing  # noqa: E402
from vpr_ros.errors import ModelError  # noqa: E402

CONFIG = LearnConfig(views=16, reuse=1, batch=8, views_per_place=2, similarity=0.0, amp='off')
FROZEN = 'backbone.features.1'


@pytest.fixture(scope='module')
def pictures():
    rng = np.random.default_rng(0)
    return [np.kron(rng.integers(0, 256, (6, 6, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
            for _ in range(12)]


@pytest.fixture
def teach(make_dense, pictures):
    """Return a maker of lessons by a parent, and of the state of a child of other weights."""
    def make(config=CONFIG, labelled=False, ranks=ALONE, whole=True):
        parent = make_dense(seed=0).requires_grad_(False)
        lessons = (Labelled(pictures, np.repeat(np.arange(4), 3), 2) if labelled
                   else Pictures(pictures))
        child = copy.deepcopy(parent).requires_grad_(True)
        with torch.no_grad():
            generator = torch.Generator().manual_seed(1)
            for weight in child.parameters():
                weight += 0.1 * weight.std() * torch.randn(
                    weight.shape, generator=generator) if weight.numel() > 1 else 0.0
        average = copy.deepcopy(child) if config.ema else None
        state = State(child, average, np.arange(96), step=1)
        return Teaching(parent, Preprocessing(32, 32), lessons, config, ranks, whole), state
    return make


def weights(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in {**a, **b})


def test_learning_lowers_the_loss(teach):
    config = replace(CONFIG, views=64, reuse=2, learning_rate=3e-3)
    teaching, state = teach(config)
    losses = list(learn(teaching, state, 4))
    assert losses[-1] < 0.5 * losses[0]
    assert (state.epoch, state.loss) == (4, losses[-1])


@pytest.mark.parametrize('whole', [True, False])
def test_labels_are_learned_beside_the_parent(teach, whole):
    pytest.importorskip('pytorch_metric_learning')
    found = []
    for similarity in (0.0, 2.0):
        teaching, state = teach(replace(CONFIG, similarity=similarity), True, whole=whole)
        found.append((state, next(learn(teaching, state, 1))))
    (alone, lower), (both, higher) = found
    assert higher > lower > 0.0   # a second term
    assert not same(weights(alone.network), weights(both.network))


def test_frozen_layers_stay_as_they_are(teach):
    teaching, state = teach(replace(CONFIG, ema=0.5))
    layers = freeze(state.network, [FROZEN])
    before = weights(state.network)
    assert any(name.endswith('running_mean') and name.startswith(FROZEN) for name in before)
    list(learn(teaching, state, 2))
    for network in (state.network, state.average):
        changed = {name for name, tensor in network.state_dict().items()
                   if not torch.equal(tensor, before[name])}
        assert changed
        assert not [name for name in changed if name.startswith(FROZEN)]
    assert len(layers) > 2


def test_what_is_all_frozen_cannot_learn(teach):
    teaching, state = teach()
    state.network.requires_grad_(False)
    with pytest.raises(ModelError, match='all layers are frozen'):
        next(learn(teaching, state, 1))


def test_the_same_seed_gives_the_same_network(teach):
    found = []
    for seed in (3, 3, 4):
        teaching, state = teach(replace(CONFIG, seed=seed, ema=0.5))
        list(learn(teaching, state, 2))
        found.append((weights(state.network), weights(state.average)))
    assert same(found[0][0], found[1][0])
    assert same(found[0][1], found[1][1])
    assert not same(found[0][0], found[2][0])


@pytest.mark.parametrize('stop', [1, 2])
def test_a_stopped_step_goes_on_to_the_same_network(teach, stop):
    config = replace(CONFIG, ema=0.5, views=32)   # several batches, whose order counts
    teaching, whole = teach(config)
    list(learn(teaching, whole, 3, small=2))
    teaching, state = teach(config)
    stopping = learn(teaching, state, 3, small=2)
    for _ in range(stop):
        next(stopping)
    stopping.close()
    kept = copy.deepcopy(state)
    list(learn(teaching, kept, 3, small=2))
    assert same(weights(kept.network), weights(whole.network))
    assert same(weights(kept.average), weights(whole.average))
    assert kept.loss == whole.loss


def test_the_rate_warms_up_after_each_cut(teach, monkeypatch):
    rates = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, 'step', lambda self, *args: (
        rates.append(self.param_groups[0]['lr']), step(self, *args))[1])
    teaching, state = teach(replace(CONFIG, views=80, warmup=0.2, learning_rate=1.0))
    list(learn(teaching, state, 1))
    state.step, state.epoch, state.optimizer = 2, 0, None
    teaching, state = teach(replace(CONFIG, views=80, warmup=0.2, learning_rate=1e-4))
    list(learn(teaching, state, 1))
    first, second = np.array(rates).reshape(2, 10)
    assert first == pytest.approx(1e4 * second)
    assert first[0] < 0.01
    assert first.argmax() == 2
    assert first[2] == pytest.approx(1.0)
    assert (np.diff(first[2:]) < 0.0).all()
    assert first[-1] < 0.1


def test_lessons_of_steps_and_processes_differ(teach):
    teaching, _ = teach()
    asked = []
    views = teaching.lessons.views

    class Noted:
        together, what = 1, 'noted'

        def views(self, number, count, size, seed):
            asked.append((number, count, size))
            return views(number, count, size, seed)
    for rank in (0, 1):
        for step in (1, 2):
            ours, state = teach(replace(CONFIG, size_px=16))
            ours = replace(ours, lessons=Noted(), ranks=Ranks(rank, 2, torch.device('cpu')))
            state.step = step
            for epoch in range(3):
                ours.lesson(step * 100_000 + epoch, 16, is_small=epoch < 2)
    numbers = [number for number, _, _ in asked]
    assert len(set(numbers)) == len(numbers) == 12
    assert {count for _, count, _ in asked} == {8}
    assert [size for _, _, size in asked[:3]] == [(16, 16), (16, 16), (32, 32)]


def test_small_views_keep_their_shape(teach):
    teaching, _ = teach(replace(CONFIG, size_px=120))
    wide = replace(teaching, preprocessing=Preprocessing(240, 320))
    assert wide.size(is_small=True) == (120, 160)
    assert wide.size(is_small=False) == (240, 320)


def test_parts_of_a_batch_give_the_gradients_of_the_whole(teach, monkeypatch):
    monkeypatch.setattr(finetune, '_set_training', lambda network: network.eval())
    found = []
    for accumulate in (1, 4):
        gradients = []
        monkeypatch.setattr(torch.optim.AdamW, 'step', lambda self, into=gradients: into.extend(
            p.grad.clone() for group in self.param_groups for p in group['params']))
        teaching, state = teach(replace(CONFIG, accumulate=accumulate))
        list(learn(teaching, state, 1))
        found.append(gradients)
    assert len(found[0]) == len(found[1]) > 20
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)


def test_the_average_follows(teach):
    slow, fast = torch.nn.BatchNorm2d(2), torch.nn.BatchNorm2d(2)
    with torch.no_grad():
        fast.weight += 4.0
    fast.num_batches_tracked += 3
    finetune._follow(slow, fast, 0.75)
    assert slow.weight.tolist() == [2.0, 2.0]
    assert int(slow.num_batches_tracked) == 3
    teaching, state = teach(replace(CONFIG, ema=0.999))
    before = weights(state.network)
    list(learn(teaching, state, 2))
    name = 'aggregator.conv.weight'
    far, near = (float((state.judged.state_dict()[name] - other[name]).norm())
                 for other in (before, weights(state.network)))
    assert 0.0 < near < far   # in a few batches it has left what was cut


def test_gradients_are_of_all_that_learns(teach):
    teaching, state = teach()
    freeze(state.network, [FROZEN])
    before = weights(state.network)
    found = gradients_of(teaching, state)
    learnt = {name for name, p in state.network.named_parameters() if p.requires_grad}
    assert set(found) == learnt
    assert all(torch.isfinite(gradient).all() for gradient in found.values())
    assert same(weights(state.network), before)   # batch statistics as well
    again = gradients_of(teaching, state)
    assert all(torch.equal(found[name], again[name]) for name in found)


@pytest.mark.parametrize('harm', ['images', 'weights'])
def test_a_loss_that_is_not_finite_ends_it(teach, monkeypatch, harm):
    teaching, state = teach()
    state.epoch = 1
    if harm == 'images':
        monkeypatch.setattr(finetune, '_loss', lambda *_: sum(
            p.sum() for p in state.network.parameters()) * float('nan'))
    else:   # a loss that is finite, and gradients that are not, in the last batch
        monkeypatch.setattr(torch.optim.AdamW, 'step', lambda self: [
            p.data.fill_(float('inf')) for p in self.param_groups[1]['params']])
        teaching = replace(teaching, config=replace(CONFIG, batch=16))
    with pytest.raises(ModelError, match='the loss is not finite in step 1, epoch 2; lower '
                       'learning_rate'):
        next(learn(teaching, state, 3))


def test_an_error_while_a_lesson_is_made_is_not_lost(teach):
    teaching, state = teach()

    class Broken:
        together, what = 1, 'broken'

        def views(self, number, count, size, seed):
            raise ModelError('the bag is cut')
    with pytest.raises(ModelError, match='the bag is cut'):
        next(learn(replace(teaching, lessons=Broken()), state, 1))


@pytest.mark.parametrize(('knobs', 'labelled', 'world', 'complaint'), [
    ({'views': 18}, False, 4, 'views 18 cannot be shared equally by 4 processes.*multiple of 4'),
    ({'views': 17}, True, 1, 'views 17 .*2 views of a place.*choose a multiple of 2'),
    ({'batch': 12, 'accumulate': 4}, True, 1, 'batch 12 .*4 parts.*choose a multiple of 8'),
    ({'distill': 0.0}, False, 1, 'there is nothing to learn'),
    ({'distill': 0.0, 'similarity': 1.0}, False, 1, 'similarity needs labelled places')])
def test_what_cannot_be_taught_is_refused_before_it_begins(teach, knobs, labelled, world,
                                                            complaint):
    with pytest.raises(ModelError, match=complaint):
        teach(replace(CONFIG, **knobs), labelled, Ranks(0, world, torch.device('cpu')))


def test_learning_in_half_precision_comes_near(teach):
    losses = []
    for amp in ('off', 'on'):
        teaching, state = teach(replace(CONFIG, amp=amp))
        assert teaching.autocast == (amp == 'on')
        losses += learn(teaching, state, 1)
        assert all(weight.dtype == torch.float32 for weight in state.network.parameters())
    assert losses[1] == pytest.approx(losses[0], rel=0.1)
    assert losses[1] != losses[0]
