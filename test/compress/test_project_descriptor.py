# SPDX-License-Identifier: Apache-2.0
"""A descriptor along its principal axes: what must stay, what may go, what cannot be had."""

from dataclasses import replace

from hypothesis import given, settings, strategies as st
import pytest

torch = pytest.importorskip('torch')

from vpr_ros.compress.project_descriptor import (  # noqa: E402
    Axes,
    channels_for,
    given_by,
    turned,
    with_last_linear,
)
from vpr_ros.core.card import Preprocessing  # noqa: E402
from vpr_ros.errors import ModelError  # noqa: E402
from vpr_ros.nets.export import card_of  # noqa: E402
from vpr_ros.nets.network import build_network, rebuild  # noqa: E402

PRE = Preprocessing(32, 32)
HEADS = {
    'grid': ('grid', {'grid': 2}),
    'unit grid': ('grid', {'grid': 2, 'unit_positions': 1}),
    'convap': ('convap', {'channels': 6, 'grid': 2}),
    'unit convap': ('convap', {'channels': 6, 'grid': 2, 'unit_positions': 1}),
    'gem': ('gem', {'p': 2.0}),
    'unit gem': ('gem', {'unit_positions': 1, 'unit_pooled': 1}),
    'gem with a linear': ('gem', {'dim': 6}),
    'netvlad with a linear': ('netvlad', {'clusters': 2, 'channels': 4, 'dim': 6}),
}


def made(head):
    torch.manual_seed(3)
    name, args = HEADS[head]
    network = build_network('mobilenet_v2', 'features.4', name, args, 0.25)
    return network, card_of(network, head, 'mobilenet_v2', 'features.4', name, args, PRE, '')


def images(count=24, seed=0):
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def described(network, x):
    with torch.inference_mode():
        return network.eval()(x)


@pytest.mark.parametrize('head', HEADS)
def test_a_linear_layer_at_the_end_changes_nothing(head):
    network, card = made(head)
    ending, name, args = with_last_linear(network, card)
    torch.testing.assert_close(described(ending, images()), described(network, images()),
                               atol=1e-6, rtol=0)
    # and the card builds it
    again = rebuild(card_of(ending, 'x', card.backbone, card.cut, name, args, PRE, ''))
    again.load_state_dict(ending.state_dict())
    torch.testing.assert_close(described(again, images()), described(network, images()),
                               atol=1e-6, rtol=0)


@pytest.mark.parametrize('head', HEADS)
def test_all_axes_without_a_mean_leave_similarities_as_they_were(head):
    network, card = made(head)
    ending, *_ = with_last_linear(network, card)
    rows = given_by(ending, [images(64)])
    axes = replace(Axes.of(rows, rows.shape[1]), mean=torch.zeros(rows.shape[1]))
    before, after = described(network, images()), described(turned(ending, axes), images())
    torch.testing.assert_close(after @ after.T, before @ before.T, atol=1e-5, rtol=0)


@pytest.mark.parametrize('head', HEADS)
def test_the_strongest_axes_come_first_and_fewer_are_the_first_of_more(head):
    network, card = made(head)
    ending, *_ = with_last_linear(network, card)
    batches = [images(40), images(40, 1)]
    rows = given_by(ending, batches)
    four, two = (turned(ending, Axes.of(rows, count)) for count in (4, 2))
    along = given_by(four, batches)
    variances = along.var(dim=0)
    assert (variances[:-1] >= variances[1:] - 1e-9).all()
    torch.testing.assert_close(along.mean(dim=0), torch.zeros(4), atol=1e-4, rtol=0)
    fewer = given_by(two, batches)
    torch.testing.assert_close(fewer.abs(), along[:, :2].abs(), atol=1e-4, rtol=0)


def test_the_shape_is_on_the_card_and_the_given_network_is_left_alone():
    network, card = made('grid')
    before = described(network, images())
    ending, name, args = with_last_linear(network, card)
    short = turned(ending, Axes.of(given_by(ending, [images()]), 3))
    assert described(short, images()).shape == (24, 3 * 4)
    again = rebuild(card_of(short, 'x', card.backbone, card.cut, name, args, PRE, ''))
    again.load_state_dict(short.state_dict())
    assert torch.equal(described(again, images()), described(short, images()))
    assert torch.equal(described(network, images()), before)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(2, 8), st.floats(0.0, 1.0))
def test_whitening_brings_variances_together(seed, channels, whitening):
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randn(400, channels, generator=draw) * torch.arange(1, channels + 1)
    axes = Axes.of(rows, channels, whitening)
    spread = ((rows - axes.mean) @ axes.turn).var(dim=0, unbiased=False)
    plain = ((rows - axes.mean) @ Axes.of(rows, channels).turn).var(dim=0, unbiased=False)
    torch.testing.assert_close(spread, plain.pow(1 - whitening), rtol=1e-3, atol=1e-5)
    assert axes.share == pytest.approx(1.0)


def test_the_share_is_that_of_the_axes_that_are_left():
    rows = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    assert Axes.of(rows, 1).share == pytest.approx(0.9)


def test_an_axis_without_variance_does_not_blow_up():
    rows = torch.randn(50, 3) * torch.tensor([1.0, 1.0, 0.0])
    assert torch.isfinite(Axes.of(rows, 3, 1.0).turn).all()
    assert torch.isfinite(Axes.of(torch.ones(50, 3), 2, 1.0).turn).all()


@pytest.mark.parametrize('wanted', [0, -4, 3, 25, 28])
def test_sizes_that_cannot_be_had(wanted):
    network, card = made('convap')
    with pytest.raises(ModelError, match='multiple of 4 up to 24'):
        channels_for(network, card.dim, wanted)
    assert channels_for(network, card.dim, 8) == 2


def test_descriptors_without_axes_and_too_few_views():
    network = build_network('mobilenet_v2', 'features.4', 'netvlad', {'clusters': 2}, 0.25)
    card = card_of(network, 'x', 'mobilenet_v2', 'features.4', 'netvlad', {'clusters': 2}, PRE,
                   '')
    with pytest.raises(ModelError, match='no axes to choose; .*--gamma'):
        with_last_linear(network, card)
    with pytest.raises(ModelError, match='give more views'):
        Axes.of(torch.randn(4, 8), 4)
    with pytest.raises(ModelError, match='whitening'):
        Axes.of(torch.randn(4, 8), 2, 1.5)
