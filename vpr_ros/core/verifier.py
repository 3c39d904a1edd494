# SPDX-License-Identifier: Apache-2.0
"""Geometric verification against a map: whether a picture shows the place that it resembles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vpr_ros.core.intrinsics import Intrinsics
from vpr_ros.core.local_features import extract, Features
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.relative_turn import heading_correction_rad
from vpr_ros.core.types import Camera, Frame
from vpr_ros.core.verification import Verification, verify
from vpr_ros.errors import MapError


@dataclass(frozen=True, eq=False)
class Look:
    """A frame's local features, taken once however many places are asked for."""

    camera: Camera
    features: Features


class Verifier:
    """Checks frames against places of a map with local features.

    `cameras` are the robot's, as for the localizer: what one of a map's name does not say of its
    lens or mount is taken to be as it was. Holds no state, so it may be shared by threads.
    Raises MapError when the map was built without local features.
    """

    def __init__(self, place_map: PlaceMap, cameras: Sequence[Camera] = ()) -> None:
        if place_map.features is None:
            raise MapError('the map holds no local features, so geometry cannot be checked: build '
                           'it again with --features orb, or set verify to off')
        self._map, self._features = place_map, place_map.features
        known = {camera.name: camera for camera in place_map.cameras}
        self._cameras = known | {camera.name: _completed(camera, known.get(camera.name))
                                 for camera in cameras}

    def look(self, frame: Frame, lens: Intrinsics | None = None) -> Look:
        """Return the features of a frame; `lens`, where given, overrules the camera's own."""
        camera = self._cameras.get(frame.camera, Camera(frame.camera))
        return Look(camera if lens is None else replace(camera, intrinsics=lens),
                    extract(frame.image, self._features.config))

    def check(self, look: Look, place: int) -> Verification:
        """Return how well the frame and a place (its row in the map) agree.

        `heading_rad` is set where both lenses and both mounts are known.
        """
        seen_by = self._map.cameras[int(self._map.camera_of[place])]
        found = verify(look.features, self._features.of(place), look.camera.intrinsics,
                       seen_by.intrinsics)
        mounts = seen_by.base_from_camera, look.camera.base_from_camera
        if found.turn is None or mounts[0] is None or mounts[1] is None:
            return found
        return replace(found, heading_rad=heading_correction_rad(found.turn, mounts[0],
                                                                 mounts[1]))


def _completed(camera: Camera, known: Camera | None) -> Camera:
    if known is None:
        return camera
    return Camera(
        camera.name,
        known.base_from_camera if camera.base_from_camera is None else camera.base_from_camera,
        camera.intrinsics or known.intrinsics)
