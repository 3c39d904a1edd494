# SPDX-License-Identifier: Apache-2.0
"""Failures become incidents, the most dangerous first."""

from hypothesis import given, HealthCheck, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.report.incidents import incidents
from vpr_ros.report.verdicts import Verdict, verdicts

# accepted, right, has a match
RIGHT, WRONG, OFF, MISSED, SILENT = ((True, True, True), (True, False, True), (True, False, False),
                                     (False, False, True), (False, False, False))


def rows(table, kinds, **columns):
    accepted, right, has_match = (list(column) for column in zip(*kinds, strict=True))
    return table(accepted, right, has_match, **columns)


def test_each_kind_is_told_apart(table):
    frames = rows(table, [RIGHT, WRONG, OFF, MISSED, SILENT, (True, True, False)])
    assert verdicts(frames).tolist() == [
        Verdict.RIGHT, Verdict.WRONG, Verdict.OFF_MAP_FIX, Verdict.MISSED, Verdict.SILENT,
        Verdict.RIGHT]


def test_neighbors_are_one_incident_and_a_right_pose_parts_them(table):
    frames = rows(table, [WRONG, MISSED, WRONG, RIGHT, WRONG])
    found = [one.frames for one in incidents(frames) if one.kind is Verdict.WRONG]
    assert sorted(found) == [(0, 2), (4,)]


def test_a_gap_parts_incidents(table):
    frames = rows(table, [WRONG, SILENT, SILENT, WRONG])
    assert len(incidents(frames)) == 2


def test_what_was_missed_ends_with_any_pose(table):
    found = incidents(rows(table, [MISSED, MISSED, WRONG, MISSED]))
    assert [one.frames for one in found] == [(2,), (0, 1), (3,)]


def test_the_most_dangerous_is_first(table):
    frames = rows(table, [MISSED, RIGHT, OFF, RIGHT, WRONG, RIGHT, WRONG, RIGHT],
                  probability=np.array([.5, .9, .99, .9, .9, .9, .5, .9]),
                  position_error_m=np.array([0., 0., 900., 0., 10., 0., 80., 0.]))
    found = incidents(frames)
    assert [(one.kind, one.worst) for one in found] == [
        (Verdict.WRONG, 6), (Verdict.WRONG, 4), (Verdict.OFF_MAP_FIX, 2), (Verdict.MISSED, 0)]
    assert found[0].danger == pytest.approx(40.0)


def test_an_incident_knows_its_length(table):
    [one] = incidents(rows(table, [WRONG, WRONG, WRONG], step_s=0.5))
    assert (one.duration_s, one.way_m) == pytest.approx((1.0, 2.0))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(st.sampled_from([RIGHT, WRONG, OFF, MISSED, SILENT]), min_size=1))
def test_every_failure_is_in_exactly_one_incident(table, kinds):
    frames = rows(table, kinds)
    of_kind = verdicts(frames)
    found = incidents(frames)
    members = [row for one in found for row in one.frames]
    assert sorted(members) == np.flatnonzero(np.isin(
        of_kind, [Verdict.WRONG, Verdict.OFF_MAP_FIX, Verdict.MISSED])).tolist()
    assert all(of_kind[row] == one.kind for one in found for row in one.frames)
    assert all(one.worst in one.frames for one in found)
