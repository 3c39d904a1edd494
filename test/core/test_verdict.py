# SPDX-License-Identifier: Apache-2.0
from itertools import pairwise

from hypothesis import given, strategies as st
import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.core.belief import Belief, BeliefConfig
from vpr_ros.core.chain import NONE
from vpr_ros.core.clusters import Cluster, ClusterConfig, clusters
from vpr_ros.core.verdict import Rivals, signs_of, VerifyConfig
from vpr_ros.core.verification import Motion, Verification
from vpr_ros.errors import MapError

CONFIG = VerifyConfig('always', 20)
POSES = np.stack([se3.from_xy_yaw(float(i), 0.0, 0.0) for i in range(60)])


def cluster(x_m, probability, member=0):
    return Cluster(np.array([member]), se3.from_xy_yaw(x_m, 0.0, 0.0), np.eye(6), probability)


def view(inliers, heading_rad=None):
    return Verification(matches=100, inliers=inliers, motion=Motion.ESSENTIAL, turn=None,
                        heading_rad=heading_rad)


A, B, C = cluster(1.0, 0.5, 1), cluster(30.0, 0.3, 30), cluster(50.0, 0.05, 50)


def test_rivals_are_close_when_the_second_is_probable():
    assert Rivals((A, B)).are_close(0.3)
    assert not Rivals((A, B)).are_close(0.31)
    assert not Rivals((A,)).are_close(0.01)
    assert not Rivals(()).are_close(0.01)


@pytest.mark.parametrize(('inliers', 'winner', 'loser'), [((50, 10), A, B), ((10, 50), B, A)])
def test_geometry_chooses_and_the_chosen_inherits(inliers, winner, loser):
    found = Rivals((A, B, C)).verified([view(n) for n in inliers], [0.0, 0.0], CONFIG)
    assert found.is_verified
    np.testing.assert_array_equal(found.found[0].pose, winner.pose)
    assert found.found[0].probability == pytest.approx(0.8)
    assert found.found[1:] == (C,)
    assert found.ruled_out == (loser,)
    assert found.view.inliers == 50


@pytest.mark.parametrize('inliers', [(50, 40), (25, 13), (19, 2), (0, 0)])
def test_geometry_that_does_not_tell_changes_nothing(inliers):
    """Neither clearly the better, or the better one not good."""
    found = Rivals((A, B, C)).verified([view(n) for n in inliers], [0.0, 0.0], CONFIG)
    assert found.found == (A, B, C)
    assert not found.is_verified
    assert found.view.inliers == inliers[0]


@pytest.mark.parametrize(('inliers', 'confirmed'), [(20, True), (19, False)])
def test_one_alone_is_confirmed_or_not(inliers, confirmed):
    found = Rivals((A, C)).verified([view(inliers)], [0.0], CONFIG)
    assert found.is_verified is confirmed
    assert [c.probability for c in found.found] == [0.5, 0.05]


def test_a_measured_heading_replaces_the_stored_one():
    found = Rivals((A,)).verified([view(50, 0.25)], [1.0], CONFIG).found[0]
    assert se3.yaw_rad(found.pose) == pytest.approx(1.25)
    np.testing.assert_allclose(found.pose[:3], A.pose[:3])
    assert found.covariance[5, 5] < A.covariance[5, 5]
    assert np.linalg.eigvalsh(found.covariance).min() > 0.0


def test_a_heading_of_a_view_that_is_not_confirmed_is_not_used():
    found = Rivals((A,)).verified([view(5, 0.25)], [1.0], CONFIG).found[0]
    assert se3.yaw_rad(found.pose) == pytest.approx(0.0)


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=5), st.floats(0.0, 1.0))
def test_hypotheses_share_what_there_is(weights, probability):
    total = sum(weights) * 1.1
    found = tuple(cluster(10.0 * i, w / total) for i, w in
                  enumerate(sorted(weights, reverse=True)))
    hypotheses = Rivals(found).hypotheses(7, 'map', probability)
    assert hypotheses[0].probability == probability
    assert sum(h.probability for h in hypotheses) <= 1.0 + 1e-9
    assert all((h.stamp_ns, h.frame_id) == (7, 'map') for h in hypotheses)


def seen(looks):
    """Return what is believed, and the rivals, after a drive in which `looks` speak."""
    belief = Belief(BeliefConfig(), POSES, np.append(np.arange(1, 60), NONE))
    for number, states in enumerate(looks):
        if number:
            belief.move(se3.from_xy_yaw(1.0, 0.0, 0.0), 1.0)
        evidence = np.full(60, -1.0)
        evidence[list(states)] = 3.0
        belief.look(evidence, np.maximum(evidence, 0.0) / 4.0)
    found = clusters(ClusterConfig(), POSES, belief.probabilities, belief.spacing_m)
    return belief, Rivals(found), evidence


def signs(looks):
    belief, rivals, evidence = seen(looks)
    return signs_of(rivals, belief, evidence, ClusterConfig())


def test_more_steps_are_more_of_every_sign():
    found = [signs([[10 + i] for i in range(steps)]) for steps in (1, 3, 6)]
    for less, more in pairwise(found):
        assert more.margin > less.margin
        assert more.support > less.support
        assert more.odds > less.odds
    assert {s.fit for s in found} == {3.0}
    assert {s.agreement for s in found} == {0.0}


def test_a_rival_takes_the_margin_and_the_odds():
    alone, rivaled = signs([[10], [11], [12]]), signs([[10, 40], [11, 41], [12, 42]])
    assert rivaled.margin == pytest.approx(0.0, abs=1e-6)
    assert alone.margin > 5.0
    assert rivaled.odds < 0.1
    assert rivaled.support == pytest.approx(alone.support)


def test_a_rival_that_geometry_excluded_takes_nothing():
    belief, rivals, evidence = seen([[10, 40], [11, 41], [12, 42]])
    doubted = signs_of(rivals, belief, evidence, ClusterConfig())
    told = rivals.verified([view(50), view(3)], [0.0, 0.0], CONFIG)
    sure = signs_of(told, belief, evidence, ClusterConfig())
    assert sure.margin > doubted.margin + 5.0
    assert sure.odds > doubted.odds + 2.0
    assert sure.agreement == pytest.approx(np.log(51))


def test_a_last_picture_of_elsewhere_is_no_fit():
    assert signs([[10], [11], [12], [40]]).fit < 0.0


@pytest.mark.parametrize(('wrong', 'words'), [({'verify': 'off!'}, 'choose one of off, ambiguous'),
                                              ({'verify_inliers': 0}, 'at least 1')])
def test_settings_that_make_no_sense_are_refused(wrong, words):
    with pytest.raises(MapError, match=words):
        VerifyConfig(**wrong)
