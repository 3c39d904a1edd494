# SPDX-License-Identifier: Apache-2.0
"""Where the camera is, and which wall each column of its picture meets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.datasets.world_atlas import LEVELS_X, LEVELS_Y
from vpr_ros.datasets.world_shapes import Quad, Scene
from vpr_ros.datasets.world_textures import Floats32

FAR_M = 1e4
_SHARPER = 0.4  # levels; read a finer picture than the pixel asks for, a little


@dataclass(frozen=True)
class Eye:
    """The camera in the map; its coordinates are (right, forward), the optical x and z."""

    x_m: float
    y_m: float
    z_m: float
    cos: float
    sin: float

    def to_camera(self, x_m: Floats32, y_m: Floats32) -> tuple[Floats32, Floats32]:
        """Return right and forward of points of the map."""
        dx, dy = x_m - np.float32(self.x_m), y_m - np.float32(self.y_m)
        return (dx * np.float32(self.sin) - dy * np.float32(self.cos),
                dx * np.float32(self.cos) + dy * np.float32(self.sin))

    def to_map(self, right_m: Floats32, forward_m: Floats32) -> tuple[Floats32, Floats32]:
        """Return x and y in the map of points before the camera."""
        sin, cos = np.float32(self.sin), np.float32(self.cos)
        return (np.float32(self.x_m) + forward_m * cos + right_m * sin,
                np.float32(self.y_m) + forward_m * sin - right_m * cos)

    def ends(self, quad: Quad) -> tuple[float, float, float, float]:
        """Return right and forward of the quad's left and right ends."""
        dx, dy = quad.left[0] - self.x_m, quad.left[1] - self.y_m
        right, forward = dx * self.sin - dy * self.cos, dx * self.cos + dy * self.sin
        if quad.width_m:
            return right - quad.width_m / 2, forward, right + quad.width_m / 2, forward
        ex, ey = quad.right[0] - self.x_m, quad.right[1] - self.y_m
        return right, forward, ex * self.sin - ey * self.cos, ex * self.cos + ey * self.sin


@dataclass(frozen=True)
class Columns:
    """For each image column: its wall's depth, where in the atlas that is, how coarse to read."""

    depth: Floats32
    u: Floats32
    bottom: Floats32
    ppm: Floats32
    top_m: Floats32
    level_x: NDArray[np.intp]
    level_y: NDArray[np.intp]


def first_walls(eye: Eye, scene: Scene, tangent: Floats32, focal_px: float) -> Columns:
    """Return the wall that the ray of each column meets first.

    A ray is `forward * (tangent, 1)`, so the share of a wall's length at which it is crossed
    follows from one equation in the camera's plane, for all walls and columns at once.
    """
    walls = scene.walls_m
    x0, z0 = eye.to_camera(walls[:, 0], walls[:, 1])
    x1, z1 = eye.to_camera(walls[:, 2], walls[:, 3])
    edge = tangent[-1] * np.float32(1.02)
    # Not behind, not wholly beyond one side of the view, not from the back.
    seen = (np.maximum(z0, z1) > 0.0) & (np.minimum(x0 - edge * z0, x1 - edge * z1) < 0.0)
    seen &= (np.maximum(x0 + edge * z0, x1 + edge * z1) > 0.0) & (x0 * z1 - x1 * z0 < 0.0)
    rows = np.flatnonzero(seen)
    x0, z0, dx, dz = x0[rows], z0[rows], (x1 - x0)[rows], (z1 - z0)[rows]
    across = dx[:, None] - tangent * dz[:, None]
    across[np.abs(across) < 1e-9] = 1e-9
    share = (tangent * z0[:, None] - x0[:, None]) / across
    depth = z0[:, None] + share * dz[:, None]
    depth[(share < -1e-4) | (share > 1.0001) | (depth < 1e-3)] = FAR_M
    first = depth.argmin(axis=0)
    column = np.arange(len(tangent))
    nearest = depth[first, column]
    length = np.maximum(np.hypot(dx, dz)[first], 1e-6)
    slant = np.abs(dx[first] - tangent * dz[first]) / length
    u0, bottom, ppm = scene.strips[rows[first]].T
    u = u0 + np.clip(share[first, column], 0.0, 1.0) * length * ppm
    rate = ppm * nearest / focal_px  # pixels of the strip for one of the image, upright
    level_y = np.clip(np.floor(np.log2(np.maximum(rate, 1e-3)) + _SHARPER), 0, LEVELS_Y - 1)
    level_x = np.clip(np.floor(np.log2(np.maximum(rate / np.maximum(slant, 1e-3), 1e-3))
                               + _SHARPER), level_y, LEVELS_X - 1)
    return Columns(nearest.astype(np.float32), u.astype(np.float32), bottom, ppm,
                   scene.tops_m[rows[first]], level_x.astype(np.intp), level_y.astype(np.intp))
