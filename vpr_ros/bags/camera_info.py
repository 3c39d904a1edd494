# SPDX-License-Identifier: Apache-2.0
"""The lens of a camera, as a recording tells."""

from __future__ import annotations

from itertools import islice

from vpr_ros.bags.recording import Recording
from vpr_ros.bags.wire import CAMERA_INFO
from vpr_ros.core.intrinsics import camera_info_topic, Intrinsics, is_rectified
from vpr_ros.errors import BagError, FrameError

_TRIED = 20   # a driver may say zeros before it has read its calibration


def read_intrinsics(recording: Recording, image_topic: str, topic: str | None = None
                    ) -> Intrinsics | None:
    """Return the first calibration on `topic`, or on the one beside `image_topic`.

    None when no such topic was recorded, or the camera is not calibrated. A `topic` that was
    named must give one: then BagError is raised instead.
    Raises FrameError for a calibration that cannot be used.
    """
    name = topic or camera_info_topic(image_topic)
    if topic is not None:
        recording.require(name, (CAMERA_INFO,))
    found = recording.topics.get(name)
    if found is None or found.type != CAMERA_INFO or not found.count:
        return None
    for _, message in islice(recording.decoded((name,)), _TRIED):
        try:
            lens = Intrinsics.from_message(message, is_rectified(image_topic))
        except FrameError as error:
            raise FrameError(f'{name}: {error}') from error
        if lens is not None:
            return lens
    if topic is None:
        return None
    raise BagError(f'{name} says that the camera is not calibrated (K is zero); calibrate it, or '
                   'leave --camera-info out')
