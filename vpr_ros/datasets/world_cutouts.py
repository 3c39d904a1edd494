# SPDX-License-Identifier: Apache-2.0
"""What stands free in the picture: upright quads, far ones first, tested at every pixel."""

from __future__ import annotations

from collections.abc import Sequence
import math

import cv2
import numpy as np

from vpr_ros.datasets.world_eye import Eye
from vpr_ros.datasets.world_shapes import Pinhole, Quad
from vpr_ros.datasets.world_textures import Bytes, Floats32

_NEAR_M = 0.12
_SEEN_M = 60.0
_SHADED_M = 16.0
_SHADOW, _SHADOW_WIDTH = 0.6, 0.45  # how dark, and how wide for the width of what stands

Ends = tuple[float, float, float, float]  # right and forward of the left end, then the right


def draw_quads(eye: Eye, camera: Pinhole, quads: Sequence[Quad], image: Bytes,
               zbuffer: Floats32) -> None:
    """Draw the quads that face the camera into `image` where they are nearer than `zbuffer`."""
    farthest = min(float(zbuffer.max()), _SEEN_M)
    visible = []
    for quad in quads:
        ends = eye.ends(quad)
        near, far = sorted((ends[1], ends[3]))
        front = ends[0] * ends[3] - ends[2] * ends[1] < 0.0
        if front and far > _NEAR_M and near < farthest:
            visible.append((-(near + far) / 2, ends, quad))
    for _, ends, quad in sorted(visible, key=lambda item: item[0]):
        if quad.width_m and quad.low_m == 0.0 and ends[1] < _SHADED_M:
            _shade(eye, camera, ends, image, zbuffer)
        _draw(eye, camera, ends, quad, image, zbuffer)


def _shade(eye: Eye, camera: Pinhole, ends: Ends, image: Bytes, zbuffer: Floats32) -> None:
    """Darken the ground around the foot of what stands there."""
    x0, depth, x1, _ = ends
    focal, (cx, cy) = camera.focal_px, camera.center_px
    center, radius = (x0 + x1) / 2, (x1 - x0) * _SHADOW_WIDTH
    near = max(depth - radius, _NEAR_M)
    a = max(0, math.floor(cx + focal * min((center - radius) / near,
                                           (center - radius) / (depth + radius))))
    b = min(camera.width_px, math.ceil(cx + focal * max((center + radius) / near, (
        center + radius) / (depth + radius))))
    top = max(0, math.floor(cy + focal * eye.z_m / (depth + radius)))
    bottom = min(camera.height_px, math.ceil(cy + focal * eye.z_m / near))
    if a >= b or top >= bottom:
        return
    reach = zbuffer[top:bottom, a:b]
    tangent = (np.arange(a, b, dtype=np.float32) - np.float32(cx)) / np.float32(focal)
    away = (reach - np.float32(depth)) ** 2 + (reach * tangent[None, :] - np.float32(center)) ** 2
    dark = np.float32(_SHADOW) * np.clip(1.0 - away / np.float32(radius ** 2), 0.0, 1.0)
    part = image[top:bottom, a:b]
    part[:] = part * (1.0 - dark[..., None])


def _draw(eye: Eye, camera: Pinhole, ends: Ends, quad: Quad, image: Bytes,
          zbuffer: Floats32) -> None:
    x0, z0, x1, z1 = ends
    dx, dz = x1 - x0, z1 - z0
    focal, (cx, cy) = camera.focal_px, camera.center_px
    columns = [cx + focal * x / z for x, z in ((x0, z0), (x1, z1)) if z > _NEAR_M]
    if len(columns) < 2:  # one end is behind the camera: the quad leaves the picture there
        cut = x0 + dx * (_NEAR_M - z0) / dz
        columns.append(cx + focal * cut / _NEAR_M)
    a, b = max(0, math.floor(min(columns))), min(camera.width_px, math.ceil(max(columns)) + 1)
    if a >= b:
        return
    tangent = (np.arange(a, b, dtype=np.float32) - np.float32(cx)) / np.float32(focal)
    across = dx - tangent * dz
    across[np.abs(across) < 1e-9] = 1e-9
    share = (tangent * z0 - x0) / across
    depth = (z0 + share * dz).astype(np.float32)
    inside = (share >= -0.01) & (share <= 1.01) & (depth > _NEAR_M)
    if not inside.any():
        return
    near, far = float(depth[inside].min()), float(depth[inside].max())
    rise, fall = quad.high_m - eye.z_m, eye.z_m - quad.low_m
    top = max(0, math.floor(cy - focal * rise / (near if rise > 0.0 else far)))
    bottom = min(camera.height_px,
                 math.ceil(cy + focal * fall / (near if fall > 0.0 else far)) + 1)
    if top >= bottom:
        return
    texture = _sized(quad, math.hypot(dx, dz) / near * focal)
    height, width = texture.shape[:2]
    up = (np.float32(cy) - np.arange(top, bottom, dtype=np.float32)) / np.float32(focal)
    z = np.float32(eye.z_m) + up[:, None] * depth[None, :]
    u = np.broadcast_to((share * width - 0.5).astype(np.float32), z.shape)
    v = (np.float32(quad.high_m) - z) * np.float32(height / (quad.high_m - quad.low_m)) - 0.5
    seen = cv2.remap(texture, np.ascontiguousarray(u), v.astype(np.float32), cv2.INTER_LINEAR,
                     borderMode=cv2.BORDER_CONSTANT)
    window = zbuffer[top:bottom, a:b]
    shown = (depth[None, :] < window) & inside[None, :]
    alpha = seen[..., 3] * shown
    part = image[top:bottom, a:b]
    color = seen[..., :3] * (np.array(quad.gain, np.float32) * shown[..., None])
    part[:] = np.clip(part * (1.0 - alpha[..., None] / np.float32(255.0)) + color, 0, 255)
    window[alpha > 127] = np.broadcast_to(depth, z.shape)[alpha > 127]


def _sized(quad: Quad, width_px: float) -> Bytes:
    """Return the picture of the quad's pyramid that fits `width_px` on the screen."""
    shrink = quad.pyramid[0].shape[1] / max(1.0, width_px)
    level = math.floor(math.log2(max(shrink, 1.0)) + 0.4)
    return quad.pyramid[min(level, len(quad.pyramid) - 1)]
