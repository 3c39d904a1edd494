# SPDX-License-Identifier: Apache-2.0
"""What each layer bears, and proposals within a budget."""

import copy
import json

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

torch = pytest.importorskip('torch')

from vpr_ros.compress import compress_scan  # noqa: E402
from vpr_ros.compress.compress_config import CompressRun  # noqa: E402
from vpr_ros.compress.compress_folder import SCAN  # noqa: E402
from vpr_ros.compress.compress_layers import LayerPlan, weight_of  # noqa: E402
from vpr_ros.compress.compress_scan import Budget, scanned_plans  # noqa: E402
from vpr_ros.compress.finetune_data import Pictures  # noqa: E402
from vpr_ros.compress.prune_judge import Judge  # noqa: E402
from vpr_ros.compress.self_labelled import self_labelled  # noqa: E402
from vpr_ros.compress.sensitivity import (  # noqa: E402
    BITS,
    LayerScan,
    proposal,
    proposal_for_recall,
    scan,
    SHARES,
)
from vpr_ros.core.card import Preprocessing  # noqa: E402
from vpr_ros.errors import ModelError  # noqa: E402
from vpr_ros.nets.export import card_of, write_model  # noqa: E402


def rising(values):
    return tuple(sorted(values))


TURNS = st.floats(0.0, 0.2)
SCANS = st.lists(st.builds(
    lambda weights, pruned, few: LayerScan('x', weights, rising(pruned), rising(few)[::-1]),
    st.integers(1, 10_000), st.lists(TURNS, min_size=len(SHARES), max_size=len(SHARES)),
    st.lists(TURNS, min_size=len(BITS), max_size=len(BITS))), min_size=1, max_size=5)


def total(scans, plans):
    return sum(one.turned(plan.prune, plan.bits) for one, plan in zip(scans, plans, strict=True))


def taken(scans, plans):
    return sum(one.bits_taken(plan.prune, plan.bits)
               for one, plan in zip(scans, plans, strict=True))


@settings(deadline=None)
@given(SCANS, st.floats(1e-4, 1.0), st.floats(1.0, 10.0))
def test_proposals_stay_within_their_budget_and_more_of_it_never_costs_bits(scans, budget, more):
    least = sum(min(one.turned(share, bits) for share in (0.0, *SHARES) for bits in BITS)
                for one in scans)
    plans, richer = proposal(scans, budget), proposal(scans, budget * more)
    if least <= budget:
        assert total(scans, plans) <= budget + 1e-9
    assert taken(scans, richer) <= taken(scans, plans) + 1e-6


def test_a_layer_that_bears_more_is_compressed_more():
    tough = LayerScan('a', 1000, (1e-6,) * 5, (1e-6,) * 6)
    frail = LayerScan('b', 1000, (0.01, 0.02, 0.1, 0.3, 0.6), (0.5, 0.2, 0.1, 0.05, 0.01, 1e-4))
    assert proposal([tough, frail], 0.001) == [LayerPlan('a', 0.9, 2), LayerPlan('b', 0.0, 8)]
    assert proposal([tough, frail], 100.0) == [LayerPlan('a', 0.9, 2), LayerPlan('b', 0.9, 2)]


def test_the_furthest_proposal_that_recalls_enough_is_taken():
    one = LayerScan('a', 1000, (0.01, 0.02, 0.1, 0.3, 0.6), (0.5, 0.2, 0.1, 0.05, 0.01, 1e-4))

    def recall(plans):   # as if what is turned were lost
        return 0.9 - total([one], plans)
    said = []
    plans, disagreement = proposal_for_recall([one], 10.0, 0.9, recall, said.append)
    assert 0.0 < total([one], plans) <= disagreement <= 0.2
    assert 100.0 * (0.9 - recall(plans)) <= 10.0
    assert any('points of recall@1 lost before learning' in line for line in said)
    with pytest.raises(ModelError, match='even the most cautious proposal loses more than 1 '
                       'points of recall@1'):
        proposal_for_recall([one], 1.0, 0.9, lambda plans: 0.5, said.append)


@pytest.fixture(scope='module')
def network(make_dense):
    return make_dense('convap')


def test_a_layer_turns_descriptors_the_more_the_less_is_left(network, images):
    plans = [LayerPlan(name, 0.5, 8) for name in ('aggregator.conv',
                                                  'backbone.features.2.conv.0.0')]
    before = copy.deepcopy(network.state_dict())
    found = list(scan(network, plans, images, 10, 0.0))
    assert [one.name for one in found] == [plan.name for plan in plans]
    for one in found:
        assert one.weights == weight_of(network.get_submodule(one.name)).numel()
        assert 0.0 < one.pruned[0] < one.pruned[-1]
        assert one.shared[0] > one.shared[-1] >= 0.0
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.fixture
def run(network, tmp_path, monkeypatch):
    """Return what scans a tiny model: run(budget, **knobs)."""
    monkeypatch.setattr('vpr_ros.nets.export.export_onnx',
                        lambda network, preprocessing, path: path.write_bytes(b'no graph'))
    head = {'channels': 24, 'grid': 2}
    plain = copy.deepcopy(network)
    write_model(tmp_path / 'model', plain, card_of(
        plain, 'tiny', 'mobilenet_v2', 'features.4', 'convap', head, Preprocessing(32, 32), '-'))
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (48, 48, 3), np.uint8) for _ in range(10)]

    def scanned(budget=None, **knobs):
        return scanned_plans(
            tmp_path / 'model', Pictures(pictures), Judge([self_labelled(pictures)]),
            CompressRun.read(None, fewest=100, scan_pictures=4, **knobs), tmp_path / 'out',
            budget=None if budget is None else Budget(budget), say=lambda _: None)
    return scanned


def test_a_scan_that_was_stopped_goes_on(run, tmp_path, monkeypatch):
    whole = compress_scan.scan

    def stopping(*args):
        for row, one in enumerate(whole(*args)):
            if row == 2:
                raise KeyboardInterrupt
            yield one
    monkeypatch.setattr(compress_scan, 'scan', stopping)
    with pytest.raises(KeyboardInterrupt):
        run()
    monkeypatch.setattr(compress_scan, 'scan', whole)
    first = json.loads((tmp_path / 'out' / SCAN).read_text())['layers']
    assert len(first) == 2
    assert run() is None
    found = json.loads((tmp_path / 'out' / SCAN).read_text())
    assert found['layers'][:2] == first
    assert found['pictures'] == 4
    assert len(found['layers']) > 2


def test_a_budget_makes_a_proposal_once_and_patterns_hold(run, monkeypatch):
    plans = run(100.0, layers=['aggregator.*=0.25,7'])
    assert plans[-1] == LayerPlan('aggregator.conv', 0.25, 7)
    assert plans[0].prune == 0.9
    assert plans[0].bits == 2
    monkeypatch.setattr(compress_scan, 'proposal_for_recall', None)   # it is known
    assert run(100.0, layers=['aggregator.*=0.25,7']) == plans


@pytest.mark.parametrize('points', [-1.0, 101.0, float('nan')])
def test_a_budget_that_cannot_be_is_refused(points):
    with pytest.raises(ModelError, match='--budget is points of recall@1 that may be lost'):
        Budget(points)
