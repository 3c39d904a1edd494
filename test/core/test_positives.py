# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, strategies as st
import numpy as np
import pytest

from vpr_ros.core import pose as se3, positives
from vpr_ros.core.judged import Tolerance
from vpr_ros.core.positives import nearest_positives, positive_pairs, why_no_positive

# Few distinct numbers, so that distances are often equal, and often just the tolerance.
poses = st.lists(st.tuples(*[st.sampled_from([-3.0, -1.0, 0.0, 0.5, 1.0, 2.0, 4.0])] * 3),
                 min_size=1, max_size=30).map(
                     lambda listed: np.stack([se3.from_xy_yaw(*row) for row in listed]))
tolerances = st.builds(Tolerance, st.sampled_from([0.25, 1.0, 2.0, 50.0]),
                       st.sampled_from([1.0, 60.0, 180.0]))


def every_pair(places, truth, tolerance):
    return tolerance.holds(places[None], truth[:, None])


@pytest.mark.parametrize('at_once', [1, 7, positives._PAIRS])
@given(places=poses, truth=poses, tolerance=tolerances)
def test_as_comparing_every_pair(at_once, places, truth, tolerance):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(positives, '_PAIRS', at_once)
        near = nearest_positives(places, truth, tolerance)
        found = np.zeros((len(truth), len(places)), int)
        for query, place in positive_pairs(places, truth, tolerance):
            found[query, place] += 1
    holds = every_pair(places, truth, tolerance)
    assert (found == holds).all()
    assert ((near >= 0) == holds.any(axis=1)).all()
    away_m = np.where(holds, se3.distance_m(places[None], truth[:, None]), np.inf)
    rows = np.flatnonzero(near >= 0)
    assert away_m[rows, near[rows]] == pytest.approx(away_m[rows].min(axis=1))


def test_the_nearest_that_looks_the_same_way():
    # A hundred places look backwards here; the one that looks forwards is 1.5 m away.
    places = np.stack([*(se3.from_xy_yaw(0.0, 0.01 * i, np.pi) for i in range(100)),
                       se3.from_xy_yaw(1.5, 0.0, 0.1)])
    assert nearest_positives(places, se3.IDENTITY[None], Tolerance(2.0, 45.0)).tolist() == [100]
    assert nearest_positives(places, se3.IDENTITY[None], Tolerance(1.0, 45.0)).tolist() == [-1]
    assert nearest_positives(places, se3.IDENTITY[None], Tolerance(1.0, 180.0)).tolist() == [0]


def test_nothing_is_near_nothing():
    assert nearest_positives(np.zeros((0, 7)), se3.IDENTITY[None], Tolerance()).tolist() == [-1]
    assert list(positive_pairs(np.zeros((0, 7)), se3.IDENTITY[None], Tolerance())) == []


LINE = np.stack([se3.from_xy_yaw(float(x), 0.0, 0.0) for x in range(0, 50, 5)])


@pytest.mark.parametrize(('change', 'said'), [
    (lambda p: p + np.array([1000.0, 0, 0, 0, 0, 0, 0]), 'the nearest two are 955.0 m apart'),
    (lambda p: np.column_stack([p[:, :3] * 1000.0 + [7000.0, 0, 0], p[:, 3:]]), 'in millimeters'),
    (lambda p: np.stack([se3.from_xy_yaw(x, 0.0, np.pi) for x in p[:, 0]]), 'another way there'),
])
def test_why_there_is_no_positive(change, said):
    truth = change(LINE)
    assert not every_pair(LINE, truth, Tolerance()).any()
    assert said in why_no_positive(LINE, truth, Tolerance())
    assert 'the map x 0.0 to 45.0 m' in why_no_positive(LINE, truth, Tolerance())
