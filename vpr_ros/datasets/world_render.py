# SPDX-License-Identifier: Apache-2.0
"""A picture of a scene through a pinhole, one ray a column, numpy and cv2.remap only.

The optical axis stays level, so every image row of the floor has one depth and every column
meets one upright wall: walls, floor, ceiling and their mirror images in a polished floor are
each one gather. What stands free (people, trees, lintels) is an upright quad, tested against
the depth of every pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.datasets.world_atlas import LEVELS_X, LEVELS_Y
from vpr_ros.datasets.world_textures import Bytes

Floats32 = NDArray[np.float32]
FAR_M = 1e4
_NEAR_M = 0.12
_SEEN_M = 60.0
_SHADED_M = 16.0
_WRAP_PX = 2


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


GROUND_PPM = 16.0
SKY_TOP = 1.2   # tangent of the elevation at the sky's first row; its last row is the horizon
DETAIL_M = 2.4


class Renderer:
    """Pictures of one scene by one camera."""

    def __init__(self, scene: Scene, camera: Pinhole) -> None:
        self._scene = scene
        self._camera = camera
        cx, cy = camera.center_px
        self._tan = ((np.arange(camera.width_px) - cx) / camera.focal_px).astype(np.float32)
        self._up = ((cy - np.arange(camera.height_px)) / camera.focal_px).astype(np.float32)
        self._horizon = int(np.searchsorted(-self._up, 0.0))  # first row below the axis
        self._secant = np.sqrt(1.0 + self._tan ** 2)
        x, y, right_x, right_y = scene.walls_m.T
        # Every detail repeats over its own edge, so that they can be read from one picture.
        self._details = np.concatenate([cv2.copyMakeBorder(
            tile, _WRAP_PX, _WRAP_PX, _WRAP_PX, _WRAP_PX, cv2.BORDER_WRAP)
            for tile in scene.details])
        self._lengths = np.hypot(right_x - x, right_y - y)

    def render(self, x_m: float, y_m: float, z_m: float, yaw_rad: float,
               extra: Sequence[Quad] = ()) -> tuple[Bytes, Floats32]:
        """Return (H, W, 3) RGB and the depth along the axis (H, W) in metres.

        The camera is at `x y z`, looking along `yaw`; `extra` quads are drawn with the scene's.
        """
        view = _View(x_m, y_m, z_m, math.cos(yaw_rad), math.sin(yaw_rad))
        wall, depth = self._cast(view)
        image, zbuffer = self._surfaces(view, wall, depth)
        self._draw_quads(view, (*self._scene.quads, *extra), image, zbuffer, float(depth.max()))
        return image, zbuffer

    def _cast(self, view: _View) -> tuple[_Columns, Floats32]:
        """Find the wall that each column meets first."""
        walls = self._scene.walls_m
        x0, z0 = view.to_camera(walls[:, 0], walls[:, 1])
        x1, z1 = view.to_camera(walls[:, 2], walls[:, 3])
        edge = self._tan[-1] * 1.02
        # Behind, or wholly beyond one side of the view, or seen from the back.
        seen = (np.maximum(z0, z1) > 0.0) & (np.minimum(x0 - edge * z0, x1 - edge * z1) < 0.0)
        seen &= (np.maximum(x0 + edge * z0, x1 + edge * z1) > 0.0) & (x0 * z1 - x1 * z0 < 0.0)
        rows = np.flatnonzero(seen)
        x0, z0, dx, dz = x0[rows], z0[rows], (x1 - x0)[rows], (z1 - z0)[rows]
        tangent = self._tan[None, :]
        across = dx[:, None] - tangent * dz[:, None]
        across[np.abs(across) < 1e-9] = 1e-9
        share = (tangent * z0[:, None] - x0[:, None]) / across
        depth = z0[:, None] + share * dz[:, None]
        depth[(share < -1e-4) | (share > 1.0001) | (depth < 1e-3)] = FAR_M
        first = depth.argmin(axis=0)
        column = np.arange(len(self._tan))
        nearest = depth[first, column]
        share = np.clip(share[first, column], 0.0, 1.0)
        length = np.maximum(self._lengths[rows][first], 1e-6)
        slant = np.abs(dx[first] - self._tan * dz[first]) / length  # cosine times the secant
        index = rows[first]
        strips = self._scene.strips[index]
        rate = strips[:, 2] * nearest / self._camera.focal_px
        level_y = np.clip(np.floor(np.log2(np.maximum(rate, 1e-3)) + 0.4), 0, LEVELS_Y - 1)
        level_x = np.clip(np.floor(np.log2(rate / np.maximum(slant, 1e-3) + 1e-3) + 0.4),
                          level_y, LEVELS_X - 1)
        u = strips[:, 0] + share * length * strips[:, 2]
        return _Columns(u.astype(np.float32), strips[:, 1], strips[:, 2],
                        self._scene.tops_m[index],
                        level_x.astype(int), level_y.astype(int)), nearest.astype(np.float32)

    def _surfaces(self, view: _View, wall: _Columns, depth: Floats32) -> tuple[Bytes, Floats32]:
        h = self._horizon
        upper, depth_upper = self._above(view, wall, depth, self._up[:h], view.z)
        low = self._up[h:]
        ground, depth_ground = self._ground(view, wall, depth, low)
        z = view.z + low[:, None] * depth[None, :]
        skirting = self._wall(wall, np.maximum(z, 0.0))
        on_wall = z > 0.0
        lower = np.where(on_wall[..., None], skirting, ground)
        # The foot of the wall, which cuts through pixels, is the sharpest edge: soften it.
        cover = 0.5 + z * (self._camera.focal_px / depth)[None, :]
        edge = np.nonzero((cover > 0.0) & (cover < 1.0))
        share = cover[edge][:, None]
        lower[edge] = (share * skirting[edge] + (1.0 - share) * ground[edge]).astype(np.uint8)
        depth_lower = np.where(on_wall, depth[None, :], depth_ground)
        return np.concatenate([upper, lower]), np.concatenate([depth_upper, depth_lower])

    def _above(self, view: _View, wall: _Columns, depth: Floats32, up: Floats32,
               z_eye: float) -> tuple[Bytes, Floats32]:
        """Return what rays that rise by `up` a metre of depth from `z_eye` meet."""
        scene = self._scene
        z = np.float32(z_eye) + up[:, None] * depth[None, :]
        image = self._wall(wall, np.minimum(z, wall.top[None, :]))
        zbuffer = np.broadcast_to(depth, z.shape).copy()
        over = z > wall.top[None, :]
        if over.any():
            sky = self._sky(view, up)
            cover = 0.5 + (z - wall.top[None, :]) * (self._camera.focal_px / depth)[None, :]
            edge = np.nonzero((cover > 0.0) & (cover < 1.0))
            share = cover[edge][:, None]
            mixed = (share * sky[edge] + (1.0 - share) * image[edge]).astype(np.uint8)
            image = np.where(over[..., None], sky, image)
            image[edge] = mixed
            zbuffer[over] = FAR_M
        reach = np.float32(scene.ceiling_m - z_eye) / np.maximum(up, 1e-4)
        rows = int((reach < _SEEN_M).sum()) if up[0] > up[-1] else len(up)
        if rows:
            part = slice(0, rows) if up[0] > up[-1] else slice(0, len(up))
            tiles = self._from_above(view, scene.ceiling, reach[part])
            under = (tiles[..., 3] > 127) & (reach[part, None] < zbuffer[part])
            image[part] = np.where(under[..., None], tiles[..., :3], image[part])
            zbuffer[part] = np.where(under, reach[part, None], zbuffer[part])
        return image, zbuffer

    def _ground(self, view: _View, wall: _Columns, depth: Floats32,
                low: Floats32) -> tuple[Bytes, Floats32]:
        scene = self._scene
        reach = np.minimum(np.float32(view.z) / np.maximum(-low, 1e-4), 4 * _SEEN_M)
        base = self._from_above(view, scene.ground, reach)
        x, y = view.to_map(reach[:, None] * self._tan[None, :],
                           np.broadcast_to(reach[:, None], (len(reach), len(self._tan))))
        grain = self._grain(x, y)
        strength = np.clip(1.2 - reach / 7.0, 0.0, 1.0)[:, None]
        factor = 1.0 + (grain - 128.0) * (strength / 128.0)
        color = base[..., :3] * factor[..., None]
        gloss = base[..., 3].astype(np.float32) / 255.0
        if gloss.max() > 0.02:
            # A mirror below: the same rays, rising from an eye as far under the floor.
            mirrored, _ = self._above(view, wall, depth, -low, -view.z)
            grazing = np.clip(0.35 + reach / 9.0, 0.35, 1.0)[:, None].astype(np.float32)
            gloss = (gloss * grazing)[..., None]
            color += gloss * (cv2.blur(mirrored, (1, 5)).astype(np.float32) - 0.6 * color)
        return np.clip(color, 0, 255).astype(np.uint8), np.broadcast_to(
            reach[:, None], color.shape[:2])

    def _grain(self, x: Floats32, y: Floats32) -> Floats32:
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

    def _wall(self, wall: _Columns, z: Floats32) -> Bytes:
        image = np.empty((*z.shape, 3), np.uint8)
        v = wall.bottom[None, :] - z * wall.ppm[None, :]
        code = wall.level_x * LEVELS_Y + wall.level_y
        for value in np.unique(code):
            columns = np.flatnonzero(code == value)
            i, j = int(value) // LEVELS_Y, int(value) % LEVELS_Y
            part = slice(columns[0], columns[-1] + 1)  # a slice is faster; extra columns are few
            wide, high = np.float32(0.5 ** i), np.float32(0.5 ** j)
            u_part = np.broadcast_to(wall.u[part] * wide + (0.5 * wide - 0.5), z[:, part].shape)
            v_part = v[:, part] * high + (0.5 * high - 0.5)
            seen = cv2.remap(self._scene.atlas[i, j], np.ascontiguousarray(u_part), v_part,
                             cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            image[:, columns] = seen[:, columns - columns[0]]
        return image

    def _from_above(self, view: _View, pyramid: tuple[Bytes, ...], reach: Floats32) -> Bytes:
        """Gather a map seen from above, rows at depths `reach`, coarser where farther."""
        step = reach * reach / (self._camera.focal_px * view.z) * GROUND_PPM
        level = np.clip(np.floor(np.log2(np.maximum(step, 1e-3)) * 0.6), 0,
                        len(pyramid) - 1).astype(int)
        x, y = view.to_map(reach[:, None] * self._tan[None, :],
                           np.broadcast_to(reach[:, None], (len(reach), len(self._tan))))
        u = (x - np.float32(self._scene.origin_m[0])) * np.float32(GROUND_PPM)
        v = (y - np.float32(self._scene.origin_m[1])) * np.float32(GROUND_PPM)
        image = np.empty((*u.shape, pyramid[0].shape[2]), np.uint8)
        for value in np.unique(level):
            rows = np.flatnonzero(level == value)
            part = slice(rows[0], rows[-1] + 1)
            scale = np.float32(0.5 ** int(value))
            image[part] = cv2.remap(pyramid[value], u[part] * scale - 0.5, v[part] * scale - 0.5,
                                    cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return image

    def _sky(self, view: _View, up: Floats32) -> Bytes:
        h, w = self._scene.sky.shape[:2]
        turn = math.atan2(view.sin, view.cos) - np.arctan(self._tan)
        u = ((turn / (2 * math.pi)) % 1.0 * w).astype(np.float32)
        v = (1.0 - up[:, None] / self._secant[None, :] / SKY_TOP) * (h - 1)
        return cv2.remap(self._scene.sky, np.ascontiguousarray(np.broadcast_to(u, v.shape)),
                         np.clip(v, 0, h - 1).astype(np.float32), cv2.INTER_LINEAR,
                         borderMode=cv2.BORDER_REPLICATE)

    def _draw_quads(self, view: _View, quads: Sequence[Quad], image: Bytes, zbuffer: Floats32,
                    farthest: float) -> None:
        visible = []
        for quad in quads:
            ends = view.ends(quad)
            near, far = sorted((ends[1], ends[3]))
            front = ends[0] * ends[3] - ends[2] * ends[1] < 0.0
            if front and far > _NEAR_M and near < min(farthest, _SEEN_M):
                visible.append((-(near + far) / 2, ends, quad))
        for _, ends, quad in sorted(visible, key=lambda item: item[0]):
            if quad.width_m and quad.low_m == 0.0 and ends[1] < _SHADED_M:
                self._shade(view, ends, image, zbuffer)
            self._draw_quad(view, ends, quad, image, zbuffer)

    def _shade(self, view: _View, ends: tuple[float, float, float, float], image: Bytes,
               zbuffer: Floats32) -> None:
        """Darken the ground around the foot of what stands there."""
        x0, depth, x1, _ = ends
        focal, (cx, cy) = self._camera.focal_px, self._camera.center_px
        column, row = cx + focal * (x0 + x1) / 2 / depth, cy + focal * view.z / depth
        wide = focal * (x1 - x0) * 0.45 / depth
        high = wide * min(1.0, view.z / depth)
        a, b = max(0, round(column - wide)), min(image.shape[1], round(column + wide) + 1)
        top, bottom = max(0, round(row - high)), min(image.shape[0], round(row + high) + 1)
        if a >= b or top >= bottom:
            return
        y = (np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(row)) / max(high, 1.0)
        x = (np.arange(a, b, dtype=np.float32)[None, :] - np.float32(column)) / max(wide, 1.0)
        dark = 0.55 * np.clip(1.0 - x * x - y * y, 0.0, 1.0)
        dark *= np.abs(zbuffer[top:bottom, a:b] - depth) < 1.0
        part = image[top:bottom, a:b]
        part[:] = part * (1.0 - dark[..., None])

    def _draw_quad(self, view: _View, ends: tuple[float, float, float, float], quad: Quad,
                   image: Bytes, zbuffer: Floats32) -> None:
        x0, z0, x1, z1 = ends
        dx, dz = x1 - x0, z1 - z0
        focal, (cx, cy) = self._camera.focal_px, self._camera.center_px
        columns = [cx + focal * x / z for x, z in ((x0, z0), (x1, z1)) if z > _NEAR_M]
        if len(columns) < 2:  # one end is behind the camera: it leaves the picture on that side
            cut = x0 + dx * (_NEAR_M - z0) / dz
            columns.append(cx + focal * cut / _NEAR_M)
        a = max(0, math.floor(min(columns)))
        b = min(self._camera.width_px, math.ceil(max(columns)) + 1)
        if a >= b:
            return
        across = dx - self._tan[a:b] * dz
        across = np.where(np.abs(across) < 1e-9, 1e-9, across)
        share = (self._tan[a:b] * z0 - x0) / across
        depth = (z0 + share * dz).astype(np.float32)
        inside = (share >= -0.01) & (share <= 1.01) & (depth > _NEAR_M)
        if not inside.any():
            return
        near = float(depth[inside].min())
        top = max(0, math.floor(cy - focal * (quad.high_m - view.z) / (
            near if quad.high_m > view.z else float(depth[inside].max()))))
        bottom = min(self._camera.height_px, math.ceil(cy + focal * (view.z - quad.low_m) / (
            near if quad.low_m < view.z else float(depth[inside].max()))) + 1)
        if top >= bottom:
            return
        length = max(math.hypot(dx, dz), 1e-6)
        shrink = quad.pyramid[0].shape[1] / max(1.0, length / near * focal)
        level = min(len(quad.pyramid) - 1, max(0, math.floor(math.log2(max(shrink, 1e-3)) + 0.4)))
        texture = quad.pyramid[level]
        height, width = texture.shape[:2]
        z = view.z + self._up[top:bottom, None] * depth[None, :]
        u = np.broadcast_to((share * width - 0.5).astype(np.float32), z.shape)
        v = (quad.high_m - z) * np.float32(height / (quad.high_m - quad.low_m)) - 0.5
        seen = cv2.remap(texture, np.ascontiguousarray(u), v.astype(np.float32),
                         cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        window = zbuffer[top:bottom, a:b]
        shown = (depth[None, :] < window) & inside[None, :]
        alpha = seen[..., 3] * shown
        part = image[top:bottom, a:b]
        color = seen[..., :3] * (np.array(quad.gain, np.float32) * shown[..., None])
        part[:] = np.clip(part * (1.0 - alpha[..., None] / np.float32(255.0)) + color, 0, 255)
        window[alpha > 127] = np.broadcast_to(depth, z.shape)[alpha > 127]


@dataclass(frozen=True)
class _View:
    """The camera's place; `to_camera` gives (right, forward), the optical x and z."""

    x: float
    y: float
    z: float
    cos: float
    sin: float

    def to_camera(self, x: Floats32, y: Floats32) -> tuple[Floats32, Floats32]:
        dx, dy = x - np.float32(self.x), y - np.float32(self.y)
        return (dx * np.float32(self.sin) - dy * np.float32(self.cos),
                dx * np.float32(self.cos) + dy * np.float32(self.sin))

    def to_map(self, right: Floats32, forward: Floats32) -> tuple[Floats32, Floats32]:
        return (np.float32(self.x) + forward * np.float32(self.cos) + right * np.float32(self.sin),
                np.float32(self.y) + forward * np.float32(self.sin) - right * np.float32(self.cos))

    def ends(self, quad: Quad) -> tuple[float, float, float, float]:
        """Return right and forward of the quad's left and right ends."""
        dx, dy = quad.left[0] - self.x, quad.left[1] - self.y
        right, forward = dx * self.sin - dy * self.cos, dx * self.cos + dy * self.sin
        if quad.width_m:
            return right - quad.width_m / 2, forward, right + quad.width_m / 2, forward
        ex, ey = quad.right[0] - self.x, quad.right[1] - self.y
        return (right, forward, ex * self.sin - ey * self.cos, ex * self.cos + ey * self.sin)


@dataclass(frozen=True)
class _Columns:
    """For each image column: where in the atlas its wall is, and how coarse to read it."""

    u: Floats32
    bottom: Floats32
    ppm: Floats32
    top: Floats32
    level_x: NDArray[np.intp]
    level_y: NDArray[np.intp]
