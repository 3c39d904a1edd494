# SPDX-License-Identifier: Apache-2.0
"""RGB pictures as the bytes of an Image message: what `core.image` decodes, the other way."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.errors import BagError

Pixels = NDArray[np.uint8]

# Channel (0 red, 1 green, 2 blue) of each pixel in the 2x2 cell that a Bayer sensor repeats.
_BAYER = {'bayer_rggb8': (0, 1, 1, 2), 'bayer_bggr8': (2, 1, 1, 0),
          'bayer_gbrg8': (1, 2, 0, 1), 'bayer_grbg8': (1, 0, 2, 1)}
# BT.601 with video range, as OpenCV reads YUV.
_RGB_TO_YUV = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0],
                        [112.0, -93.786, -18.214]]) / 255.0
_YUV_OFFSET = np.array([16.0, 128.0, 128.0])

ENCODINGS = ('rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8', 'mono16', *_BAYER, 'yuv422',
             'yuv422_yuy2', 'nv12', 'nv21')


class RawImage(NamedTuple):
    """The fields of a `sensor_msgs/Image` that describe its picture."""

    height: int
    width: int
    encoding: str
    is_bigendian: bool
    step: int
    data: Pixels  # flat


def raw_image(rgb: Pixels, encoding: str = 'rgb8', padding_bytes: int = 0,
              is_bigendian: bool = False) -> RawImage:
    """Return `rgb` (H, W, 3) in an encoding, each row followed by `padding_bytes` of 0xAA.

    Raises BagError for an encoding that is not in ENCODINGS, or a size that does not fit it.
    """
    height, width = rgb.shape[:2]
    rows = _rows(rgb, encoding, is_bigendian)
    if padding_bytes:
        rows = np.pad(rows, ((0, 0), (0, padding_bytes)), constant_values=0xAA)
    return RawImage(height, width, encoding, is_bigendian, rows.shape[1], rows.reshape(-1))


def _rows(rgb: Pixels, encoding: str, is_bigendian: bool) -> Pixels:
    height, width = rgb.shape[:2]
    if encoding == 'rgb8':
        return np.ascontiguousarray(rgb).reshape(height, -1)
    if encoding in ('bgr8', 'bgra8', 'rgba8'):
        color = rgb if encoding[0] == 'r' else rgb[..., ::-1]
        if encoding.endswith('a8'):
            color = np.concatenate([color, np.full_like(rgb[..., :1], 255)], axis=-1)
        return np.ascontiguousarray(color).reshape(height, -1)
    if encoding in ('mono8', 'mono16'):
        gray = np.asarray(cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY), np.uint8)
        if encoding == 'mono8':
            return gray
        order = '>u2' if is_bigendian else '<u2'
        return (gray.astype(np.uint16) * 257).astype(order).view(np.uint8).reshape(height, -1)
    if encoding in _BAYER:
        mosaic = np.empty((height, width), np.uint8)
        for index, channel in enumerate(_BAYER[encoding]):
            row, column = divmod(index, 2)
            mosaic[row::2, column::2] = rgb[row::2, column::2, channel]
        return mosaic
    if encoding in ENCODINGS:
        return _yuv_rows(rgb, encoding)
    raise BagError(f'cannot write encoding {encoding!r}; choose one of {", ".join(ENCODINGS)}')


def _yuv_rows(rgb: Pixels, encoding: str) -> Pixels:
    height, width = rgb.shape[:2]
    planar = encoding in ('nv12', 'nv21')
    if width % 2 or (planar and height % 2):
        raise BagError(f'{encoding} cannot hold {width}x{height} pixels; choose an even size')
    yuv = np.clip(np.rint(rgb @ _RGB_TO_YUV.T + _YUV_OFFSET), 0, 255).astype(np.uint8)
    if planar:
        cell = yuv.reshape(height // 2, 2, width // 2, 2, 3).mean(axis=(1, 3))
        color = np.rint(cell[..., 1:]).astype(np.uint8)
        color = color if encoding == 'nv12' else color[..., ::-1]
        return np.concatenate([yuv[..., 0], color.reshape(height // 2, width)])
    pair = np.rint(yuv.reshape(height, width // 2, 2, 3).mean(axis=2)).astype(np.uint8)
    packed = np.empty((height, width, 2), np.uint8)
    brightness, color_at = (1, 0) if encoding == 'yuv422' else (0, 1)
    packed[..., brightness] = yuv[..., 0]
    packed[..., color_at] = pair[..., 1:].reshape(height, width)
    return packed.reshape(height, -1)
