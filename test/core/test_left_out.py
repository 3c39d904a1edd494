# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.core.left_out import part_of, replays, rows_beyond
from vpr_ros.core.local_features import FeatureConfig, FeatureKind, Features
from vpr_ros.core.packed_features import PackedFeatures
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.scoring import Tolerance
from vpr_ros.errors import MapError


def moved(place_map: PlaceMap, poses) -> PlaceMap:
    return replace(place_map, poses=np.stack(poses))


def two_sessions(place_map: PlaceMap, second_from: int, y_m: float) -> PlaceMap:
    poses = place_map.poses.copy()
    poses[second_from:, 0] -= second_from
    poses[second_from:, 1] = y_m
    return replace(place_map, poses=poses, sessions=('a', 'b'),
                   session_of=(np.arange(len(poses)) >= second_from).astype(np.int32))


def test_what_is_left_lies_beyond_the_reach_whatever_the_heading(corridor):
    driven = np.stack([se3.from_xy_yaw(x, 0.0, 3.1) for x in (20.0, 25.0)])
    assert rows_beyond(corridor, driven, 4.0).tolist() == [*range(16), *range(30, 60)]


def test_a_part_of_a_map_holds_its_rows(corridor):
    rows = np.array([3, 7, 9])
    packed = PackedFeatures.pack(FeatureConfig(FeatureKind.ORB), [
        Features(FeatureKind.ORB, 32, 24, np.full((1, 2), row, np.float32),
                 np.full((1, 32), row, np.uint8)) for row in range(60)])
    part = part_of(replace(corridor, features=packed), rows, features=True)
    np.testing.assert_array_equal(part.descriptors, corridor.descriptors[rows])
    np.testing.assert_array_equal(part.poses, corridor.poses[rows])
    assert [int(part.features_of(i).points[0, 0]) for i in range(3)] == [3, 7, 9]
    assert part_of(replace(corridor, features=packed), rows).features is None


def test_a_place_is_asked_of_the_others(corridor):
    replay, = replays(corridor, Tolerance(2.0))
    assert replay.asked.tolist() == list(range(60))
    assert [rows.tolist() for rows in replay.hidden] == [[row] for row in range(60)]
    assert replay.is_optimistic
    assert replay.slack_m == pytest.approx(1.0)


def test_what_is_nearly_the_same_place_is_hidden_with_it(corridor):
    dense = moved(corridor, [se3.from_xy_yaw(row / 4, 0.0, 0.0) for row in range(60)])
    replay, = replays(dense, Tolerance(2.0))
    assert replay.hidden[30].tolist() == list(range(27, 34))
    assert replay.slack_m == pytest.approx(1.0)


def test_a_second_lap_is_no_neighbor(corridor):
    laps = moved(corridor, [se3.from_xy_yaw(float(row % 30), 0.0, 0.0) for row in range(60)])
    assert replays(laps, Tolerance(2.0))[0].hidden[10].tolist() == [10]


def test_sessions_that_show_each_other_are_asked_of_each_other(corridor):
    first, second = replays(two_sessions(corridor, 30, 0.5), Tolerance(2.0))
    assert (first.asked.tolist(), first.kept.tolist()) == (list(range(30)), list(range(30, 60)))
    assert (second.asked.tolist(), second.kept.tolist()) == (list(range(30, 60)),
                                                             list(range(30)))
    assert not first.is_optimistic
    assert first.slack_m == second.slack_m == 0.0


def test_a_session_elsewhere_is_asked_of_itself(corridor):
    for replay in replays(two_sessions(corridor, 30, 500.0), Tolerance(2.0)):
        assert replay.is_optimistic
        assert len(replay.kept) == 60


def test_places_too_far_apart_are_refused(corridor):
    far = moved(corridor, [se3.from_xy_yaw(3.0 * row, 0.0, 0.0) for row in range(60)])
    with pytest.raises(MapError, match='too far from one another.*--query.*--spacing-m'):
        replays(far, Tolerance(2.0))
