# SPDX-License-Identifier: Apache-2.0
"""Which decoder makes a frame of a message: our own, or cv_bridge for those who ask for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from vpr_ros.core.types import Frame, stamp_ns_of
from vpr_ros.errors import FrameError, VprError

Decoder = Callable[[Any, str], Frame]


def frame_decoder(name: str) -> Decoder:
    """Return the function `(message, camera) -> Frame` of the parameter `image_decoder`.

    Raises VprError when cv_bridge is asked for and cannot be imported.
    """
    return Frame.from_message if name == 'builtin' else _cv_bridge()


def _cv_bridge() -> Decoder:
    try:
        # cv_bridge is built for one NumPy and one OpenCV, and dies of others in many ways.
        from cv_bridge import CvBridge
    except Exception as error:
        raise VprError(f'image_decoder is cv_bridge, which cannot be imported here ({error}); '
                       'install ros-<distro>-cv-bridge, or set image_decoder to builtin'
                       ) from error
    bridge = CvBridge()

    def decode(message: Any, camera: str) -> Frame:
        try:
            if hasattr(message, 'encoding'):
                picture = bridge.imgmsg_to_cv2(message, 'rgb8')
            else:
                picture = bridge.compressed_imgmsg_to_cv2(message, 'rgb8')
        except Exception as error:
            raise FrameError(f'cv_bridge cannot decode the image ({error})') from error
        return Frame(stamp_ns_of(message), camera, np.ascontiguousarray(picture, np.uint8))

    return decode
