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


def test_every_second_station_is_asked_of_those_between(corridor):
    first, second = replays(corridor, Tolerance(2.0))
    assert (first.asked.tolist(), first.kept.tolist()) == (list(range(1, 60, 2)),
                                                           list(range(0, 60, 2)))
    assert (second.asked.tolist(), second.kept.tolist()) == (first.kept.tolist(),
                                                             first.asked.tolist())
    assert first.row.tolist() == first.asked.tolist()
    assert first.is_optimistic
    assert first.slack_m == 1.0
    assert second.is_optimistic


def test_no_place_is_asked_of_its_twin(corridor):
    dense = moved(corridor, [se3.from_xy_yaw(row / 4, 0.0, 0.0) for row in range(60)])
    for replay in replays(dense, Tolerance(2.0)):
        apart_m = se3.distance_m(dense.poses[replay.asked][:, None], dense.poses[replay.kept])
        assert apart_m.min() >= 1.0 - 1e-9
        assert (np.diff(dense.poses[replay.kept, 0]) == 2.0).all()


def test_cameras_that_saw_one_moment_stay_together(corridor):
    pairs = replace(moved(corridor, [se3.from_xy_yaw(float(row // 2), 0.0, 0.0)
                                     for row in range(60)]),
                    stamps_ns=np.arange(60, dtype=np.int64) // 2 * 10**9)
    first, _ = replays(pairs, Tolerance(2.0))
    assert first.asked[:4].tolist() == [2, 3, 6, 7]


def test_sessions_that_show_each_other_are_asked_of_each_other(corridor):
    first, second = replays(two_sessions(corridor, 30, 0.5), Tolerance(2.0))
    assert (first.asked.tolist(), first.kept.tolist()) == (list(range(30)), list(range(30, 60)))
    assert (second.asked.tolist(), second.kept.tolist()) == (list(range(30, 60)),
                                                             list(range(30)))
    assert not first.is_optimistic
    assert first.slack_m == 0.0


def test_a_session_elsewhere_is_asked_of_itself(corridor):
    driven = replays(two_sessions(corridor, 30, 500.0), Tolerance(2.0))
    assert all(replay.is_optimistic for replay in driven)
    assert [len(replay.asked) for replay in driven] == [15, 15, 15, 15]
    assert [len(replay.kept) for replay in driven] == [45, 45, 45, 45]


def test_places_too_far_apart_are_refused(corridor):
    far = moved(corridor, [se3.from_xy_yaw(3.0 * row, 0.0, 0.0) for row in range(60)])
    with pytest.raises(MapError, match='too far from one another.*--query.*--spacing-m'):
        replays(far, Tolerance(2.0))


def test_one_place_cannot_be_asked_of_any_other(corridor):
    with pytest.raises(MapError, match='too far from one another'):
        replays(part_of(corridor, np.array([7])), Tolerance(2.0))
