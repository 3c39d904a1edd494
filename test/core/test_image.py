# SPDX-License-Identifier: Apache-2.0
from array import array
import os
import struct
from types import SimpleNamespace
import zlib

import cv2
from hypothesis import given, strategies as st
import numpy as np
import pytest

from vpr_ros.core.image import decode_image, SUPPORTED
from vpr_ros.core.types import Frame
from vpr_ros.errors import FrameError

FLAT = np.array([200, 120, 40], np.uint8)  # red, green, blue: all apart


def message(encoding, data, width, height, step, is_bigendian=0):
    return SimpleNamespace(encoding=encoding, data=data, width=width, height=height, step=step,
                           is_bigendian=is_bigendian)


def of_rows(encoding, rows, width, height=None, padding=0, is_bigendian=0):
    """Return a message of (rows, bytes) with `padding` bytes of rubbish behind each row."""
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=0x5A)
    return message(encoding, padded.tobytes(), width, height or len(rows), padded.shape[1],
                   is_bigendian)


def compressed(data, name='jpeg'):
    return SimpleNamespace(format=name, data=data)


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


@pytest.mark.parametrize('padding', [0, 1, 4, 7])
@pytest.mark.parametrize(('encoding', 'order'), [
    ('rgb8', [0, 1, 2]), ('bgr8', [2, 1, 0]), ('8UC3', [2, 1, 0]),
    ('rgba8', [0, 1, 2, 0]), ('bgra8', [2, 1, 0, 0])])
def test_colors_keep_their_place(noise, encoding, order, padding):
    rows = noise[..., order].reshape(6, -1)
    np.testing.assert_array_equal(decode_image(of_rows(encoding, rows, 8, padding=padding)), noise)


@pytest.mark.parametrize('padding', [0, 3])
@pytest.mark.parametrize('encoding', ['mono8', '8UC1'])
def test_gray_becomes_three_equal_channels(noise, encoding, padding):
    gray = noise[..., 0]
    picture = decode_image(of_rows(encoding, gray, 8, padding=padding))
    np.testing.assert_array_equal(picture, np.repeat(gray[..., None], 3, axis=2))


@pytest.mark.parametrize('padding', [0, 1, 5])
@pytest.mark.parametrize('is_bigendian', [0, 1])
def test_mono16_keeps_the_high_byte_in_either_order(is_bigendian, padding):
    values = np.array([[0, 255, 256], [4711, 65280, 65535]], np.uint16)
    rows = values.astype('>u2' if is_bigendian else '<u2').view(np.uint8).reshape(2, 6)
    picture = decode_image(of_rows('mono16', rows, 3, padding=padding, is_bigendian=is_bigendian))
    np.testing.assert_array_equal(picture[..., 1], values >> 8)


@pytest.mark.parametrize('padding', [0, 3])
@pytest.mark.parametrize('cell', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_bayer_recovers_a_flat_color(cell, padding):
    mosaic = np.empty((8, 10), np.uint8)
    for index, letter in enumerate(cell):  # as the letters stand in the sensor's first cell
        mosaic[index // 2::2, index % 2::2] = FLAT['rgb'.index(letter)]
    picture = decode_image(of_rows(f'bayer_{cell}8', mosaic, 10, padding=padding))
    np.testing.assert_array_equal(picture[2:-2, 2:-2], np.broadcast_to(FLAT, (4, 6, 3)))


def yuv_of(rgb):
    """BT.601, video range, by the formula of the standard."""
    r, g, b = (float(c) / 255 for c in rgb)
    y = 16 + 65.481 * r + 128.553 * g + 24.966 * b
    u = 128 + 112 * (b - (0.299 * r + 0.587 * g + 0.114 * b)) / 0.886
    v = 128 + 112 * (r - (0.299 * r + 0.587 * g + 0.114 * b)) / 0.701
    return round(y), round(u), round(v)


def flat_yuv(encoding, width, height):
    y, u, v = yuv_of(FLAT)
    if encoding in ('nv12', 'nv21'):
        pair = [u, v] if encoding == 'nv12' else [v, u]
        return np.array([[y] * width] * height + [pair * (width // 2)] * (height // 2), np.uint8)
    four = [u, y, v, y] if encoding in ('yuv422', 'uyvy') else [y, u, y, v]
    return np.array([four * (width // 2)] * height, np.uint8)


YUV = ['yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv', 'nv12', 'nv21']


@pytest.mark.parametrize('padding', [0, 3])
@pytest.mark.parametrize('encoding', YUV)
def test_yuv_recovers_a_flat_color(encoding, padding):
    picture = decode_image(of_rows(encoding, flat_yuv(encoding, 6, 4), 6, 4, padding))
    assert picture.shape == (4, 6, 3)
    np.testing.assert_allclose(picture.astype(int), np.broadcast_to(FLAT, (4, 6, 3)), atol=3)


@pytest.mark.parametrize('encoding', YUV)
def test_yuv_keeps_brightness_at_its_pixel(encoding):
    brightness = np.array([[50, 90, 130, 200], [210, 60, 100, 80]], np.uint8)
    rows = np.full((3, 4) if encoding.startswith('nv') else (2, 8), 128, np.uint8)
    if encoding.startswith('nv'):
        rows[:2] = brightness
    else:
        rows[:, (1 if encoding in ('yuv422', 'uyvy') else 0)::2] = brightness
    picture = decode_image(of_rows(encoding, rows, 4, 2))
    expected = np.rint((brightness.astype(float) - 16) * 255 / 219)
    np.testing.assert_allclose(picture[..., 1], expected, atol=1)


@pytest.mark.parametrize('wrap', [
    bytes, bytearray, memoryview, lambda d: array('B', d), lambda d: np.frombuffer(d, np.uint8)])
def test_every_kind_of_buffer_is_taken(noise, wrap):
    data = wrap(noise.tobytes())
    np.testing.assert_array_equal(decode_image(message('rgb8', data, 8, 6, 24)), noise)


def test_rgb8_is_a_view_and_not_a_copy(noise):
    data = array('B', noise.tobytes())
    assert np.shares_memory(decode_image(message('rgb8', data, 8, 6, 24)),
                            np.frombuffer(data, np.uint8))


def test_surplus_bytes_behind_the_image_are_ignored(noise):
    picture = decode_image(message('rgb8', noise.tobytes() + b'more', 8, 6, 24))
    np.testing.assert_array_equal(picture, noise)


@pytest.mark.parametrize(('fields', 'told'), [
    (('16UC1', bytes(96), 8, 6, 16), r'16UC1 is a depth image.*choose the color or mono topic'),
    (('32FC1', bytes(192), 8, 6, 32), r'32FC1 is a depth image'),
    (('rgb565', bytes(96), 8, 6, 16), r"'rgb565' is not supported; supported: mono8, .*nv21"),
    (('', bytes(96), 8, 6, 16), r"encoding '' is not supported"),
    (('rgb8', b'', 0, 6, 0), r'0x6 pixels is empty'),
    (('rgb8', b'', 8, 0, 24), r'8x0 pixels is empty'),
    (('rgb8', bytes(143), 8, 6, 24), r'needs 144 bytes and has 143; .*cut short'),
    (('rgb8', b'', 8, 6, 24), r'needs 144 bytes and has 0|no readable data'),
    (('rgb8', bytes(143), 8, 6, 23), r'step 23 is too small for the 24 bytes'),
    (('mono16', bytes(96), 8, 6, 15), r'step 15 is too small for the 16 bytes'),
    (('yuv422', bytes(84), 7, 6, 14), r'two pixels, but the image is 7 wide'),
    (('nv12', bytes(84), 7, 6, 14), r'two pixels, but the image is 7 wide'),
    (('nv21', bytes(84), 8, 5, 8), r'two rows, but the image is 5 high'),
    (('nv12', bytes(48), 8, 6, 8), r'needs 72 bytes and has 48'),
    (('rgb8', None, 8, 6, 24), r'no readable data'),
])
def test_what_is_no_picture_is_refused(fields, told):
    with pytest.raises(FrameError, match=told):
        decode_image(message(*fields))


def test_something_else_is_refused_by_its_type():
    with pytest.raises(FrameError, match='SimpleNamespace is neither an Image nor'):
        decode_image(SimpleNamespace(data=b''))


@given(encoding=st.sampled_from(SUPPORTED), width=st.integers(-1, 9), height=st.integers(-1, 9),
       step=st.integers(0, 40), size=st.integers(0, 400))
def test_any_fields_give_a_picture_of_their_size_or_a_frame_error(encoding, width, height, step,
                                                                 size):
    try:
        picture = decode_image(message(encoding, bytes(size), width, height, step))
    except FrameError:
        return
    assert picture.shape == (height, width, 3)
    assert picture.dtype == np.uint8


@pytest.fixture(params=['with IMREAD_COLOR_RGB', 'OpenCV of apt'])
def opencv(request, monkeypatch):
    if request.param == 'OpenCV of apt':
        monkeypatch.delattr(cv2, 'IMREAD_COLOR_RGB', raising=False)


def encoded(rgb, suffix):
    return cv2.imencode(suffix, np.ascontiguousarray(rgb[..., ::-1]))[1].tobytes()


@pytest.mark.usefixtures('opencv')
@pytest.mark.parametrize('name', ['png', 'rgb8; png compressed bgr8', 'bgr8;png', ''])
def test_png_is_exact(noise, name):
    picture = decode_image(compressed(array('B', encoded(noise, '.png')), name))
    np.testing.assert_array_equal(picture, noise)


@pytest.mark.usefixtures('opencv')
@pytest.mark.parametrize('name', ['jpeg', 'jpg', 'rgb8; jpeg compressed bgr8'])
def test_jpeg_keeps_its_colors(name):
    flat = np.broadcast_to(FLAT, (16, 24, 3))
    picture = decode_image(compressed(encoded(flat, '.jpg'), name))
    np.testing.assert_allclose(picture.astype(int), flat, atol=3)


@pytest.mark.usefixtures('opencv')
def test_png_of_16_bits_and_of_gray_become_rgb8():
    deep = np.full((4, 5, 3), [40 * 257, 120 * 257, 200 * 257], np.uint16)
    data = cv2.imencode('.png', deep)[1].tobytes()
    np.testing.assert_array_equal(decode_image(compressed(data, 'png')),
                                  np.broadcast_to(FLAT, (4, 5, 3)))
    gray = cv2.imencode('.png', np.full((4, 5), 77, np.uint8))[1].tobytes()
    assert (decode_image(compressed(gray, 'png')) == 77).all()


@pytest.mark.usefixtures('opencv')
@pytest.mark.parametrize(('data', 'name', 'told'), [
    (b'', 'jpeg', "'jpeg'|no readable data"),
    (b'not an image', 'h264', r"12 bytes of format 'h264' are not a JPEG or PNG"),
    (b'x' * 64, '16UC1; compressedDepth png', 'is a depth image'),
    (b'x' * 64, '32FC1; png compressed', 'is a depth image'),
])
def test_undecodable_bytes_are_refused(data, name, told):
    with pytest.raises(FrameError, match=told):
        decode_image(compressed(data, name))


@pytest.mark.usefixtures('opencv')
@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
@pytest.mark.parametrize('kept', [0.2, 0.5, 0.9])
def test_half_a_picture_is_none(suffix, kept):
    whole = encoded(np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8), suffix)
    with pytest.raises(FrameError, match='damaged'):
        decode_image(compressed(whole[:int(kept * len(whole))], suffix[1:]))


def test_a_header_cannot_make_opencv_allocate_gigabytes():
    def chunk(kind, body):
        return (struct.pack('>I', len(body)) + kind + body
                + struct.pack('>I', zlib.crc32(kind + body)))

    header = struct.pack('>IIBBBBB', 30000, 30000, 8, 2, 0, 0, 0)
    bomb = (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header)
            + chunk(b'IDAT', zlib.compress(bytes(1000))) + chunk(b'IEND', b''))
    assert int(os.environ['OPENCV_IO_MAX_IMAGE_PIXELS']) < 30000 * 30000
    with pytest.raises(FrameError):
        decode_image(compressed(bomb, 'png'))


def test_a_frame_takes_its_stamp_from_the_header(noise):
    image = message('rgb8', noise.tobytes(), 8, 6, 24)
    image.header = SimpleNamespace(stamp=SimpleNamespace(sec=1_700_000_000, nanosec=123_456_789))
    frame = Frame.from_message(image, 'front')
    assert (frame.stamp_ns, frame.camera) == (1_700_000_000_123_456_789, 'front')
