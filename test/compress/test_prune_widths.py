# SPDX-License-Identifier: Apache-2.0
"""How many channels stay: by hand in small cases, by rules in all."""

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.compress.prune_graph import groups_of
from vpr_ros.compress.prune_groups import Group, Member, Part
from vpr_ros.compress.prune_widths import ALLOCATIONS, channels_left, Plan, strongest
from vpr_ros.errors import ModelError

HEADS = ('gem', 'gem-linear', 'convap', 'grid', 'mixvpr', 'netvlad', 'netvlad-reduce',
         'netvlad-whiten', 'netvlad-both', 'boq')


def group(name, channels, part=Part.BACKBONE, few=False):
    return Group(name, channels, (Member(name, 'out'),), part, few)


def flat(groups):
    return {each.name: np.ones(each.channels) for each in groups}


@pytest.mark.parametrize(('channels', 'sparsity', 'multiple', 'left'), [
    (64, 0.5, 8, 32), (64, 0.3, 8, 48), (64, 0.3, 1, 45), (64, 0.3, 16, 48), (64, 0.3, 64, 64),
    (64, 0.9, 8, 8), (64, 0.99, 1, 7),          # no fewer than a tenth
    (96, 0.9, 8, 16), (80, 0.9, 8, 8),          # a tenth of 96 is more than 8
    (100, 0.02, 8, 100), (100, 0.03, 8, 96),    # dense is no multiple and nearer, or not
    (12, 0.5, 8, 8), (12, 0.1, 8, 12), (6, 0.9, 8, 6), (8, 0.9, 8, 8), (6, 0.5, 1, 3),
    (20, 0.4, 8, 16)])                          # 12 is as near to 16 as to 8: the larger
def test_widths_are_the_nearest_multiples(channels, sparsity, multiple, left):
    groups = [group('a', channels)]
    plan = Plan(sparsity, multiple=multiple)
    assert channels_left(groups, flat(groups), plan) == {'a': left}


def test_rows_and_clusters_are_counted_one_by_one():
    groups = [group('clusters', 6, Part.HEAD, few=True), group('a', 6, Part.HEAD)]
    assert channels_left(groups, flat(groups), Plan(0.5)) == {'clusters': 3, 'a': 6}
    assert channels_left(groups, flat(groups), Plan(0.97))['clusters'] == 1


@pytest.mark.parametrize(('gamma', 'left'), [(0.0, 512), (0.25, 448), (0.5, 384), (1.0, 256)])
def test_gamma_says_how_fast_the_descriptor_shrinks(gamma, left):
    groups = [group('a', 512), group('d', 512, Part.DESCRIPTOR)]
    assert channels_left(groups, flat(groups), Plan(0.5, gamma)) == {'a': 256, 'd': left}


def test_two_groups_of_a_descriptor_share_what_it_loses():
    groups = [group('d', 512, Part.DESCRIPTOR), group('rows', 100, Part.DESCRIPTOR, few=True)]
    left = channels_left(groups, flat(groups), Plan(0.36, 1.0, multiple=1))
    assert left == {'d': 410, 'rows': 80}   # .8 of each: .64 of the product
    assert channels_left(groups, flat(groups), Plan(0.36, 0.0)) == {'d': 512, 'rows': 100}


def test_groups_side_by_side_in_the_map_lose_the_same_share_of_it():
    groups = [group(f'backbone.{name}', 64, Part.DESCRIPTOR) for name in ('a', 'b')]
    assert channels_left(groups, flat(groups), Plan(0.5, 1.0)) == {
        'backbone.a': 32, 'backbone.b': 32}


@pytest.mark.parametrize('head', HEADS)
def test_gamma_changes_the_dimension_of_every_aggregator(make_dense, prune_by, images, head):
    network = make_dense(head, cut='features.4', width_mult=0.5)
    dim = network(images).shape[1]
    dims = [prune_by(network, Plan(0.5, gamma, multiple=1))[0](images).shape[1]
            for gamma in (0.0, 0.5, 1.0)]
    assert dims[0] == dim
    for left, share in zip(dims[1:], (0.75, 0.5), strict=True):
        assert left == pytest.approx(share * dim, rel=0.13)   # few rows or clusters: in steps


@pytest.mark.parametrize('head', ['convap', 'netvlad', 'mixvpr', 'boq'])
def test_shares_are_of_the_dense_network_however_often_it_is_pruned(
        make_dense, prune_by, images, head):
    network = make_dense(head, width_mult=0.5)
    dense = groups_of(network)
    plans = [Plan(share, 1.0, multiple=1) for share in (0.2, 0.35, 0.5)]
    stepwise = network
    for plan in plans:
        stepwise, _ = prune_by(stepwise, plan, dense=dense)
    at_once, _ = prune_by(network, plans[-1], dense=dense)
    assert [each.channels for each in groups_of(stepwise)] == [
        each.channels for each in groups_of(at_once)]
    assert stepwise(images).shape == at_once(images).shape
    _, kept = prune_by(stepwise, plans[0], dense=dense)   # less than what is gone already
    assert all(mask.all() for mask in kept.values())


# Global: a has 2 channels that matter less than all of b.
A, B = group('a', 4), group('b', 4)
SCORES = {'a': np.array([0.1, 1.9, 0.2, 1.8]), 'b': np.array([1.1, 0.9, 0.6, 1.4])}


@pytest.mark.parametrize(('sparsity', 'left'), [
    (0.0, (4, 4)), (0.125, (3, 4)), (0.25, (2, 4)), (0.375, (2, 3)), (0.5, (2, 2)),
    (0.3, (2, 3))])   # at least as much as asked
def test_global_takes_the_lowest_scores_of_all(sparsity, left):
    plan = Plan(sparsity, allocation='global', multiple=1)
    assert tuple(channels_left([A, B], SCORES, plan).values()) == left


def test_global_takes_whole_multiples_by_their_mean_score():
    plan = Plan(0.25, allocation='global', multiple=2)   # a: .3, b: 1.5
    assert channels_left([A, B], SCORES, plan) == {'a': 2, 'b': 4}


def test_global_first_takes_what_is_above_a_multiple():
    groups = [group('a', 20), group('b', 20)]
    scores = {'a': np.full(20, 0.5), 'b': np.ones(20)}
    plan = Plan(0.1, allocation='global')
    assert channels_left(groups, scores, plan) == {'a': 16, 'b': 20}
    assert channels_left(groups, scores, Plan(0.3, allocation='global')) == {'a': 8, 'b': 20}


def test_global_leaves_each_group_its_least():
    scores = {'a': np.full(4, 1e-6), 'b': np.ones(4)}
    plan = Plan(0.5, allocation='global', multiple=1, least=0.5)
    assert channels_left([A, B], scores, plan) == {'a': 2, 'b': 2}
    plan = Plan(0.9, allocation='global', multiple=1, least=0.0)
    assert channels_left([A, B], scores, plan) == {'a': 1, 'b': 1}   # one is always left


def test_global_leaves_the_descriptor_to_gamma():
    groups = [A, B, group('d', 4, Part.DESCRIPTOR)]
    scores = {**SCORES, 'd': np.full(4, 1e-9)}
    plan = Plan(0.5, 0.5, allocation='global', multiple=1)
    assert channels_left(groups, scores, plan) == {'a': 2, 'b': 2, 'd': 3}


def test_latency_prefers_the_groups_that_cost_time():
    plan = Plan(0.25, allocation='latency', multiple=1)
    # A channel of a costs .4 ms, one of b 4.5: of 19.6 ms a quarter goes with two of b, though
    # the scores of a are lower: .1 / .4 is more than .9 / 4.5.
    left = channels_left([A, B], SCORES, plan, {'a': 0.8, 'b': 9.0})
    assert left == {'a': 4, 'b': 2}
    # Equal costs: as global.
    assert channels_left([A, B], SCORES, plan, {'a': 3.0, 'b': 3.0}) == {'a': 2, 'b': 4}


def test_latency_leaves_alone_what_saves_nothing():
    plan = Plan(0.5, allocation='latency', multiple=1)
    assert channels_left([A, B], SCORES, plan, {'a': -0.1, 'b': 2.0}) == {'a': 4, 'b': 2}


@pytest.mark.parametrize(('saved', 'missing'), [(None, 'a'), ({'a': 1.0}, 'b')])
def test_latency_without_its_measurements_is_refused(saved, missing):
    with pytest.raises(ModelError, match=f'what each group costs, and {missing} was not measured'):
        channels_left([A, B], SCORES, Plan(0.5, allocation='latency'), saved)


@st.composite
def networks(draw):
    groups = [group(f'g{i}', draw(st.integers(1, 70)), draw(st.sampled_from(Part)),
                    draw(st.booleans())) for i in range(draw(st.integers(1, 6)))]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    scores = {each.name: rng.random(each.channels) for each in groups}
    saved = {each.name: float(rng.random()) for each in groups}
    knobs = {'gamma': draw(st.floats(0.0, 1.0)), 'allocation': draw(st.sampled_from(ALLOCATIONS)),
             'multiple': draw(st.integers(1, 17)), 'least': draw(st.floats(0.0, 1.0))}
    return groups, scores, saved, knobs


SHARES = st.floats(0.0, 0.999)


@given(networks(), SHARES, SHARES)
def test_more_sparsity_never_leaves_more(network, share, other):
    groups, scores, saved, knobs = network
    low, high = sorted([share, other])
    less, more = (channels_left(groups, scores, Plan(each, **knobs), saved)
                  for each in (low, high))
    assert all(more[name] <= less[name] for name in less)


@given(networks(), SHARES)
def test_widths_are_such_as_a_group_can_have(network, share):
    groups, scores, saved, knobs = network
    left = channels_left(groups, scores, Plan(share, **knobs), saved)
    for each in groups:
        count = left[each.name]
        assert 1 <= count <= each.channels
        assert count >= knobs['least'] * each.channels - 1e-6
        assert each.few or count % knobs['multiple'] == 0 or count == each.channels


@given(networks())
def test_no_sparsity_leaves_all(network):
    groups, scores, saved, knobs = network
    left = channels_left(groups, scores, Plan(0.0, **knobs), saved)
    assert left == {each.name: each.channels for each in groups}


@given(networks(), SHARES, SHARES)
@settings(max_examples=50)
def test_a_pruned_network_never_grows(network, first, second):
    groups, scores, saved, knobs = network
    left = channels_left(groups, scores, Plan(first, **knobs), saved)
    now = {name: np.sort(scores[name])[-count:] for name, count in left.items()}
    again = channels_left(groups, now, Plan(second, **knobs), saved)
    assert all(again[name] <= left[name] for name in left)


@given(networks(), SHARES)
def test_global_and_latency_take_no_more_than_a_step_too_much(network, share):
    groups, scores, saved, knobs = network
    inner = [each for each in groups if each.part is not Part.DESCRIPTOR]
    if knobs['allocation'] == 'uniform' or not inner:
        return
    left = channels_left(inner, scores, Plan(share, **knobs), saved)
    price = {each.name: 1.0 if knobs['allocation'] == 'global'
             else saved[each.name] / each.channels for each in inner}
    total = sum(price[each.name] * each.channels for each in inner)
    spent = sum(price[name] * count for name, count in left.items())
    step = max(price[each.name] * min(knobs['multiple'], each.channels) for each in inner)
    assert spent >= (1.0 - share) * total - step - 1e-9


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20), st.data())
def test_the_strongest_stay_and_of_equals_the_first(scores, data):
    count = data.draw(st.integers(1, len(scores)))
    kept = strongest(np.array(scores, np.float64), count)
    wanted = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:count]
    assert np.flatnonzero(kept).tolist() == sorted(wanted)


@pytest.mark.parametrize(('knobs', 'said'), [
    ({'sparsity': 1.0}, 'sparsity must be at least 0 and below 1, not 1.0'),
    ({'sparsity': -0.1}, 'sparsity must be at least 0'),
    ({'sparsity': float('nan')}, 'sparsity must be at least 0 and below 1, not nan'),
    ({'sparsity': 0.5, 'gamma': -0.1}, 'gamma must be 0 or more'),
    ({'sparsity': 0.5, 'allocation': 'fair'},
     "allocation 'fair' is not known; choose one of uniform, global, latency"),
    ({'sparsity': 0.5, 'multiple': 0}, 'widths are multiples of 1 or more, not of 0'),
    ({'sparsity': 0.5, 'least': -1.0}, 'least must be between 0 and 1')])
def test_a_plan_that_cannot_be_is_refused(knobs, said):
    with pytest.raises(ModelError, match=said):
        Plan(**knobs)
