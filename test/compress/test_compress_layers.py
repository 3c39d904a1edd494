# SPDX-License-Identifier: Apache-2.0
"""Which layers are compressed how far, as patterns say it, and what is refused."""

from hypothesis import given, strategies as st
import pytest

torch = pytest.importorskip('torch')

from torch import nn  # noqa: E402

from vpr_ros.compress.compress_config import CompressConfig, CompressRun, stages_of  # noqa: E402
from vpr_ros.compress.compress_layers import (  # noqa: E402
    LayerPlan,
    overridden,
    plans_of,
    weighty_layers,
    Wish,
)
from vpr_ros.errors import ModelError  # noqa: E402

HEAD = 'aggregator.assign', 'aggregator.centroids'


def said(network, *texts, fewest=1, prune=0.5, bits=8):
    plans = plans_of(network, prune, bits, fewest, [Wish.parse(text) for text in texts])
    return {plan.name: (plan.prune, plan.bits) for plan in plans}


@pytest.fixture(scope='module')
def network(make_dense):
    return make_dense('netvlad')


def test_convolutions_linears_and_centroids_are_compressed(network, make_dense):
    assert set(HEAD) < set(weighty_layers(network, 1))
    assert all(not isinstance(layer, nn.BatchNorm2d)
               for layer in weighty_layers(network, 1).values())
    assert 'aggregator.blocks.0.queries' in weighty_layers(make_dense('boq'), 1)
    assert 'aggregator.blocks.0.norm_out' not in weighty_layers(make_dense('boq'), 1)
    many = weighty_layers(network, 200)
    assert many
    assert all(layer.weight.numel() >= 200 for layer in many.values())


def test_patterns_say_otherwise_for_some(network):
    otherwise = said(network)['backbone.features.0.0'][0]
    plans = said(network, 'aggregator.*=0.7,5', 'backbone.features.0.0=,32',
                 'backbone.features.1.*=0.25')
    assert plans['aggregator.centroids'] == (0.7, 5)
    assert plans['backbone.features.0.0'] == (otherwise, 32)
    assert plans['backbone.features.1.conv.1'] == (0.25, 8)
    assert plans['backbone.features.2.conv.2'] == (otherwise, 8)


@given(st.floats(0.0, 0.95))
def test_depthwise_layers_keep_their_weights_and_others_make_up_for_them(prune):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 32, 1),
                            nn.Linear(32, 16))
    weights = {name: layer.weight.numel() for name, layer in network.named_children()}
    plans = said(network, prune=prune)
    assert plans['1'][0] == 0.0
    assert len({plans[name][0] for name in '023'}) == 1
    assert prune <= plans['0'][0] < 1.0
    gone = sum(plans[name][0] * count for name, count in weights.items())
    if plans['0'][0] < 0.5 * (1.0 + prune):
        assert gone == pytest.approx(prune * sum(weights.values()))
    assert said(network, '1=0.25', prune=prune)['1'] == (0.25, 8)


def test_where_all_is_depthwise_it_is_pruned_like_any_layer():
    network = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(4, 4, 3, groups=4))
    assert said(network) == {'0': (0.5, 8), '1': (0.5, 8)}


def test_a_convolution_of_one_channel_is_not_depthwise():
    assert said(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Linear(4, 4)))['0'] == (0.5, 8)


def test_patterns_may_agree_and_add_up(network):
    plans = said(network, 'aggregator.*=0.7', '*.centroids=,5', 'aggregator.c*=0.7,5')
    assert plans['aggregator.centroids'] == (0.7, 5)


@pytest.mark.parametrize(('texts', 'complaint'), [
    (('*=0.3', 'aggregator.*=0.7'), r'--layer \* says prune 0.3 of aggregator.assign and --layer '
     r'aggregator\.\* says 0.7; make one of the patterns narrower'),
    (('*=,3', 'aggregator.*=0.3,7'), 'says bits 3 of aggregator.assign'),
    (('backbone.layer1.*=0.3',), r'--layer backbone.layer1.\* fits no layer; there are '
     'backbone.features.0.0'),
    (('aggregator.*=1.0',), r'layer aggregator.\*: the share of weights to prune must be at '
     'least 0 and below 1, not 1'),
    (('aggregator.*=0.5,9',), r'weights are shared in 2 to 8 bits, or stay floats with 32, not '
     'in 9'),
    (('aggregator.*=0.5,1',), 'not in 1'), (('aggregator.*=0.5,16',), 'not in 16'),
    (('aggregator.*=nan',), 'not nan'),
    (('aggregator.*=half',), "'half' is no share and number of bits"),
    (('aggregator.*=0.5,8.5',), 'is no share and number of bits'),
    (('aggregator.*',), 'says nothing of a layer; give PATTERN=prune,bits'),
    (('=0.5',), 'says nothing of a layer'), (('aggregator.*=,',), 'says nothing of a layer'),
    (('aggregator.*=1,2,3',), 'says nothing of a layer')])
def test_patterns_that_cannot_be_are_refused(network, texts, complaint):
    with pytest.raises(ModelError, match=complaint):
        said(network, *texts)


def test_a_pattern_of_small_layers_alone_says_what_to_do(network):
    with pytest.raises(ModelError, match=r'aggregator.assign, to which --layer aggregator.a\* '
                       'fits, has fewer than 100 weights and stays as it is; lower fewest'):
        said(network, 'aggregator.a*=0.5', fewest=100)


def test_networks_without_such_layers_are_refused():
    with pytest.raises(ModelError, match='no layer of the network has 10 weights or more'):
        said(nn.Sequential(nn.Linear(3, 3)), fewest=10)
    with pytest.raises(ModelError, match='0 is empty, it has no weights'):
        said(nn.Sequential(nn.Linear(0, 3)))


def test_a_proposal_is_overridden_by_what_is_said():
    plans = [LayerPlan('a', 0.3, 4), LayerPlan('b', 0.9, 2)]
    assert overridden(plans, [Wish.parse('b=0.5')]) == [plans[0], LayerPlan('b', 0.5, 2)]


@pytest.mark.parametrize(('knobs', 'complaint'), [
    ({'prune': 1.0}, 'prune: the share of weights to prune'), ({'prune': -0.1}, 'not -0.1'),
    ({'bits': 9}, 'bits: weights are shared in 2 to 8 bits'), ({'bits': 0}, 'not in 0'),
    ({'steps': 0}, 'steps must be at least 1'), ({'fewest': 0}, 'fewest must be at least 1'),
    ({'rounds': -1}, 'rounds must be at least 0'), ({'coarse': float('nan')}, 'coarse must be 0'),
    ({'scan_pictures': 0}, 'scan_pictures must be'),
    ({'value_bits': 8}, 'must be 16 or 32, not 8'),
    ({'schedule': 'square'}, "schedule 'square' is not known; choose one of linear, cubic"),
    ({'layers': ('x',)}, "--layer 'x' says nothing")])
def test_knobs_that_cannot_be_are_refused(knobs, complaint):
    with pytest.raises(ModelError, match=complaint):
        CompressConfig(**knobs)


def test_a_file_says_some_and_the_command_more(tmp_path):
    file = tmp_path / 'compress.yaml'
    file.write_text('prune: 0.7\nlayers: ["aggregator.*=0.5,5"]\nlearning_rate: 0.01\n')
    run = CompressRun.read(file, bits=5)
    assert run.compress == CompressConfig(0.7, 5, ('aggregator.*=0.5,5',))
    assert run.learn.learning_rate == 0.01
    with pytest.raises(ModelError, match='the command has unknown keys: bit'):
        CompressRun.read(None, bit=5)


def kinds(config, *plans):
    return [(stage.kind, stage.progress) for stage in stages_of(config, plans)]


def test_steps_are_those_that_have_something_to_do():
    both, pruned, few = LayerPlan('a', 0.5, 8), LayerPlan('a', 0.5, 32), LayerPlan('a', 0.0, 4)
    two = CompressConfig(steps=2, schedule='linear')
    assert kinds(two, both) == [('dense', 0.0), ('pruned', 0.5), ('pruned', 1.0), ('shared', 1.0)]
    assert kinds(two, pruned) == kinds(two, both)[:3]
    assert kinds(two, few) == [('dense', 0.0), ('shared', 1.0)]
    assert kinds(two, pruned, few) == kinds(two, both)
    with pytest.raises(ModelError, match=r'nothing is to be pruned and all weights are to stay '
                       r'floats \(32 bits\), so nothing becomes smaller'):
        stages_of(two, [LayerPlan('a', 0.0, 32)])
