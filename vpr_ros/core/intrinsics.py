# SPDX-License-Identifier: Apache-2.0
"""How a camera's lens maps directions to pixels, as a CameraInfo says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.errors import FrameError

EQUIDISTANT = 'equidistant'
# How many coefficients each model may have (none: no distortion), as OpenCV orders them.
_COEFFICIENTS = {
    'plumb_bob': (0, 4, 5),
    'rational_polynomial': (0, 4, 5, 8, 12, 14),
    EQUIDISTANT: (0, 4),
}
_ALIASES = {'fisheye': EQUIDISTANT}
_ITERATIONS = (cv2.TERM_CRITERIA_MAX_ITER | cv2.TERM_CRITERIA_EPS, 40, 1e-10)
_MAX_ERROR_PX = 1.0


@dataclass(frozen=True)
class Intrinsics:
    """A calibrated lens for pictures of `width` x `height`; `fx fy cx cy` in pixels.

    Pixel (0, 0) is the middle of the first pixel. `distortion` is what `model` (plumb_bob,
    rational_polynomial or equidistant) needs, in the order of CameraInfo and OpenCV.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    model: str = 'plumb_bob'
    distortion: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.model not in _COEFFICIENTS:
            raise ValueError(f'distortion model {self.model!r} is none of '
                             f'{", ".join(_COEFFICIENTS)}')
        if len(self.distortion) not in _COEFFICIENTS[self.model]:
            raise ValueError(f'{len(self.distortion)} distortion coefficients do not fit the '
                             f'model {self.model}')
        numbers = (self.fx, self.fy, self.cx, self.cy, *self.distortion)
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError('the intrinsics hold NaN or infinity')
        if min(self.width, self.height) < 1 or min(self.fx, self.fy) <= 0.0:
            raise ValueError(f'a picture of {self.width}x{self.height} with focal lengths '
                             f'{self.fx:g} and {self.fy:g} is impossible')

    @classmethod
    def from_message(cls, message: Any, rectified: bool = False) -> Intrinsics | None:
        """Return what a `sensor_msgs/CameraInfo` (rclpy's or rosbags', ROS 1's too) says.

        None where the camera is not calibrated, which a CameraInfo says by a K of zeros.
        `rectified`: the pictures are rectified, so P holds and nothing is distorted.
        A region of interest and binning are applied, as image_geometry does.
        Raises FrameError for a model that is not known here and for numbers that make no sense.
        """
        k = _floats(message, 'p' if rectified else 'k', 12 if rectified else 9)
        if not any(k):
            return None
        fx, cx, fy, cy = (k[0], k[2], k[5], k[6]) if rectified else (k[0], k[2], k[4], k[5])
        name = str(message.distortion_model).strip()
        distortion = tuple(_floats(message, 'd'))
        if rectified or (not name and not any(distortion)):
            name, distortion = 'plumb_bob', ()  # many simulators leave the name empty
        x, y, width, height = _window(message)
        bin_x, bin_y = max(1, int(message.binning_x)), max(1, int(message.binning_y))
        try:
            whole = cls(width, height, fx, fy, cx - x, cy - y, _ALIASES.get(name, name),
                        distortion)
            return whole.scaled(max(1, width // bin_x), max(1, height // bin_y))
        except ValueError as error:
            raise FrameError(f'the CameraInfo cannot be used ({error}); calibrate the camera '
                             'again, or leave its CameraInfo out') from error

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Intrinsics:
        """Return what `record` wrote down. Raises ValueError or TypeError where it is no such."""
        if set(record) != {field.name for field in fields(cls)}:
            raise ValueError('the intrinsics of a camera have missing or unknown keys')
        return cls(**{**record, 'distortion': tuple(record['distortion'])})

    def record(self) -> dict[str, Any]:
        """Return plain numbers and lists for JSON."""
        return {**asdict(self), 'distortion': list(self.distortion)}

    def scaled(self, width: int, height: int) -> Intrinsics:
        """Return the intrinsics of the same picture resized to `width` x `height`."""
        sx, sy = width / self.width, height / self.height
        return Intrinsics(width, height, self.fx * sx, self.fy * sy,
                          (self.cx + 0.5) * sx - 0.5, (self.cy + 0.5) * sy - 0.5,
                          self.model, self.distortion)

    def matrix(self) -> NDArray[np.float64]:
        """Return K (3, 3)."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    def rays(self, pixels: NDArray[Any]) -> NDArray[np.float64]:
        """Return where the rays through `pixels` (n, 2) cut the plane z = 1, (n, 2).

        NaN where the distortion cannot be undone: its polynomial holds near the picture only.
        """
        points = np.asarray(pixels, dtype=np.float64).reshape(-1, 1, 2)
        if not len(points):
            return np.empty((0, 2))
        k, d = self.matrix(), np.array(self.distortion or (0.0, 0.0, 0.0, 0.0))
        if self.model == EQUIDISTANT:
            rays = cv2.fisheye.undistortPoints(points, k, d)
        else:
            rays = _undistorted(points, k, d)
        flat: NDArray[np.float64] = np.asarray(rays, dtype=np.float64).reshape(-1, 2)
        wrong = ~(np.abs(self.pixels(flat) - points[:, 0]).max(axis=1) < _MAX_ERROR_PX)
        flat[wrong] = np.nan
        return flat

    def pixels(self, rays: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the pixels (n, 2) of directions `rays` (n, 2) on the plane z = 1."""
        if not len(rays):
            return np.empty((0, 2))
        k, d = self.matrix(), np.array(self.distortion or (0.0, 0.0, 0.0, 0.0))
        zero = np.zeros(3)
        if self.model == EQUIDISTANT:
            points = cv2.fisheye.distortPoints(rays.reshape(-1, 1, 2), k, d)
        else:
            on_plane = np.column_stack([rays, np.ones(len(rays))])
            points, _ = cv2.projectPoints(on_plane, zero, zero, k, d)
        found: NDArray[np.float64] = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        return found


def camera_info_topic(image_topic: str) -> str:
    """Return where the CameraInfo of an image topic is published: `camera_info` beside it.

    `/front/image_raw` and `/front/image_raw/compressed` both give `/front/camera_info`.
    """
    parts = image_topic.split('/')
    if parts[-1] == 'compressed' and len(parts) > 1 and parts[-2]:
        parts.pop()
    return '/'.join([*parts[:-1], 'camera_info'])


def is_rectified(image_topic: str) -> bool:
    """Return whether a topic holds rectified pictures, by the names that image_proc gives."""
    return any(part.startswith('image_rect') for part in image_topic.split('/')[-2:])


def _undistorted(points: NDArray[np.float64], k: NDArray[np.float64], d: NDArray[np.float64]
                 ) -> Any:
    older = getattr(cv2, 'undistortPointsIter', None)  # OpenCV 4 has the criteria only there
    if older is not None:
        return older(points, k, d, np.eye(3), np.eye(3), _ITERATIONS)
    return cv2.undistortPoints(points, k, d, criteria=_ITERATIONS)


def _floats(message: Any, name: str, count: int | None = None) -> list[float]:
    """Return a field that ROS 2 writes small and ROS 1 in capitals."""
    values = getattr(message, name, None)
    if values is None:
        values = getattr(message, name.upper())
    numbers = [float(value) for value in values]
    if count is not None and len(numbers) != count:
        raise FrameError(f'the CameraInfo has {len(numbers)} numbers in {name.upper()}, '
                         f'not {count}; calibrate the camera again')
    return numbers


def _window(message: Any) -> tuple[int, int, int, int]:
    """Return x, y, width and height of the region of interest; the whole picture where unset."""
    roi = message.roi
    if roi.width and roi.height:
        return int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height)
    return 0, 0, int(message.width), int(message.height)
