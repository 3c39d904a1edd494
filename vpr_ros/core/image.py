# SPDX-License-Identifier: Apache-2.0
"""The one decoder of image messages, for live topics and recordings alike."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vpr_ros.errors import FrameError

# OpenCV reads this once, while it is being imported, so it has to be said before: a damaged
# header of a few bytes may claim a gigapixel, which OpenCV would allocate (3 GB) by default.
os.environ.setdefault('OPENCV_IO_MAX_IMAGE_PIXELS', str(2**27))

import cv2

Pixels = NDArray[np.uint8]


class _Layout(NamedTuple):
    """How an encoding lies in a row, and the conversion that makes RGB of it."""

    channels: int
    bytes_each: int       # of one channel
    to_rgb: int | None    # cv2 code; None where it is RGB already


# OpenCV names a Bayer pattern by the second row's second and third pixel, ROS by the first row's
# first two: ROS's rggb is OpenCV's BG.
_BAYER = {'rggb': cv2.COLOR_BayerBG2RGB, 'bggr': cv2.COLOR_BayerRG2RGB,
          'gbrg': cv2.COLOR_BayerGR2RGB, 'grbg': cv2.COLOR_BayerGB2RGB}

_PACKED = {
    'mono8': _Layout(1, 1, cv2.COLOR_GRAY2RGB),
    '8UC1': _Layout(1, 1, cv2.COLOR_GRAY2RGB),
    'mono16': _Layout(1, 2, cv2.COLOR_GRAY2RGB),
    'rgb8': _Layout(3, 1, None),
    'bgr8': _Layout(3, 1, cv2.COLOR_BGR2RGB),
    '8UC3': _Layout(3, 1, cv2.COLOR_BGR2RGB),  # unnamed channels are in OpenCV's own order
    'rgba8': _Layout(4, 1, cv2.COLOR_RGBA2RGB),
    'bgra8': _Layout(4, 1, cv2.COLOR_BGRA2RGB),
    **{f'bayer_{name}8': _Layout(1, 1, code) for name, code in _BAYER.items()},
    'yuv422': _Layout(2, 1, cv2.COLOR_YUV2RGB_UYVY),
    'uyvy': _Layout(2, 1, cv2.COLOR_YUV2RGB_UYVY),
    'yuv422_yuy2': _Layout(2, 1, cv2.COLOR_YUV2RGB_YUY2),
    'yuyv': _Layout(2, 1, cv2.COLOR_YUV2RGB_YUY2),
}
_PLANAR = {'nv12': cv2.COLOR_YUV2RGB_NV12, 'nv21': cv2.COLOR_YUV2RGB_NV21}
_DEPTH = ('16UC1', '16SC1', '32FC1', '64FC1')
_EVEN_WIDTH = ('yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv', 'nv12', 'nv21')

SUPPORTED = (*_PACKED, *_PLANAR)


def decode_image(message: Any) -> Pixels:
    """Return the picture in a `sensor_msgs` Image or CompressedImage as (H, W, 3) RGB uint8.

    Takes rclpy's and rosbags' messages: `data` may be bytes, array('B') or an ndarray. The result
    may be a read-only view of the message's own bytes (rgb8 without padding is not copied).
    16-bit images keep the high byte, `value >> 8`. YUV is taken as BT.601 with video range.
    Raises FrameError when the message does not hold a picture that can be decoded.
    """
    if hasattr(message, 'encoding'):
        return _decode_raw(message)
    if hasattr(message, 'format'):
        return _decode_compressed(message)
    raise FrameError(f'{type(message).__name__} is neither an Image nor a CompressedImage')


def _decode_raw(message: Any) -> Pixels:
    encoding, width, height = str(message.encoding), int(message.width), int(message.height)
    if encoding in _DEPTH:
        raise FrameError(f'encoding {encoding} is a depth image, not a picture; '
                         'choose the color or mono topic of this camera')
    if width <= 0 or height <= 0:
        raise FrameError(f'an image of {width}x{height} pixels is empty; check the camera driver')
    if encoding in _EVEN_WIDTH and width % 2:
        raise FrameError(f'{encoding} shares its color between two pixels, but the image is '
                         f'{width} wide; check the camera driver')
    if encoding in _PLANAR:
        if height % 2:
            raise FrameError(f'{encoding} shares its color between two rows, but the image is '
                             f'{height} high; check the camera driver')
        # All rows of brightness, then half as many of interleaved color.
        rows = _rows(message, width, height * 3 // 2)
        return _converted(np.ascontiguousarray(rows), _PLANAR[encoding])
    if encoding not in _PACKED:
        raise FrameError(f'encoding {encoding!r} is not supported; '
                         f'supported: {", ".join(SUPPORTED)}')
    layout = _PACKED[encoding]
    rows = _rows(message, width * layout.channels * layout.bytes_each, height)
    if layout.bytes_each == 2:
        rows = rows[:, 0 if message.is_bigendian else 1::2]
    if layout.channels > 1:
        # A row of a padded image is one run of bytes, so this is a view as well.
        rows = rows.reshape(height, width, layout.channels)
    picture = np.ascontiguousarray(rows)
    return picture if layout.to_rgb is None else _converted(picture, layout.to_rgb)


def _rows(message: Any, row_bytes: int, row_count: int) -> Pixels:
    """Return (row_count, row_bytes), a view of the data without the padding of `step`."""
    step = int(message.step)
    what = f'{message.encoding} image of {message.width}x{message.height}'
    if step < row_bytes:
        raise FrameError(f'step {step} is too small for the {row_bytes} bytes in a row of an '
                         f'{what}; check the camera driver')
    data = _bytes(message)
    if len(data) < step * row_count:
        raise FrameError(f'an {what} needs {step * row_count} bytes and has {len(data)}; '
                         'the message was cut short')
    return data[:step * row_count].reshape(row_count, step)[:, :row_bytes]


def _bytes(message: Any) -> Pixels:
    try:
        return np.frombuffer(message.data, np.uint8)
    except (TypeError, ValueError, BufferError) as error:  # ValueError: an empty buffer
        raise FrameError(f'the image has no readable data ({error})') from error


def _converted(picture: Pixels, code: int) -> Pixels:
    try:
        return np.asarray(cv2.cvtColor(picture, code), np.uint8)
    except cv2.error as error:  # e.g. a Bayer image of one row
        raise FrameError(f'OpenCV cannot convert an image of {picture.shape} bytes: '
                         f'{error.err}') from error


def _decode_compressed(message: Any) -> Pixels:
    name = str(message.format).strip()
    if 'compressedDepth' in name or name.startswith(_DEPTH):
        raise FrameError(f'format {name!r} is a depth image, not a picture; '
                         'choose the color or mono topic of this camera')
    data = _bytes(message)
    # libjpeg makes up what a cut file lacks, and only newer OpenCV tells; the end mark does.
    cut = data[:2].tobytes() == b'\xff\xd8' and b'\xff\xd9' not in data.tobytes()
    try:
        if hasattr(cv2, 'IMREAD_COLOR_RGB'):
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
        else:  # OpenCV below 4.11, as apt gives with Humble and Jazzy
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
            picture = picture if picture is None else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    except cv2.error as error:  # e.g. more pixels than are allowed
        raise FrameError(f'OpenCV refuses the {name!r} image: {error.err}') from error
    if picture is None or cut:
        raise FrameError(f'{len(data)} bytes of format {name!r} are not a JPEG or PNG that can be '
                         'decoded; the message is damaged or of another codec')
    return np.asarray(picture, np.uint8)
