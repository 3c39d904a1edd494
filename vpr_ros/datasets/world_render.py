# SPDX-License-Identifier: Apache-2.0
"""A picture of a scene through a pinhole, one ray a column, numpy and cv2.remap only.

The optical axis stays level, so every image row of the floor has one depth and every column
meets one upright wall: walls, floor, ceiling, sky and their mirror images in a polished floor
are each one gather.
"""

from __future__ import annotations

from collections.abc import Sequence
import math

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.datasets.world_atlas import LEVELS_Y
from vpr_ros.datasets.world_cutouts import draw_quads
from vpr_ros.datasets.world_eye import Columns, Eye, FAR_M, first_walls
from vpr_ros.datasets.world_shapes import DETAIL_M, GROUND_PPM, Pinhole, Quad, Scene, SKY_TOP
from vpr_ros.datasets.world_textures import Bytes, Floats32

_SEEN_M = 60.0       # of the ceiling; the floor is cast four times as far
_WRAP_PX = 2
_GRAIN_M = 7.0       # beyond about that the floor's detail is finer than a pixel
_MIRROR_LEFT = 0.6   # how much of the floor's own color a mirror image replaces


class Renderer:
    """Pictures of one scene by one camera."""

    def __init__(self, scene: Scene, camera: Pinhole) -> None:
        self._scene = scene
        self._camera = camera
        cx, cy = camera.center_px
        self._tangent = ((np.arange(camera.width_px) - cx) / camera.focal_px).astype(np.float32)
        self._up = ((cy - np.arange(camera.height_px)) / camera.focal_px).astype(np.float32)
        self._horizon = int(np.searchsorted(-self._up, 0.0))  # the first row below the axis
        # Every detail repeats over its own edge, so that all can be read from one picture.
        self._details = np.concatenate([cv2.copyMakeBorder(
            tile, _WRAP_PX, _WRAP_PX, _WRAP_PX, _WRAP_PX, cv2.BORDER_WRAP)
            for tile in scene.details])

    def render(self, x_m: float, y_m: float, z_m: float, yaw_rad: float,
               extra: Sequence[Quad] = ()) -> tuple[Bytes, Floats32]:
        """Return (H, W, 3) RGB and the depth along the optical axis (H, W) in metres.

        The camera is at `x y z`, looking along `yaw`; `extra` quads are drawn with the scene's.
        """
        eye = Eye(x_m, y_m, z_m, math.cos(yaw_rad), math.sin(yaw_rad))
        wall = first_walls(eye, self._scene, self._tangent, self._camera.focal_px)
        upper, far = self._above(eye, wall, self._up[:self._horizon], z_m)
        lower, near = self._below(eye, wall, self._up[self._horizon:])
        image, zbuffer = np.concatenate([upper, lower]), np.concatenate([far, near])
        draw_quads(eye, self._camera, (*self._scene.quads, *extra), image, zbuffer)
        return image, zbuffer

    def _above(self, eye: Eye, wall: Columns, up: Floats32,
               z_m: float) -> tuple[Bytes, Floats32]:
        """Return what rays meet that start at height `z_m` and rise `up` (>= 0) a metre."""
        scene = self._scene
        z = np.float32(z_m) + up[:, None] * wall.depth[None, :]
        image = self._wall(wall, np.minimum(z, wall.top_m[None, :]))
        zbuffer = np.broadcast_to(wall.depth, z.shape).copy()
        over = z > wall.top_m[None, :]
        if over.any():
            sky = self._sky(eye, up)
            cover = self._cover(z - wall.top_m[None, :], wall)
            image = _blended(image, sky, over, cover)
            zbuffer[over] = FAR_M
        reach = (np.float32(scene.ceiling_m - z_m) / np.maximum(up, np.float32(1e-4))).astype(
            np.float32)
        rows = np.flatnonzero(reach < _SEEN_M)
        if len(rows):
            part = slice(rows[0], rows[-1] + 1)
            tiles = self._from_above(eye, scene.ceiling, reach[part])
            under = (tiles[..., 3] > 127) & (reach[part, None] < zbuffer[part])
            image[part] = np.where(under[..., None], tiles[..., :3], image[part])
            zbuffer[part] = np.where(under, reach[part, None], zbuffer[part])
        return image, zbuffer

    def _below(self, eye: Eye, wall: Columns, up: Floats32) -> tuple[Bytes, Floats32]:
        """Return what rays meet that fall: the floor, and the foot of walls before it."""
        z = np.float32(eye.z_m) + up[:, None] * wall.depth[None, :]
        foot = self._wall(wall, np.maximum(z, np.float32(0.0)))
        reach = np.minimum(np.float32(eye.z_m) / np.maximum(-up, np.float32(1e-4)),
                           np.float32(4 * _SEEN_M))
        floor = self._floor(eye, wall, up, reach)
        on_wall = z > 0.0
        image = _blended(floor, foot, on_wall, self._cover(z, wall))
        return image, np.where(on_wall, wall.depth[None, :], reach[:, None])

    def _floor(self, eye: Eye, wall: Columns, up: Floats32, reach: Floats32) -> Bytes:
        base = self._from_above(eye, self._scene.ground, reach)
        x, y = self._spread(eye, reach)
        strength = np.clip(1.2 - reach / np.float32(_GRAIN_M), 0.0, 1.0)[:, None]
        factor = 1.0 + (self._grain(x, y) - np.float32(128.0)) * (strength / np.float32(128.0))
        color = base[..., :3] * factor[..., None]
        gloss = base[..., 3].astype(np.float32) / np.float32(255.0)
        if gloss.max() > 0.02:
            # A mirror: the same rays, rising from an eye as far under the floor.
            mirrored, _ = self._above(eye, wall, -up, -eye.z_m)
            grazing = np.clip(0.35 + reach / np.float32(9.0), 0.35, 1.0)[:, None]
            share = (gloss * grazing)[..., None]
            color += share * (cv2.blur(mirrored, (1, 5)) - np.float32(_MIRROR_LEFT) * color)
        return np.asarray(np.clip(color, 0, 255), np.uint8)

    def _grain(self, x: Floats32, y: Floats32) -> Floats32:
        """Return the grey of the floor's detail at points of the map."""
        scene = self._scene
        rows, columns = scene.detail_of.shape
        row = np.clip((y - scene.origin_m[1]) / scene.cell_m, 0, rows - 1).astype(np.intp)
        column = np.clip((x - scene.origin_m[0]) / scene.cell_m, 0, columns - 1).astype(np.intp)
        side = scene.details.shape[1]
        scale = np.float32(side / DETAIL_M)
        u = np.mod(x * scale, np.float32(side)) + np.float32(_WRAP_PX)
        v = np.mod(y * scale, np.float32(side)) + np.float32(_WRAP_PX)
        v += scene.detail_of[row, column] * np.float32(side + 2 * _WRAP_PX)
        return np.asarray(cv2.remap(self._details, u, v, cv2.INTER_LINEAR), np.float32)

    def _wall(self, wall: Columns, z: Floats32) -> Bytes:
        """Return every column's wall at heights `z` (rows, columns)."""
        image = np.empty((*z.shape, 3), np.uint8)
        v = wall.bottom[None, :] - z * wall.ppm[None, :]
        code = wall.level_x * LEVELS_Y + wall.level_y
        for value in np.unique(code):
            columns = np.flatnonzero(code == value)
            i, j = divmod(int(value), LEVELS_Y)
            part = slice(columns[0], columns[-1] + 1)  # a slice is faster; extra columns are few
            wide, high = np.float32(0.5 ** i), np.float32(0.5 ** j)
            u_part = np.broadcast_to(wall.u[part] * wide + (wide - 1) / 2, z[:, part].shape)
            v_part = v[:, part] * high + (high - 1) / 2
            seen = cv2.remap(self._scene.atlas[i, j], np.ascontiguousarray(u_part), v_part,
                             cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            image[:, columns] = seen[:, columns - columns[0]]
        return image

    def _from_above(self, eye: Eye, pyramid: tuple[Bytes, ...], reach: Floats32) -> Bytes:
        """Gather a map seen from above, rows at depths `reach`, coarser where farther."""
        step = reach * reach * np.float32(GROUND_PPM / (self._camera.focal_px * eye.z_m))
        level = np.clip(np.floor(np.log2(np.maximum(step, 1e-3)) * 0.6), 0,
                        len(pyramid) - 1).astype(int)
        x, y = self._spread(eye, reach)
        u = (x - np.float32(self._scene.origin_m[0])) * np.float32(GROUND_PPM)
        v = (y - np.float32(self._scene.origin_m[1])) * np.float32(GROUND_PPM)
        image = np.empty((*u.shape, pyramid[0].shape[2]), np.uint8)
        for value in np.unique(level):
            rows = np.flatnonzero(level == value)
            part = slice(rows[0], rows[-1] + 1)
            scale, half = np.float32(0.5 ** int(value)), np.float32(0.5)
            image[part] = cv2.remap(pyramid[value], u[part] * scale - half,
                                    v[part] * scale - half, cv2.INTER_LINEAR,
                                    borderMode=cv2.BORDER_CONSTANT)
        return image

    def _spread(self, eye: Eye, reach: Floats32) -> tuple[Floats32, Floats32]:
        """Return the points of the map under all columns at the depth of each row."""
        shape = (len(reach), len(self._tangent))
        return eye.to_map(reach[:, None] * self._tangent[None, :],
                          np.broadcast_to(reach[:, None], shape))

    def _sky(self, eye: Eye, up: Floats32) -> Bytes:
        h, w = self._scene.sky.shape[:2]
        turn = math.atan2(eye.sin, eye.cos) - np.arctan(self._tangent)
        u = ((turn / (2 * math.pi)) % 1.0 * (w - 1)).astype(np.float32)
        secant = np.sqrt(1.0 + self._tangent ** 2)
        v = np.clip(1.0 - up[:, None] / secant[None, :] / np.float32(SKY_TOP), 0.0, 1.0) * (h - 1)
        sky = cv2.remap(self._scene.sky, np.ascontiguousarray(np.broadcast_to(u, v.shape)),
                        v.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(sky, np.uint8)

    def _cover(self, above_m: Floats32, wall: Columns) -> Floats32:
        """Return how much of a pixel lies above an edge that runs `above_m` below its center."""
        return np.float32(0.5) + above_m * (np.float32(self._camera.focal_px) / wall.depth)


def _blended(under: Bytes, over: Bytes, where: NDArray[np.bool_], cover: Floats32) -> Bytes:
    """Return `over` where asked, else `under`, mixed in the pixels that the edge cuts."""
    image = np.where(where[..., None], over, under)
    edge = np.nonzero((cover > 0.0) & (cover < 1.0))
    share = cover[edge][:, None]
    image[edge] = (share * over[edge] + (1.0 - share) * under[edge]).astype(np.uint8)
    return image
