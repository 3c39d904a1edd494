# SPDX-License-Identifier: Apache-2.0
import json
import math
from types import SimpleNamespace

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from vpr_ros.core.intrinsics import camera_info_topic, Intrinsics, is_rectified
from vpr_ros.errors import FrameError

PLAIN = Intrinsics(640, 480, 500.0, 510.0, 319.5, 239.5)
LENSES = [
    PLAIN,
    Intrinsics(640, 480, 450.0, 450.0, 315.0, 242.0, 'plumb_bob', (-0.28, 0.07, 1e-4, 2e-5, 0.0)),
    Intrinsics(640, 480, 450.0, 450.0, 315.0, 242.0, 'rational_polynomial',
               (0.2, 0.05, 1e-4, 1e-4, 0.01, 0.5, 0.1, 0.02)),
    Intrinsics(640, 480, 300.0, 300.0, 320.0, 240.0, 'equidistant', (0.02, -0.01, 0.003, 0.0)),
]


def message(**changes):
    values = {
        'width': 640, 'height': 480, 'distortion_model': 'plumb_bob',
        'd': [-0.28, 0.07, 0.0, 0.0, 0.0],
        'k': [500.0, 0.0, 319.5, 0.0, 510.0, 239.5, 0.0, 0.0, 1.0],
        'p': [400.0, 0.0, 300.0, 0.0, 0.0, 410.0, 200.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        'binning_x': 0, 'binning_y': 0,
        'roi': SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0),
    }
    return SimpleNamespace(**{**values, **changes})


def test_a_message_becomes_intrinsics():
    assert Intrinsics.from_message(message()) == Intrinsics(
        640, 480, 500.0, 510.0, 319.5, 239.5, 'plumb_bob', (-0.28, 0.07, 0.0, 0.0, 0.0))


def test_a_message_of_ros_1_says_the_same():
    new = message()
    old = SimpleNamespace(**{key.upper() if key in 'dkp' else key: value
                             for key, value in vars(new).items()})
    assert Intrinsics.from_message(old) == Intrinsics.from_message(new)


def test_a_rectified_picture_has_the_projection_and_no_distortion():
    assert Intrinsics.from_message(message(), rectified=True) == Intrinsics(
        640, 480, 400.0, 410.0, 300.0, 200.0)


def test_zeros_say_that_nobody_calibrated():
    assert Intrinsics.from_message(message(k=[0.0] * 9, distortion_model='')) is None


def test_an_empty_name_without_coefficients_is_a_pinhole():
    assert Intrinsics.from_message(message(distortion_model='', d=[])) == Intrinsics(
        640, 480, 500.0, 510.0, 319.5, 239.5)


def test_fisheye_is_another_name_for_equidistant():
    lens = Intrinsics.from_message(message(distortion_model='fisheye', d=[0.0, 0.1, 0.0, 0.0]))
    assert lens is not None
    assert lens.model == 'equidistant'


def test_a_window_moves_the_middle_and_binning_shrinks():
    roi = SimpleNamespace(x_offset=100, y_offset=40, width=400, height=200)
    lens = Intrinsics.from_message(message(roi=roi, binning_x=2, binning_y=2))
    assert lens is not None
    assert (lens.width, lens.height, lens.fx, lens.fy) == (200, 100, 250.0, 255.0)
    assert (lens.cx, lens.cy) == ((219.5 + 0.5) / 2 - 0.5, (199.5 + 0.5) / 2 - 0.5)


@pytest.mark.parametrize(('changes', 'what'), [
    ({'distortion_model': 'double_sphere'}, 'is none of plumb_bob'),
    ({'distortion_model': ''}, 'is none of plumb_bob'),
    ({'d': [0.1, 0.2]}, '2 distortion coefficients'),
    ({'d': [math.nan] * 5}, 'NaN or infinity'),
    ({'k': [math.nan] * 9}, 'NaN or infinity'),
    ({'k': [-500.0, 0.0, 1.0, 0.0, 500.0, 1.0, 0.0, 0.0, 1.0]}, 'is impossible'),
    ({'width': 0}, 'is impossible'),
    ({'k': [1.0]}, '1 numbers in K'),
])
def test_what_makes_no_sense_is_refused(changes, what):
    with pytest.raises(FrameError, match=what):
        Intrinsics.from_message(message(**changes))


@pytest.mark.parametrize('lens', LENSES, ids=lambda lens: f'{lens.model}{len(lens.distortion)}')
def test_rays_undo_the_lens(lens):
    pixels = np.random.default_rng(0).uniform((20, 20), (620, 460), (200, 2))
    rays = lens.rays(pixels)
    assert np.isfinite(rays).all()
    np.testing.assert_allclose(lens.pixels(rays), pixels, atol=1e-3)


def test_rays_of_a_pinhole_are_plain_arithmetic():
    np.testing.assert_allclose(PLAIN.rays(np.array([[819.5, 749.5]])), [[1.0, 1.0]])


def test_no_pixels_have_no_rays():
    for lens in LENSES:
        assert lens.rays(np.empty((0, 2))).shape == (0, 2)
        assert lens.pixels(np.empty((0, 2))).shape == (0, 2)


def test_rays_that_the_polynomial_cannot_tell_are_nan():
    barrel = Intrinsics(640, 480, 250.0, 250.0, 320.0, 240.0, 'plumb_bob', (-0.5, 0, 0, 0, 0))
    assert np.isnan(barrel.rays(np.array([[5000.0, 5000.0]]))).all()


@pytest.mark.parametrize('lens', LENSES)
def test_json_keeps_everything(lens):
    assert Intrinsics.from_record(json.loads(json.dumps(lens.record()))) == lens


def test_a_record_with_other_keys_is_refused():
    with pytest.raises(ValueError, match='missing or unknown keys'):
        Intrinsics.from_record({**PLAIN.record(), 'skew': 0.0})


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(LENSES), st.integers(16, 4000), st.integers(16, 4000))
def test_a_resized_picture_sees_along_the_same_rays(lens, width, height):
    scaled = lens.scaled(width, height)
    pixels = np.random.default_rng(1).uniform((20, 20), (620, 460), (20, 2))
    factor = np.array([width / lens.width, height / lens.height])
    shrunk = (pixels + 0.5) * factor - 0.5
    np.testing.assert_allclose(scaled.pixels(lens.rays(pixels)), shrunk,
                               atol=1e-3 * factor.max())
    back = scaled.scaled(lens.width, lens.height)
    assert (back.fx, back.cx, back.cy) == pytest.approx((lens.fx, lens.cx, lens.cy))


@pytest.mark.parametrize(('image', 'info'), [
    ('/front/image_raw', '/front/camera_info'),
    ('/front/image_raw/compressed', '/front/camera_info'),
    ('/image', '/camera_info'),
    ('/image/compressed', '/camera_info'),
    ('/compressed', '/camera_info'),
    ('image', 'camera_info'),
    ('image/compressed', 'camera_info'),
])
def test_the_camera_info_is_beside_the_image(image, info):
    assert camera_info_topic(image) == info


@pytest.mark.parametrize(('topic', 'rectified'), [
    ('/front/image_raw', False), ('/front/image_rect', True),
    ('/front/image_rect_color/compressed', True), ('/image_rect/front/image_raw', False),
])
def test_rectified_pictures_are_known_by_their_topic(topic, rectified):
    assert is_rectified(topic) is rectified
