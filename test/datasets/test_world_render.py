# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
import math

from hypothesis import assume, given, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.core import pose as se3
from vpr_ros.datasets.world import BASE_FROM_CAMERA
from vpr_ros.datasets.world_atlas import pack, ripmaps
from vpr_ros.datasets.world_render import Renderer
from vpr_ros.datasets.world_shapes import Pinhole, Quad, Scene
from vpr_ros.datasets.world_sprites import pyramid

PPM, TOP_M = 64, 3.0
CAMERA = Pinhole.with_view(320, 240, 80.0)
GREY, RED = (90, 90, 90), (255, 0, 0)


def room(mark_m=None, quads=()):
    """Return a grey room 8 x 8 m about the origin, with a red square at (s, z) of its far wall."""
    corners = [(4.0, 4.0), (4.0, -4.0), (-4.0, -4.0), (-4.0, 4.0)]
    walls = [(*corners[i], *corners[(i + 1) % 4]) for i in range(4)]
    strips = [np.full((round(TOP_M * PPM), 8 * PPM, 3), GREY, np.uint8) for _ in walls]
    if mark_m:
        x, y = round(mark_m[0] * PPM), round((TOP_M - mark_m[1]) * PPM)
        strips[0][y - 6:y + 6, x - 6:x + 6] = RED
    packing = pack([strip.shape[:2] for strip in strips])
    flat = np.full((160, 160, 4), 60, np.uint8)
    flat[..., 3] = 0
    ceiling = np.full((160, 160, 4), 255, np.uint8)
    return Scene(
        np.array(walls, np.float32), np.full(4, TOP_M, np.float32),
        np.stack([packing.left_px, packing.bottom_px, np.full(4, PPM)], axis=1).astype(
            np.float32),
        ripmaps(packing, strips), (-5.0, -5.0), (flat,), (ceiling,),
        np.zeros((34, 34), np.uint8), np.full((1, 256, 256), 128, np.uint8),
        np.ones((34, 34, 3), np.float32), np.zeros((8, 16, 3), np.uint8), TOP_M, 0.3, quads)


def in_camera(point_m, x_m, y_m, z_m, yaw_rad):
    map_from_camera = se3.compose(se3.from_xy_yaw(x_m, y_m, yaw_rad, z_m),
                                  np.array([0.0, 0.0, 0.0, *BASE_FROM_CAMERA[3:]]))
    back = se3.inverse(map_from_camera)
    return back[:3] + se3.rotate(back[3:], np.array(point_m))


def reddest(image):
    red = image[..., 0].astype(float) - image[..., 1]
    rows, columns = np.nonzero(red > 80)
    assert len(rows) >= 4
    weight = red[rows, columns]
    return np.average(columns, weights=weight), np.average(rows, weights=weight)


@settings(max_examples=25)
@given(st.floats(3.0, 5.0), st.floats(0.6, 1.8), st.floats(-2.0, 1.0), st.floats(-1.2, 1.2),
       st.floats(0.5, 1.2), st.floats(-0.2, 0.2))
def test_a_mark_on_a_wall_appears_where_the_pinhole_model_says(s, z, x, y, eye_z, yaw):
    scene = room((round(s * PPM) / PPM, round(z * PPM) / PPM))
    image, depth = Renderer(scene, CAMERA).render(x, y, eye_z, yaw)
    point = in_camera((4.0, 4.0 - round(s * PPM) / PPM, round(z * PPM) / PPM), x, y, eye_z, yaw)
    column, row = CAMERA.project(point[None])[0]
    height, width = depth.shape
    assume(20 < column < width - 20 and 20 < row < height - 20)  # all of the mark is in view
    assert reddest(image) == pytest.approx((column, row), abs=1.0)
    assert depth[round(row), round(column)] == pytest.approx(point[2], abs=0.05)


def test_the_mount_looks_forward_with_y_down():
    ahead, left, above = (in_camera(p, 0.0, 0.0, 0.0, 0.0)
                          for p in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
    np.testing.assert_allclose([ahead, left, above], [[0, 0, 1], [-1, 0, 0], [0, -1, 0]],
                               atol=1e-12)


def test_depth_is_that_of_floor_ceiling_and_wall():
    _, depth = Renderer(room(), CAMERA).render(-3.0, 0.0, 0.8, 0.0)
    _, cy = CAMERA.center_px
    assert depth[119, 160] == pytest.approx(7.0, abs=1e-3)
    assert depth[200, 160] == pytest.approx(0.8 * CAMERA.focal_px / (200 - cy), rel=1e-4)
    assert depth[10, 160] == pytest.approx(2.2 * CAMERA.focal_px / (cy - 10), rel=1e-4)


def board(x_m, y_m, low_m=0.5, high_m=1.1):
    art = pyramid(np.full((32, 32, 4), (*RED, 255), np.uint8))
    return Quad((x_m, y_m), (x_m, y_m), low_m, high_m, art, width_m=0.6)


def test_a_cutout_stands_where_it_should_and_has_depth():
    image, depth = Renderer(room(quads=(board(2.0, 0.5),)), CAMERA).render(-1.0, 0.0, 0.8, 0.0)
    point = in_camera((2.0, 0.5, 0.8), -1.0, 0.0, 0.8, 0.0)
    column, row = CAMERA.project(point[None])[0]
    height, width = depth.shape
    assume(20 < column < width - 20 and 20 < row < height - 20)  # all of the mark is in view
    assert reddest(image) == pytest.approx((column, row), abs=1.0)
    assert depth[round(row), round(column)] == pytest.approx(3.0)


def test_a_wall_hides_what_is_behind_it():
    image, _ = Renderer(room(quads=(board(4.5, 0.0),)), CAMERA).render(0.0, 0.0, 0.8, 0.0)
    assert (image[..., 0] - image[..., 1].astype(int) < 20).all()


def test_a_flat_picture_is_seen_from_its_front_only():
    front = replace(board(0.0, 0.0), left=(2.0, 0.5), right=(2.0, -0.5), width_m=0.0)
    back = replace(front, left=front.right, right=front.left)
    seen = [Renderer(room(quads=(quad,)), CAMERA).render(0.0, 0.0, 0.8, 0.0)[0]
            for quad in (front, back)]
    red = [(image[..., 0] > 200) & (image[..., 1] < 60) for image in seen]
    assert red[0].any()
    assert not red[1].any()


def test_a_polished_floor_shows_the_mark_upside_down():
    scene = room((4.0, 0.5))
    polished = scene.ground[0].copy()
    polished[..., 3] = 255
    image, _ = Renderer(replace(scene, ground=(polished,)), CAMERA).render(0.0, 0.0, 0.6, 0.0)
    column, row = CAMERA.project(in_camera((4.0, 0.0, -0.5), 0.0, 0.0, 0.6, 0.0)[None])[0]
    below = image[round(row), round(column)].astype(int)
    assert below[0] > below[1] + 40


def test_the_field_of_view_is_the_one_asked_for():
    camera = Pinhole.with_view(640, 480, 90.0)
    assert camera.focal_px == pytest.approx(320.0)
    edge = camera.project(np.array([[1.0, 0.0, 1.0]]))[0, 0]
    assert edge == pytest.approx(639.5)
    assert math.isclose(camera.center_px[1], 239.5)
