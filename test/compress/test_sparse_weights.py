# SPDX-License-Identifier: Apache-2.0
"""Zeros that stay zero and values that are shared, under an optimizer, copied, saved and plain."""

import copy

from hypothesis import given, strategies as st
from hypothesis.extra import numpy as st_np
import numpy as np
import pytest

torch = pytest.importorskip('torch')

from torch import nn  # noqa: E402

from vpr_ros.compress.compress_layers import LayerPlan, weight_of  # noqa: E402
from vpr_ros.compress.sparse_weights import (  # noqa: E402
    dress_like,
    largest,
    mask_weights,
    round_values,
    settled,
    share_weights,
)
from vpr_ros.errors import ModelError  # noqa: E402

FLOATS = st.floats(-1e3, 1e3, width=32, allow_nan=False)
PLANS = [LayerPlan('0', 0.5, 3), LayerPlan('2', 0.0, 2), LayerPlan('3', 0.25, 32)]
LEVELS = {'0': 8, '2': 4}


def made(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(72, 6), nn.Linear(6, 4))


def learn(network, steps=5):
    optimizer = torch.optim.AdamW(network.parameters(), 0.05)
    for step in range(steps):
        x = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad(set_to_none=True)
        network(x).square().mean().backward()
        optimizer.step()


def values(network, name):
    return weight_of(network.get_submodule(name)).detach().unique().tolist()


@given(st_np.arrays(np.float32, st.integers(1, 40), elements=FLOATS), st.floats(0.0, 0.99))
def test_the_largest_stay(weight, share):
    kept = largest(weight, share)
    assert kept.sum() == min(len(weight) - min(round(share * len(weight)), len(weight) - 1),
                             np.count_nonzero(weight))
    if kept.any() and not kept.all():
        assert np.abs(weight[kept]).min() >= np.abs(weight[~kept]).max()


@pytest.mark.parametrize(('weight', 'kept'), [
    ([3.0], [True]), ([0.0], [False]), ([0.0, 0.0], [False, False]),
    ([0.0, 1.0, 0.0], [False, True, False]), ([1.0, 1.0], [False, True])])
def test_one_weight_stays_unless_it_is_zero(weight, kept):
    assert largest(np.float32(weight), 0.9).tolist() in (kept, kept[::-1])


def test_masked_weights_are_what_they_were_until_they_learn():
    plain, network = made(), made()
    mask_weights(network, PLANS, 1.0)
    for name, share in (('0', 0.5), ('3', 0.25)):
        before, now = (weight_of(each.get_submodule(name)).detach() for each in (plain, network))
        assert float((now == 0.0).float().mean()) == pytest.approx(share, abs=1 / before.numel())
        assert torch.equal(now[now != 0.0], before[now != 0.0])
    assert torch.equal(network[2].weight, plain[2].weight)


def test_zeros_stay_zeros_and_all_else_learns():
    network = made()
    mask_weights(network, PLANS, 1.0)
    before = network[0].weight.detach().clone()
    learn(network)
    now = network[0].weight.detach()
    assert torch.equal(now == 0.0, before == 0.0)
    assert bool((now != before)[before != 0.0].all())
    assert not np.signbit(now[now == 0.0].numpy()).any()   # a file would know -0 from 0


def test_masks_grow_from_step_to_step():
    plain, network = made(), made()
    mask_weights(network, PLANS, 0.5)
    learn(network)
    half = settled(network, plain)
    again = copy.deepcopy(half)
    mask_weights(again, PLANS, 1.0)
    zero = half[0].weight == 0.0
    assert int(zero.sum()) == 54
    assert bool((again[0].weight == 0.0)[zero].all())
    assert int((again[0].weight == 0.0).sum()) == 108


def test_shared_weights_take_few_values_before_and_after_they_learn():
    plain, network = made(), made()
    mask_weights(network, PLANS, 1.0)
    network = settled(network, plain)
    zero = network[0].weight.detach() == 0.0
    share_weights(network, PLANS, 10, 0.0)
    first = {name: values(network, name) for name in LEVELS}
    members = network[0].weight.detach().clone()
    learn(network)
    for name, levels in LEVELS.items():
        assert len(values(network, name)) <= levels
        assert values(network, name) != first[name]
    now = network[0].weight.detach()
    assert torch.equal(now == 0.0, zero)
    # the same weights still go together
    assert len(torch.stack([now.flatten(), members.flatten()]).unique(dim=1).T) <= LEVELS['0']
    assert torch.equal(network[3].weight == 0.0, plain[3].weight.detach().abs()
                       <= plain[3].weight.detach().abs().flatten().kthvalue(6).values)


def test_values_learn_by_the_summed_gradient_of_their_members():
    network = made()
    share_weights(network, PLANS[1:2], 10, 0.0)
    part = network[2].parametrizations.weight
    wanted = torch.randn(6, 72, generator=torch.Generator().manual_seed(1))
    (network[2].weight * wanted).sum().backward()
    scale = float(part[0].scale)
    weight = network[2].weight.detach()
    for value, gradient in zip(part.original.detach() * scale, part.original.grad, strict=True):
        assert float(gradient) == pytest.approx(
            float(wanted[weight == value].sum()) * scale, rel=1e-4, abs=1e-5)


def test_all_zero_one_weight_and_few_weights():
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(1, 1), nn.Linear(3, 1))
    with torch.no_grad():
        network[0].weight.zero_()
    plain, plans = copy.deepcopy(network), [LayerPlan(name, 0.5, 8) for name in '012']
    mask_weights(network, plans, 1.0)
    network = settled(network, plain)
    share_weights(network, plans, 10, 0.0)
    assert values(network, '0') == [0.0]
    network[0](torch.ones(1, 4)).sum().backward()   # nothing to learn is no error
    assert torch.equal(network[1].weight, plain[1].weight)
    assert len(values(network, '2')) <= 3
    shared = settled(network, plain)
    assert torch.equal(shared[0].weight, plain[0].weight)


def test_weights_that_are_not_finite_are_refused():
    network = made()
    with torch.no_grad():
        network[2].weight[0, 0] = float('nan')
    with pytest.raises(ModelError, match='a weight is not finite'):
        share_weights(network, PLANS, 10, 0.0)


@pytest.mark.parametrize('kind', ['masked', 'shared'])
def test_copies_and_saved_states_are_the_same_network(kind):
    plain, network = made(), made()
    network[2].weight.requires_grad_(False)
    plain[2].weight.requires_grad_(False)
    if kind == 'masked':
        mask_weights(network, PLANS, 1.0)
    else:
        share_weights(network, PLANS, 10, 0.0)
    assert not any(p.requires_grad for p in network[2].parameters() if p is not network[2].bias)
    follower = copy.deepcopy(network)
    learn(network)
    again = copy.deepcopy(plain)
    dress_like(again, network.state_dict())
    again.load_state_dict(network.state_dict())
    frozen = {name for name, p in network.named_parameters() if not p.requires_grad}
    assert {name for name, p in again.named_parameters() if not p.requires_grad} == frozen
    for each in (again, network):   # and goes on alike
        learn(each)
    x = torch.randn(2, 3, 5, 5)
    assert torch.equal(again(x), network(x))
    assert not torch.equal(follower(x), network(x))
    shown = settled(network, plain)
    assert torch.equal(shown(x), network(x))
    assert list(shown.state_dict()) == list(plain.state_dict())
    assert [p.requires_grad for p in shown.parameters()] == [
        p.requires_grad for p in plain.parameters()]
    assert torch.equal(again(x), network(x))   # taking one apart leaves the other whole


def test_all_but_what_is_to_stay_floats_is_rounded_to_sixteen_bits():
    network = made()
    share_weights(network, PLANS, 10, 0.0)
    network = settled(network, made())
    floats, before = network[3].weight.detach().clone(), len(values(network, '0'))
    round_values(network, PLANS)
    assert torch.equal(network[3].weight, floats)
    for rounded in (network[0].bias, network[0].weight, network[2].weight):
        assert not (rounded.detach().numpy().view(np.uint32) & 0xFFFF).any()
        assert rounded.dtype is torch.float32
    assert len(values(network, '0')) <= before


def test_a_layer_of_any_name_is_found():
    network = nn.Module()
    network.inner = nn.ModuleDict({'a': nn.Linear(8, 8)})
    share_weights(network, [LayerPlan('inner.a', 0.0, 2)], 5, 0.0)
    assert len(values(network, 'inner.a')) == 4
