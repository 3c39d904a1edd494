# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import cv2
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.core.intrinsics import Intrinsics
from vpr_ros.core.local_features import extract, FeatureConfig, FeatureKind, Features
from vpr_ros.core.packed_features import PackedFeatures
from vpr_ros.core.relative_turn import angle_rad, heading_correction_rad
from vpr_ros.core.types import Camera, Frame
from vpr_ros.core.verification import Motion, verify
from vpr_ros.core.verifier import Verifier
from vpr_ros.errors import MapError

WIDTH, HEIGHT = 640, 480
LENS = Intrinsics(WIDTH, HEIGHT, 400.0, 400.0, 319.5, 239.5)
BARREL = Intrinsics(WIDTH, HEIGHT, 400.0, 400.0, 319.5, 239.5, 'plumb_bob',
                    (-0.2, 0.04, 0.0, 0.0, 0.0))
FISHEYE = Intrinsics(WIDTH, HEIGHT, 300.0, 300.0, 319.5, 239.5, 'equidistant',
                     (0.01, 0.0, 0.0, 0.0))
FORWARD = se3.checked([0.2, 0.0, 0.5, -0.5, 0.5, -0.5, 0.5])  # optical frame: z ahead, x right


def turned(axis, degrees):
    return cv2.Rodrigues(np.asarray(axis, float) * np.deg2rad(degrees))[0]


def scene(query_from_place, shift=(0.0, 0.0, 0.0), plane=False, lens=LENS, outliers=0.3,
          noise_px=0.5, count=200, seed=0):
    """Features of random points seen by two cameras; each point has its own descriptor."""
    rng = np.random.default_rng(seed)
    points = rng.uniform((-4, -3, 4), (4, 3, 20), (count, 3))
    if plane:
        points[:, 2] = 8.0 + 0.5 * points[:, 0]
    descriptors = rng.integers(0, 256, (count, 32)).astype(np.uint8)
    moved = points @ query_from_place.T + shift
    views = []
    for cloud in (points, moved):
        pixels = lens.pixels(cloud[:, :2] / cloud[:, 2:]) + rng.normal(0, noise_px, (count, 2))
        views.append(pixels.astype(np.float32))
    wrong = rng.permutation(count)[:round(outliers * count)]
    views[1][wrong] = rng.uniform((0, 0), (WIDTH, HEIGHT), (len(wrong), 2))
    place, query = (Features(FeatureKind.ORB, WIDTH, HEIGHT, view, descriptors)
                    for view in views)
    return query, place


@pytest.mark.parametrize('lens', [LENS, BARREL, FISHEYE], ids=lambda lens: lens.model)
@pytest.mark.parametrize('outliers', [0.0, 0.3, 0.6])
def test_a_moved_camera_is_understood(lens, outliers):
    truth = turned([0, 1, 0], 12)
    query, place = scene(truth, (0.4, 0.0, -0.6), lens=lens, outliers=outliers)
    found = verify(query, place, lens, lens)
    assert found.matches == 200
    assert found.motion is Motion.ESSENTIAL
    # Older OpenCV polishes less.
    assert found.inliers == pytest.approx(200 * (1 - outliers), rel=0.2)
    assert np.degrees(angle_rad(truth.T @ found.turn)) < 1.5
    assert found.heading_rad is None


@pytest.mark.parametrize('degrees', [-20, 0, 7])
def test_turning_on_the_spot_is_a_rotation(degrees):
    truth = turned([0, 1, 0], degrees)
    found = verify(*scene(truth), LENS, LENS)
    assert found.motion is Motion.ROTATION
    assert found.inliers > 125
    assert np.degrees(angle_rad(truth.T @ found.turn)) < 0.3


def test_without_a_lens_there_is_no_turn():
    query, place = scene(turned([0, 1, 0], 12), (0.4, 0.0, -0.6))
    for lenses in ((None, None), (LENS, None), (None, LENS)):
        found = verify(query, place, *lenses)
        assert (found.motion, found.turn) == (Motion.FUNDAMENTAL, None)
        assert found.inliers > 120


@pytest.mark.parametrize('lens', [None, LENS])
def test_a_plane_is_a_homography_and_its_turn_is_not_guessed(lens):
    found = verify(*scene(turned([0, 1, 0], 8), (0.8, 0.0, -0.3), plane=True), lens, lens)
    assert found.motion is Motion.HOMOGRAPHY
    assert found.inliers > 120
    assert found.turn is None


def test_a_lens_of_another_shape_is_not_used():
    query, place = scene(turned([0, 1, 0], 12), (0.4, 0.0, -0.6))
    assert verify(query, place, replace(LENS, height=640), LENS).motion is Motion.FUNDAMENTAL


def test_a_lens_is_scaled_to_the_picture():
    query, place = scene(turned([0, 1, 0], 12), (0.4, 0.0, -0.6))
    full = LENS.scaled(1920, 1440)
    exact, scaled = verify(query, place, LENS, LENS), verify(query, place, full, full)
    assert scaled.inliers == exact.inliers
    np.testing.assert_allclose(scaled.turn, exact.turn, atol=1e-6)


@pytest.mark.parametrize('lens', [None, LENS])
def test_chance_explains_little(lens):
    most = 0
    for seed in range(10):
        query, place = scene(np.eye(3), outliers=1.0, count=150, seed=seed)
        most = max(most, verify(query, place, lens, lens).inliers)
    assert most < 20


def features(points, seed=0):
    points = np.asarray(points, np.float32).reshape(-1, 2)
    descriptors = np.random.default_rng(seed).integers(0, 256, (len(points), 32))
    return Features(FeatureKind.ORB, WIDTH, HEIGHT, points, descriptors.astype(np.uint8))


@pytest.mark.parametrize('lens', [None, LENS])
@pytest.mark.parametrize('points', [
    [], [(1, 1)], np.full((30, 2), 100.0), np.column_stack([np.arange(50) * 9] * 2),
    np.full((30, 2), np.nan), np.arange(14).reshape(7, 2) * 20,
    np.full((30, 2), 1e30),
], ids=['none', 'one', 'one spot', 'a line', 'nan', 'seven', 'huge'])
def test_degenerate_points_say_nothing(lens, points):
    found = verify(features(points), features(points), lens, lens)
    assert (found.inliers, found.motion, found.turn) == (0, Motion.NONE, None)


@pytest.mark.parametrize('kind', list(FeatureKind))
@pytest.mark.parametrize('lens', [None, LENS, FISHEYE])
def test_identical_pictures_agree_wholly(kind, lens):
    one = extract(rendered(np.eye(3)), FeatureConfig(kind))
    found = verify(one, one, lens, lens)
    assert found.matches > 100
    if lens is not FISHEYE:   # beyond its edge there are rays that no plane has
        assert found.inliers == found.matches
    if lens is not None:
        assert angle_rad(found.turn) < 1e-4


def test_the_same_is_found_again():
    query, place = scene(turned([0, 1, 0], 12), (0.4, 0.0, -0.6), outliers=0.6)
    for lens in (None, LENS):
        found = set()
        for seed in range(4):
            cv2.setRNGSeed(seed)
            again = verify(query, place, lens, lens)
            found.add((again.inliers, None if again.turn is None else again.turn.tobytes()))
        assert len(found) == 1


@settings(max_examples=15)
@given(st.floats(-15, 15), st.floats(-0.6, 0.6), st.floats(-0.6, 0.6), st.integers(0, 100))
def test_the_other_way_round_gives_the_inverse(degrees, right, ahead, seed):
    query, place = scene(turned([0, 1, 0], degrees), (right, 0.0, ahead), seed=seed)
    there, back = verify(query, place, LENS, LENS), verify(place, query, LENS, LENS)
    assert there.inliers == pytest.approx(back.inliers, abs=12)
    assert np.degrees(angle_rad(there.turn @ back.turn)) < 3.0


def rendered(query_from_place, seed=0):
    """A texture at infinity as a camera sees it that has turned."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3)).astype(np.uint8)
    sky = cv2.GaussianBlur(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST),
                           (0, 0), 1.5)
    k = LENS.matrix()
    return cv2.warpPerspective(sky, k @ query_from_place @ np.linalg.inv(k), (WIDTH, HEIGHT))


def robot_turn(yaw_rad, mount):
    """`query_from_place` of a camera whose robot turned left by `yaw_rad`."""
    camera = se3.compose(se3.inverse(mount), se3.compose(
        se3.inverse(se3.from_xy_yaw(0.0, 0.0, yaw_rad)), mount))
    return np.column_stack([se3.rotate(camera[3:], axis) for axis in np.eye(3)])


@pytest.mark.parametrize('yaw_deg', [-170, -25, 0, 10, 90])
def test_the_heading_follows_from_the_turn_and_the_mounts(yaw_deg):
    turn = robot_turn(np.deg2rad(yaw_deg), FORWARD)
    assert np.degrees(heading_correction_rad(turn, FORWARD, FORWARD)) == pytest.approx(yaw_deg)


def test_a_rear_camera_sees_the_place_with_the_robot_facing_away():
    rear = se3.compose(se3.from_xy_yaw(-0.3, 0.0, np.pi), FORWARD)
    correction = heading_correction_rad(np.eye(3), FORWARD, rear)
    assert abs(correction) == pytest.approx(np.pi)


def map_with(corridor, pictures, camera):
    packed = PackedFeatures.pack(FeatureConfig(), [
        extract(pictures.get(row, np.zeros((64, 64, 3), np.uint8)), FeatureConfig())
        for row in range(len(corridor))])
    return replace(corridor, features=packed, cameras=(camera,))


@pytest.mark.parametrize('yaw_deg', [-12.0, 0.0, 8.0])
def test_the_heading_of_a_robot_is_corrected(corridor, yaw_deg):
    camera = Camera('camera', FORWARD, LENS)
    place_map = map_with(corridor, {3: rendered(np.eye(3)), 4: rendered(np.eye(3), 1)}, camera)
    verifier = Verifier(place_map)
    seen = rendered(robot_turn(np.deg2rad(yaw_deg), FORWARD))
    look = verifier.look(Frame(0, 'camera', seen))
    right, wrong, flat = (verifier.check(look, place) for place in (3, 4, 5))
    assert right.inliers > 60
    assert np.degrees(right.heading_rad) == pytest.approx(yaw_deg, abs=0.5)
    assert wrong.inliers < 15
    assert (flat.inliers, flat.motion) == (0, Motion.NONE)


def test_what_a_camera_does_not_say_is_as_in_the_map(corridor):
    place_map = map_with(corridor, {3: rendered(np.eye(3))}, Camera('camera', FORWARD, LENS))
    frame = Frame(0, 'camera', rendered(np.eye(3)))
    for cameras in ((), (Camera('camera'),)):
        verifier = Verifier(place_map, cameras)
        assert verifier.check(verifier.look(frame), 3).heading_rad == pytest.approx(0.0, abs=1e-3)
    stranger = Verifier(place_map, (Camera('other', FORWARD),))
    look = stranger.look(replace(frame, camera='other'))
    assert stranger.check(look, 3).heading_rad is None
    lent = stranger.look(replace(frame, camera='other'), LENS)
    assert stranger.check(lent, 3).heading_rad == pytest.approx(0.0, abs=1e-3)


def test_no_mount_gives_no_heading(corridor):
    place_map = map_with(corridor, {3: rendered(np.eye(3))}, Camera('camera', None, LENS))
    verifier = Verifier(place_map)
    found = verifier.check(verifier.look(Frame(0, 'camera', rendered(np.eye(3)))), 3)
    assert found.turn is not None
    assert found.heading_rad is None


def test_a_map_without_features_cannot_be_asked(corridor):
    with pytest.raises(MapError, match='no local features.*--features orb'):
        Verifier(corridor)
