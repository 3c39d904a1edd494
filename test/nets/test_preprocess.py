# SPDX-License-Identifier: Apache-2.0
import cv2
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest
import torch

from vpr_ros.core.card import Preprocessing, Resize
from vpr_ros.errors import FrameError
from vpr_ros.nets.preprocess import preprocess
from vpr_ros.nets.smooth_resize import resize_smoothly

MEAN, STD = (0.1, 0.4, 0.7), (0.2, 0.3, 0.5)


def restated(pixels, scale=255.0):
    """(H, W, 3) already of the input size -> (3, H, W), pixel by pixel as the card says."""
    out = np.empty((3, *pixels.shape[:2]))
    for c in range(3):
        for y in range(pixels.shape[0]):
            for x in range(pixels.shape[1]):
                out[c, y, x] = (float(pixels[y, x, c]) / scale - MEAN[c]) / STD[c]
    return out


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_an_image_of_the_input_size_is_only_scaled():
    image = noise(9, 12)
    got = preprocess([image], Preprocessing(9, 12, mean=MEAN, std=STD, scale=200.0))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got[0], restated(image, 200.0), atol=1e-5)


def test_area_resizing_averages_what_it_shrinks():
    image = noise(32, 48)
    blocks = image.reshape(8, 4, 12, 4, 3).astype(float).mean(axis=(1, 3))
    got = preprocess([image], Preprocessing(8, 12, Resize.AREA, mean=MEAN, std=STD))
    one_level = 1.0 / 255.0 / min(STD)  # pixels are rounded to whole levels between
    np.testing.assert_allclose(got[0], restated(blocks), atol=0.51 * one_level)


@pytest.mark.parametrize(('size', 'halved'), [((32, 48), 2), ((16, 40), 1), ((34, 50), 1)])
def test_halving_averages_2x2_pixels_while_it_can(size, halved):
    image = noise(*size)
    wanted = image.astype(float)
    for _ in range(halved):
        height, width = wanted.shape[:2]
        wanted = wanted.reshape(height // 2, 2, width // 2, 2, 3).mean(axis=(1, 3))
    wanted = cv2.resize(wanted, (12, 8), interpolation=cv2.INTER_AREA)
    got = preprocess([image], Preprocessing(8, 12, Resize.HALVED_AREA, mean=MEAN, std=STD))
    np.testing.assert_allclose(got[0], restated(wanted), atol=1.51 / 255.0 / min(STD))


@pytest.mark.parametrize('size', [(31, 48), (15, 12), (8, 24), (5, 5)])
def test_what_cannot_be_halved_is_only_averaged(size):
    image = noise(*size)
    halved, area = (preprocess([image], Preprocessing(8, 12, resize, mean=MEAN, std=STD))
                    for resize in (Resize.HALVED_AREA, Resize.AREA))
    np.testing.assert_array_equal(halved, area)


def test_bilinear_resizing_takes_the_pixels_beside_the_center():
    image = noise(32, 32)
    middle = image.reshape(8, 4, 8, 4, 3)[:, 1:3, :, 1:3].astype(float).mean(axis=(1, 3))
    got = preprocess([image], Preprocessing(8, 8, Resize.BILINEAR, mean=MEAN, std=STD))
    np.testing.assert_allclose(got[0], restated(middle), atol=1.01 / 255.0 / min(STD))


@given(height=st.integers(1, 90), width=st.integers(1, 90), level=st.integers(0, 255),
       resize=st.sampled_from(Resize))
def test_one_color_stays_one_color_at_any_size(height, width, level, resize):
    image = np.full((height, width, 3), level, np.uint8)
    got = preprocess([image], Preprocessing(16, 24, resize, mean=MEAN, std=STD))
    assert got.shape == (1, 3, 16, 24)
    wanted = [(level / 255.0 - m) / s for m, s in zip(MEAN, STD, strict=True)]
    np.testing.assert_allclose(got[0], np.broadcast_to(np.reshape(wanted, (3, 1, 1)),
                                                       (3, 16, 24)), atol=1e-5)


def test_a_batch_is_its_images_one_by_one_and_leaves_them_alone():
    images = [noise(20, 30, 1), noise(41, 17, 2), np.asfortranarray(noise(8, 8, 3)),
              noise(40, 40, 4)[::2, ::-2]]
    before = [image.copy() for image in images]
    pre = Preprocessing(8, 8)
    together = preprocess(images, pre)
    for image, copy, row in zip(images, before, together, strict=True):
        np.testing.assert_array_equal(preprocess([image], pre)[0], row)
        np.testing.assert_array_equal(image, copy)


def test_no_images_are_an_empty_batch():
    assert preprocess([], Preprocessing(8, 10)).shape == (0, 3, 8, 10)


@pytest.mark.parametrize('image', [
    np.zeros((8, 8), np.uint8), np.zeros((8, 8, 1), np.uint8), np.zeros((8, 8, 4), np.uint8),
    np.zeros((8, 8, 3), np.float32), np.zeros((8, 8, 3), np.uint16),
    np.zeros((0, 8, 3), np.uint8), np.zeros((1, 8, 8, 3), np.uint8),
], ids=str)
def test_what_is_no_rgb_image_is_refused(image):
    with pytest.raises(FrameError, match=r'must be \(height, width, 3\) uint8 RGB'):
        preprocess([image], Preprocessing(8, 8))


@pytest.mark.parametrize(('resize', 'mode'), [(Resize.SMOOTH_BILINEAR, 'bilinear'),
                                              (Resize.SMOOTH_BICUBIC, 'bicubic')])
@settings(max_examples=40)
@given(size=st.tuples(*[st.integers(2, 60)] * 4), seed=st.integers(0, 99))
def test_smooth_resizing_is_torchs_with_antialias(resize, mode, size, seed):
    image = noise(size[0], size[1], seed)
    wanted = torch.nn.functional.interpolate(
        torch.from_numpy(image).permute(2, 0, 1).contiguous()[None].float(), size[2:], mode=mode,
        antialias=True)[0].clip(0.0, 255.0)
    np.testing.assert_allclose(resize_smoothly(image, size[2:], resize), wanted, atol=0.01)


@pytest.mark.parametrize(('resize', 'number'), [(Resize.SMOOTH_BILINEAR, 2),
                                                (Resize.SMOOTH_BICUBIC, 3)])
def test_smooth_resizing_is_pils_but_for_its_rounding(resize, number):
    pil = pytest.importorskip('PIL.Image', reason='Pillow is not installed')
    image = noise(96, 120)
    wanted = np.asarray(pil.fromarray(image).resize((50, 64), number), float)
    got = resize_smoothly(image, (64, 50), resize).transpose(1, 2, 0)
    assert np.abs(got - wanted).max() < 1.5
    assert np.abs(got - wanted).mean() < 0.5


def test_smooth_resizing_reaches_the_network_in_float():
    image, pre = noise(30, 40), Preprocessing(8, 12, Resize.SMOOTH_BICUBIC, mean=MEAN, std=STD)
    wanted = resize_smoothly(image, (8, 12), Resize.SMOOTH_BICUBIC)
    np.testing.assert_allclose(preprocess([image], pre)[0], restated(wanted.transpose(1, 2, 0)),
                               atol=1e-5)
