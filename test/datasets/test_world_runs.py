# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.datasets.world import (
    building_pair,
    QUERY_DRIVING,
    training_images,
    unmapped,
    View,
    World,
)
from vpr_ros.datasets.world_conditions import MAPPING
from vpr_ros.datasets.world_layout import make_plan
from vpr_ros.datasets.world_motion import drive, Driving, wander

SEED = 3
SMALL = View(80, 60)


@pytest.fixture(scope='module')
def pair():
    return building_pair(SEED, SMALL)


@pytest.fixture(scope='module')
def route():
    return make_plan(SEED).query_route_m


def test_runs_are_of_the_promised_size(pair):
    for run in (pair.mapping, pair.query):
        assert 250 <= len(run.images) <= 600
        assert run.images[0].shape == (60, 80, 3)
        assert run.images[0].dtype == np.uint8
    assert pair.query.stamps_ns[0] > pair.mapping.stamps_ns[-1]


def test_equal_seeds_give_equal_runs(pair):
    again = building_pair(SEED, SMALL)
    np.testing.assert_array_equal(pair.query.map_from_base, again.query.map_from_base)
    for row in (0, 200):  # also out of order: no frame depends on another
        np.testing.assert_array_equal(again.query.images[row], pair.query.images[row])


def test_the_two_runs_see_one_place_differently(pair):
    mapped, asked = pair.mapping.images[0], pair.query.images[0]
    assert np.abs(mapped.astype(int) - asked).mean() > 10.0


def test_another_seed_is_another_place(pair):
    other = building_pair(SEED + 1, SMALL).mapping.images[0]
    assert np.abs(pair.mapping.images[0].astype(int) - other).mean() > 10.0


def test_truth_is_flat_and_moves_forward(pair):
    for run in (pair.mapping, pair.query):
        assert (run.map_from_base[:, 2] == 0.0).all()
        np.testing.assert_allclose(np.linalg.norm(run.map_from_base[:, 3:], axis=1), 1.0)
        step = se3.compose(se3.inverse(run.map_from_base[:-1]), run.map_from_base[1:])
        assert step[:, 0].min() > 0.05
        assert np.abs(step[:, 1]).max() < 0.35
        assert np.diff(run.stamps_ns).min() > 0.3e9


def test_the_query_stays_near_its_route_but_not_on_it(pair, route):
    off = np.array([np.linalg.norm(route - pose[:2], axis=1).min()
                    for pose in pair.query.map_from_base])
    assert off.max() < QUERY_DRIVING.lateral_m + 0.06
    assert np.mean(off > 0.15) > 0.3


def test_the_robot_swerves_within_bounds(route):
    calm = drive(route, replace(QUERY_DRIVING, heading_deg=0.0), 9)
    swerving = drive(route, QUERY_DRIVING, 9)
    off = np.degrees(se3.angle_rad(calm.map_from_base, swerving.map_from_base))
    assert 2.0 < off.max() < QUERY_DRIVING.heading_deg + 0.01


def test_a_stretch_is_far_from_every_mapped_place(pair):
    far = unmapped(pair, 3.0)
    assert 0.14 < far.mean() < 0.21
    assert not far[:50].any()
    assert not far[-50:].any()
    assert np.flatnonzero(np.diff(far.astype(int))).size == 2, 'one stretch, not several'
    assert unmapped(pair, 12.0).any()
    positives = pair.metric_positives()
    assert not any(positives[row] for row in np.flatnonzero(far))
    assert np.mean([bool(found) for found in positives]) > 0.75


@pytest.mark.parametrize('name', ['mapping', 'query'])
def test_odometry_drifts_as_wheels_do(pair, name):
    run = getattr(pair, name)
    odometry = run.odometry
    np.testing.assert_array_equal(odometry.poses[0], se3.IDENTITY)
    assert odometry.frame_id == 'odom'
    rate_hz = 1e9 / np.diff(odometry.stamps_ns).mean()
    assert 20.0 <= rate_hz <= 50.0
    assert odometry.stamps_ns[0] <= run.stamps_ns[0]
    assert odometry.stamps_ns[-1] >= run.stamps_ns[-1]

    at = np.searchsorted(odometry.stamps_ns, run.stamps_ns)
    said = odometry.poses[at]
    # Over ten images the motion is right within a few percent ...
    moved, true = (se3.compose(se3.inverse(poses[:-10]), poses[10:])
                   for poses in (said, run.map_from_base))
    length = np.linalg.norm(true[:, :2], axis=1)
    wrong = np.linalg.norm(moved[:, :2] - true[:, :2], axis=1)
    assert 0.005 < np.mean(wrong / length) < 0.05
    # ... and over the whole run it adds up to metres.
    start = run.map_from_base[0]
    drift = se3.distance_m(se3.compose(se3.inverse(start), run.map_from_base),
                           se3.compose(se3.inverse(said[0]), said))
    assert 1.0 < drift.max() < 40.0


def test_odometry_without_faults_is_the_truth(route):
    run = drive(route, Driving(scale_error=0.0, yaw_walk_deg=0.0, yaw_bias_deg=0.0), 1)
    at = np.searchsorted(run.odometry.stamps_ns, run.stamps_ns)
    start = se3.inverse(run.map_from_base[0])
    said = se3.compose(se3.inverse(run.odometry.poses[at[0]]), run.odometry.poses[at])
    assert se3.distance_m(se3.compose(start, run.map_from_base), said).max() < 0.25


def test_wandering_is_bounded_and_continuous():
    path = wander(np.random.default_rng(0), 2000, 150)
    assert np.abs(path).max() <= 1.0
    assert np.abs(np.diff(path)).max() < 0.05


def test_posters_change_and_walls_do_not():
    world = World(SEED)
    old, new = (world.scene(replace(MAPPING, posters_changed=share, seed=5)).atlas[0, 0]
                for share in (0.0, 0.5))
    changed = (old != new).any(axis=2).mean()
    assert 0.0005 < changed < 0.05


def test_weather_is_seen_in_the_street(pair):
    pictures = {'fair': pair.mapping.images[5].astype(int)}
    for name, day in (('fog', replace(MAPPING, sight_m=15.0)),
                      ('snow', replace(MAPPING, snow=0.9))):
        pictures[name] = building_pair(SEED, SMALL, mapping_day=day).mapping.images[5].astype(int)
    floor = {name: picture[50:].mean() for name, picture in pictures.items()}
    assert floor['snow'] > floor['fair'] + 15
    far = {name: picture[20:32].std() for name, picture in pictures.items()}
    assert far['fog'] < 0.6 * far['fair']


def test_training_images_are_diverse_and_repeatable():
    first = list(training_images(1, 6, (48, 64), per_world=3))
    assert [image.shape for image in first] == [(48, 64, 3)] * 6
    again = list(training_images(1, 3, (48, 64), per_world=3))
    np.testing.assert_array_equal(first[:3], again)
    for a in range(6):
        for b in range(a):
            assert np.abs(first[a].astype(int) - first[b]).mean() > 8.0
