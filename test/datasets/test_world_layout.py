# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.datasets.world_layout import make_plan, round_corners
from vpr_ros.datasets.world_plan import Kind, SOLID, Tag

SEEDS = st.integers(0, 10_000)


@pytest.fixture(scope='module')
def plan():
    return make_plan(4)


def test_equal_seeds_give_equal_plans(plan):
    again = make_plan(4)
    np.testing.assert_array_equal(plan.area_of, again.area_of)
    assert plan.faces == again.faces
    assert not np.array_equal(make_plan(5).area_of, plan.area_of)


@settings(max_examples=8)
@given(SEEDS)
def test_a_robot_fits_through_both_routes(seed):
    plan = make_plan(seed)
    for route in (plan.mapping_route_m, plan.query_route_m):
        for dx, dy in ((0.9, 0.0), (-0.9, 0.0), (0.0, 0.9), (0.0, -0.9)):
            assert (plan.area_at(route[:, 0] + dx, route[:, 1] + dy) != SOLID).all()
        assert 200.0 < 0.05 * len(route) < 320.0


@settings(max_examples=8)
@given(SEEDS)
def test_only_the_query_route_enters_the_wing(seed):
    plan = make_plan(seed)
    wing = [i for i, area in enumerate(plan.areas) if area.kind is Kind.WING]
    inside = [np.isin(plan.area_at(route[:, 0], route[:, 1]), wing)
              for route in (plan.mapping_route_m, plan.query_route_m)]
    assert not inside[0].any()
    assert 0.12 < inside[1].mean() < 0.25
    assert not inside[1][-100:].any(), 'the run ends in the mapped part'


def test_faces_stand_between_free_and_solid(plan):
    for face in plan.faces:
        middle = (np.array(face.left) + face.right) / 2
        before, behind = middle + 0.1 * np.array(face.normal), middle - 0.1 * np.array(face.normal)
        assert plan.area_at(before[:1], before[1:])[0] == face.area
        assert plan.area_at(behind[:1], behind[1:])[0] == SOLID


def test_faces_run_from_left_to_right(plan):
    for face in plan.faces:
        along = np.subtract(face.right, face.left)
        # Turned left from the run, one looks into the wall.
        assert np.dot((-along[1], along[0]), face.normal) < 0.0


def test_bays_repeat(plan):
    doors = [face for face in plan.faces if face.tag is Tag.DOOR and face.length_m > 1.0]
    assert len(doors) > 30


@given(st.lists(st.integers(4, 30), min_size=2, max_size=6), st.booleans())
def test_rounded_lines_are_evenly_spaced_and_smooth(lengths, left):
    vertices, direction = [(0.0, 0.0)], np.array([1.0, 0.0])
    for length in lengths:
        vertices.append(tuple(np.array(vertices[-1]) + length * direction))
        direction = np.array([-direction[1], direction[0]]) * (1 if left else -1)
        left = not left
    line = round_corners(vertices)
    step = np.diff(line, axis=0)
    assert np.linalg.norm(step, axis=1) == pytest.approx(0.05, abs=0.002)
    heading = np.unwrap(np.arctan2(step[:, 1], step[:, 0]))
    assert np.abs(np.diff(heading)).max() < 0.1
