# SPDX-License-Identifier: Apache-2.0
"""How much must go until a target is met, with clocks that are told what to say."""

from dataclasses import replace

import pytest

torch = pytest.importorskip('torch')

from vpr_ros.compress import prune_trial  # noqa: E402
from vpr_ros.compress.prune_config import PruneConfig  # noqa: E402
from vpr_ros.compress.prune_groups import Part  # noqa: E402
from vpr_ros.compress.prune_points import Speed  # noqa: E402
from vpr_ros.compress.prune_trial import MOST_SPARSE, sparsity_for, Target, Trial  # noqa: E402
from vpr_ros.compress.prune_widths import channels_left  # noqa: E402
from vpr_ros.core.card import Preprocessing  # noqa: E402
from vpr_ros.core.precision import Precision  # noqa: E402
from vpr_ros.errors import ModelError  # noqa: E402
from vpr_ros.nets.export import card_of, write_model  # noqa: E402
from vpr_ros.nets.model_folder import WEIGHTS  # noqa: E402
from vpr_ros.nets.network import build_network  # noqa: E402

CLOSE = 0.02
HEAD = {'channels': 16, 'grid': 2}


@pytest.fixture(scope='module')
def parent(tmp_path_factory):
    """Return the folder of a tiny network of 64 numbers."""
    patch = pytest.MonkeyPatch()
    patch.setattr('vpr_ros.nets.export.export_onnx',
                  lambda network, preprocessing, path: path.write_bytes(b'no graph'))
    folder = tmp_path_factory.mktemp('parent') / 'model'
    torch.manual_seed(0)
    network = build_network('mobilenet_v2', 'features.4', 'convap', HEAD, 0.25)
    write_model(folder, network, card_of(network, 'tiny', 'mobilenet_v2', 'features.4', 'convap',
                                         HEAD, Preprocessing(32, 32), 'Apache-2.0'))
    patch.undo()
    return folder


@pytest.fixture
def trial(parent):
    return Trial.of(parent, PruneConfig(multiple=1, least=0.0))


class Clock:
    """Says of a network cut to a sparsity that it takes 10 (1 - sparsity) ms."""

    def __init__(self, monkeypatch, shape=lambda sparsity: 10.0 * (1.0 - sparsity)):
        self.asked, self.said = [], []

        def at(trial, sparsity):
            self.asked.append(sparsity)
            return sparsity
        monkeypatch.setattr(Trial, 'at', at)
        monkeypatch.setattr(Trial, 'total_ms', lambda trial, network, target: shape(network))
        monkeypatch.setattr(Trial, 'total_bytes',
                            lambda trial, network, target: 1e6 * (5.0 - 4.0 * network))


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.mark.parametrize('needed', [0.01, 0.1, 0.37, 0.5, 0.88])
def test_no_more_goes_than_is_needed(trial, clock, needed):
    found = sparsity_for(trial, Target(latency_ms=10.0 * (1.0 - needed)), clock.said.append)
    assert needed <= found <= needed + CLOSE
    assert found in clock.asked       # what is returned was measured, and met it
    assert len(clock.asked) <= 8
    assert len(clock.said) == len(clock.asked)
    assert clock.said[0].endswith(f'10.00 ms (wanted: {10.0 * (1.0 - needed):g})')


def test_a_limit_that_is_just_met_is_met(trial, clock):
    assert sparsity_for(trial, Target(latency_ms=10.0), clock.said.append) == 0.0
    assert clock.asked == [0.0]


def test_what_the_dense_network_meets_needs_no_cut(trial, clock):
    assert sparsity_for(trial, Target(latency_ms=11.0, memory_bytes=6e6), print) == 0.0


def test_nothing_asked_is_the_sparsity_of_the_knobs(trial, clock):
    trial = replace(trial, config=PruneConfig(sparsity=0.3))
    assert sparsity_for(trial, Target(), print) == 0.3
    assert clock.asked == []


@pytest.mark.parametrize(('latency_ms', 'memory_bytes', 'needed'), [
    (7.0, 2e6, 0.75), (2.0, 4e6, 0.8), (11.0, 4e6, 0.25), (4.0, 6e6, 0.6)])
def test_of_two_targets_the_harder_one_counts(trial, clock, latency_ms, memory_bytes, needed):
    found = sparsity_for(trial, Target(latency_ms, memory_bytes), clock.said.append)
    assert needed - 1e-9 <= found <= needed + CLOSE


@pytest.mark.parametrize(('target', 'gamma', 'complaint'), [
    (Target(latency_ms=0.5), 0.0, r'0\.5 ms cannot be met: the dense network takes 10\.00, and '
     r'without 90% of its channels 1\.00\. Choose a smaller network.*vpr quantize'),
    (Target(memory_bytes=1e6), 0.0, r'1 MB cannot be met: the dense network takes 5\.00, and '
     r'without 90% of its channels 1\.40\. .*raise --gamma'),
    (Target(memory_bytes=1e6), 1.0, r'1 MB cannot be met.*--map-precision, or .*--map-places')])
def test_what_cannot_be_met_is_said_with_what_can(trial, clock, target, gamma, complaint):
    trial = replace(trial, config=replace(trial.config, gamma=gamma))
    with pytest.raises(ModelError, match=complaint):
        sparsity_for(trial, target, clock.said.append)
    assert clock.asked == [0.0, MOST_SPARSE]


def test_a_target_at_the_very_end_can_be_met(trial, clock):
    assert sparsity_for(trial, Target(latency_ms=1.0000001), print) == MOST_SPARSE


def test_the_memory_of_a_cut_is_its_weights_and_map(trial, parent):
    dense = (parent / WEIGHTS).stat().st_size
    places = Target(memory_bytes=1.0, map_places=1000)
    assert trial.total_bytes(trial.network, places) == dense + 1000 * 64 * 4
    small = replace(places, map_precision=Precision.INT8)
    assert trial.total_bytes(trial.network, small) == dense + 1000 * 64
    half = replace(trial, config=PruneConfig(gamma=1.0, multiple=1)).at(0.5)
    weights = 4 * sum(t.numel() for t in half.state_dict().values())
    assert trial.total_bytes(half, places) - 1000 * 32 * 4 == pytest.approx(weights, abs=8000)


def test_a_map_is_met_in_bytes(trial, parent):
    """With gamma 1 and a large map, memory is the descriptor's: 64 (1 - s) numbers a place."""
    trial = replace(trial, config=PruneConfig(gamma=1.0, multiple=1, least=0.0))
    wanted = (parent / WEIGHTS).stat().st_size + 100_000 * 40 * 4   # 10 of 16 channels
    target = Target(memory_bytes=wanted, map_places=100_000)
    found = sparsity_for(trial, target, lambda _: None)
    assert trial.total_bytes(trial.at(found), target) <= wanted
    assert trial.total_bytes(trial.at(found - CLOSE - 0.01), target) > wanted
    assert trial._card(trial.at(found), 'x').dim == 40


def test_the_parent_is_left_as_it_is(trial):
    weights = {name: tensor.clone() for name, tensor in trial.network.state_dict().items()}
    smaller = trial.at(0.5)
    assert sum(p.numel() for p in smaller.parameters()) < sum(
        p.numel() for p in trial.network.parameters())
    assert all(map(torch.equal, weights.values(), trial.network.state_dict().values()))
    assert sum(p.numel() for p in trial.at(0.0).parameters()) == sum(
        p.numel() for p in trial.network.parameters())


def test_gradients_are_stood_in_for_by_norms(parent):
    by_norm, by_gradient = (
        Trial.of(parent, PruneConfig(criterion=criterion)).at(0.5).state_dict()
        for criterion in ('l2', 'taylor'))
    assert all(map(torch.equal, by_norm.values(), by_gradient.values()))


@pytest.fixture
def by_parameters(monkeypatch):
    """Measure a network by its weights, a ms a thousand; no folder is written."""
    written = []

    def write(trial, network, folder):
        written.append(network)
        return folder

    def speed(folder, parent, places, engine, kept):
        ms, dense = (sum(p.numel() for p in net.parameters()) / 1e3
                     for net in (written[-1], written[0]))
        return Speed(engine, ms, dense, places / 1e4, 3.0, places)
    monkeypatch.setattr(Trial, 'write', write)
    monkeypatch.setattr(prune_trial, 'speed_of', speed)
    return written


def test_time_is_of_the_picture_and_the_search(trial, by_parameters):
    whole = sum(p.numel() for p in trial.network.parameters()) / 1e3
    assert trial.total_ms(trial.network, Target(map_places=5000)) == pytest.approx(whole + 0.5)


def test_prices_are_what_half_of_a_group_saves(trial, by_parameters):
    by_parameters.append(trial.network)   # the parent
    said = []
    prices = trial.prices(Target(), said.append)
    inner = [group for group in trial.groups if group.part is not Part.DESCRIPTOR]
    assert list(prices) == [group.name for group in inner]
    assert min(prices.values()) > 0.0
    assert len(said) == len(inner)
    assert said[-1].startswith(f'{len(inner)}/{len(inner)}  half of {inner[-1].name} saves ')
    # the one group: a layer (in x out), its norm and its followers
    name, before, after = inner[0].name, trial.network, by_parameters[1]
    assert after.get_submodule(name).weight.shape[0] == round(0.5 * inner[0].channels)
    assert prices[name] == pytest.approx(
        (sum(p.numel() for p in before.parameters())
         - sum(p.numel() for p in after.parameters())) / 1e3)


def test_what_makes_no_network_faster_is_worth_nothing(trial, monkeypatch, by_parameters):
    monkeypatch.setattr(prune_trial, 'speed_of', lambda *_: Speed('', 2.0, 1.0, 0.1, 0.1, 10))
    assert set(trial.prices(Target(), lambda _: None).values()) == {0.0}


def test_where_time_is_saved_channels_go(parent, trial, by_parameters):
    by_parameters.append(trial.network)
    trial = Trial.of(parent, PruneConfig(allocation='latency', multiple=1))
    with pytest.raises(ModelError, match='needs to know what each group costs'):
        trial.at(0.5)
    names = [group.name for group in trial.groups if group.part is not Part.DESCRIPTOR]
    one = dict.fromkeys(names, 1e-6) | {names[0]: 1.0}
    smaller = replace(trial, saved_ms=one).at(0.4)
    left = {group.name: smaller.get_submodule(group.name).weight.shape[0]
            for group in trial.groups}
    assert left[names[0]] < 0.7 * next(g.channels for g in trial.groups if g.name == names[0])
    assert all(left[group.name] == group.channels for group in trial.groups
               if group.name in names[1:])
    scores = {group.name: torch.ones(group.channels).numpy() for group in trial.groups}
    assert channels_left(trial.groups, scores, trial.config.plan(0.0), one)[names[1]] == next(
        g.channels for g in trial.groups if g.name == names[1])


@pytest.mark.parametrize(('asked', 'complaint'), [
    ({'latency_ms': 0.0}, '--target-latency-ms must be positive'),
    ({'latency_ms': float('nan')}, '--target-latency-ms must be positive'),
    ({'memory_bytes': -1.0}, '--target-memory-mb must be positive'),
    ({'map_places': 0}, '--map-places must be at least 1, not 0')])
def test_a_target_that_is_none_is_refused(asked, complaint):
    with pytest.raises(ModelError, match=complaint):
        Target(**asked)


def test_a_target_knows_what_it_asks():
    assert not Target().asks
    assert Target(latency_ms=3.0).asks
    assert Target(memory_bytes=3.0).asked == (None, 3.0)
