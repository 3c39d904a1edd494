# SPDX-License-Identifier: Apache-2.0
"""Which numbers of a descriptor go with a channel, and which channels tell places apart."""

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from torch import nn  # noqa: E402

from vpr_ros.compress.prune_descriptor import makers_of, numbers_left, variances  # noqa: E402
from vpr_ros.compress.prune_graph import groups_of  # noqa: E402
from vpr_ros.compress.prune_groups import Group, Part  # noqa: E402


def maker(name, channels, part=Part.DESCRIPTOR):
    return Group(name, channels, (), part)


def keep(text):
    return np.array([letter == 'x' for letter in text])


INNER = maker('backbone.features.1', 4, Part.BACKBONE)
CHANNELS, ROWS = maker('aggregator.project', 3), maker('aggregator.rows', 2)
MAP, CLUSTERS = maker('backbone.features.9', 3), maker('aggregator.assign', 2)


def test_a_channel_takes_all_its_numbers_along():
    # four numbers of each of three channels, side by side
    left = numbers_left([INNER, CHANNELS], {CHANNELS.name: keep('x.x')}, 12)
    assert left.tolist() == [0, 1, 2, 3, 8, 9, 10, 11]
    assert numbers_left([CHANNELS], {CHANNELS.name: keep('.x.')}, 3).tolist() == [1]


def test_channels_come_before_rows():
    masks = {CHANNELS.name: keep('x.x'), ROWS.name: keep('.x')}
    # (channel, row): 0 = (0, 0), 1 = (0, 1), 2 = (1, 0), ...
    assert numbers_left([CHANNELS, ROWS], masks, 6).tolist() == [1, 5]


def test_channels_of_the_map_come_after_clusters():
    masks = {MAP.name: keep('x.x'), CLUSTERS.name: keep('.x')}
    assert [group.name for group in makers_of([MAP, INNER, CLUSTERS])] == [CLUSTERS.name, MAP.name]
    # (cluster, channel): 3 = (1, 0), 4 = (1, 1), 5 = (1, 2)
    assert numbers_left([MAP, CLUSTERS], masks, 6).tolist() == [3, 5]


def test_groups_side_by_side_make_one_axis():
    first, second = (Group(name, count, (), Part.DESCRIPTOR, first=at)
                     for name, count, at in (('backbone.a', 1, 0), ('backbone.b', 2, 1)))
    masks = {'backbone.a': keep('x'), 'backbone.b': keep('.x'), CLUSTERS.name: keep('.x')}
    # (cluster, channel of the map): 3 = (1, first), 4 = (1, second 0), 5 = (1, second 1)
    assert numbers_left([second, first, CLUSTERS], masks, 6).tolist() == [3, 5]
    rows = torch.tensor([[0.0, 1, 1, 1, 0, 0], [2.0, 1, 1, 1, 4, 2]])
    found = variances(nn.Identity(), [second, first, CLUSTERS], rows)   # [[1, 0, 0], [0, 4, 1]]
    assert found['backbone.a'].tolist() == [1.0]
    np.testing.assert_allclose(found['backbone.b'], np.array([4, 1]) / 2.5)
    np.testing.assert_allclose(found[CLUSTERS.name], np.array([1, 5]) / 3.0)


def test_a_descriptor_that_nothing_makes_stays_whole():
    assert numbers_left([INNER], {}, 5).tolist() == [0, 1, 2, 3, 4]
    assert variances(nn.Identity(), [INNER], torch.zeros(2, 5)) == {}


def test_what_varies_tells_places_apart():
    rows = torch.tensor([[1.0, 5.0, 0.0, 0.0], [3.0, 5.0, 0.0, 2.0]])  # variances 1, 0, 0, 1
    [scores] = variances(nn.Identity(), [maker('a', 2)], rows).values()
    assert scores.tolist() == [1.0, 1.0]
    [scores] = variances(nn.Identity(), [maker('a', 4)], rows).values()
    assert scores.tolist() == [2.0, 0.0, 0.0, 2.0]


def test_two_that_make_it_share_the_same_numbers():
    # (channel, row): variances [[1, 0], [0, 0], [4, 1]]
    rows = torch.tensor([[0.0, 1, 1, 1, 0, 0], [2.0, 1, 1, 1, 4, 2]])
    found = variances(nn.Identity(), [CHANNELS, ROWS], rows)
    np.testing.assert_allclose(found[CHANNELS.name], np.array([1, 0, 5]) / 2.0)
    np.testing.assert_allclose(found[ROWS.name], np.array([5, 1]) / 3.0)
    # clusters, then channels of the map: variances [[1, 0, 0], [0, 4, 1]]
    found = variances(nn.Identity(), [MAP, CLUSTERS], rows)
    np.testing.assert_allclose(found[CLUSTERS.name], np.array([1, 5]) / 3.0)
    np.testing.assert_allclose(found[MAP.name], np.array([1, 4, 1]) / 2.0)


def test_pictures_that_are_all_alike_make_no_channel_better():
    scores = variances(nn.Identity(), [CHANNELS], torch.ones(40, 6))[CHANNELS.name]
    assert scores.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize('head', ['gem', 'gem-linear', 'convap', 'grid', 'mixvpr', 'netvlad',
                                  'netvlad-whiten', 'boq'])
def test_each_network_has_a_score_for_each_channel(make_dense, images, head):
    network = make_dense(head).train()
    makers = makers_of(groups_of(network))
    found = variances(network, groups_of(network), images)
    assert list(found) == [group.name for group in makers]
    for group in makers:
        assert found[group.name].shape == (group.channels,)
        assert found[group.name].mean() == pytest.approx(1.0)
        assert (found[group.name] >= 0.0).all()
