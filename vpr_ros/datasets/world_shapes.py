# SPDX-License-Identifier: Apache-2.0
"""What a renderer needs: a camera, free-standing pictures, and the lit scene."""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import NDArray

from vpr_ros.datasets.world_textures import Bytes, Floats32

GROUND_PPM = 16.0   # pixels a metre of floor and ceiling
SKY_TOP = 1.2       # tangent of the elevation at the sky's first row; its last is the horizon
DETAIL_M = 2.4      # side of a floor's detail


@dataclass(frozen=True)
class Pinhole:
    """An ideal camera; its frame is optical: x right, y down, z forward."""

    width_px: int
    height_px: int
    focal_px: float

    @classmethod
    def with_view(cls, width_px: int, height_px: int, view_deg: float) -> Pinhole:
        """Return the camera whose horizontal field of view is `view_deg`."""
        return cls(width_px, height_px, width_px / 2 / math.tan(math.radians(view_deg) / 2))

    @property
    def center_px(self) -> tuple[float, float]:
        """The principal point (column, row), pixel centers at integers."""
        return (self.width_px - 1) / 2, (self.height_px - 1) / 2

    def project(self, points_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N, 2) columns and rows of points (N, 3) in the camera's frame."""
        cx, cy = self.center_px
        return np.stack([cx + self.focal_px * points_m[:, 0] / points_m[:, 2],
                         cy + self.focal_px * points_m[:, 1] / points_m[:, 2]], axis=1)


@dataclass(frozen=True)
class Quad:
    """An upright picture from `left` to `right` (metres), seen from its front only.

    `pyramid` holds (H, W, 4) premultiplied RGBA, each half the size of the one before. With
    `width_m` the quad stands at `left`, turns towards the camera, and shades the ground.
    """

    left: tuple[float, float]
    right: tuple[float, float]
    low_m: float
    high_m: float
    pyramid: tuple[Bytes, ...]
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    width_m: float = 0.0


@dataclass(frozen=True)
class Scene:
    """A lit world, ready to be seen.

    Maps from above share `origin_m`: pixel (row, column) of a map with `ppm` is the point
    `origin + (column, row) / ppm`. `ground` is (H, W, 4): color and, as alpha, how much it
    mirrors; `details` are (K, 256, 256) grey textures of 2.4 m, chosen by `detail_of`.
    """

    walls_m: Floats32                 # (M, 4) x y of the left end, x y of the right end
    tops_m: Floats32                  # (M,)
    strips: Floats32                  # (M, 3) left pixel, bottom pixel, pixels a metre
    atlas: dict[tuple[int, int], Bytes]
    origin_m: tuple[float, float]
    ground: tuple[Bytes, ...]         # pyramid, the first with GROUND_PPM
    ceiling: tuple[Bytes, ...]        # pyramid; alpha 255 where there is a ceiling
    detail_of: NDArray[np.uint8]      # a cell each, as Plan.area_of
    details: Bytes
    light_of: Floats32                # (rows, columns, 3) light on the floor, a cell each
    sky: Bytes                        # (H, W, 3) all around, row 0 at elevation SKY_TOP
    ceiling_m: float
    cell_m: float
    quads: tuple[Quad, ...]
