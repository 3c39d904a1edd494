# SPDX-License-Identifier: Apache-2.0
"""From light to pixels: fog, rain and snow in the air, exposure, color, blur and noise."""

from __future__ import annotations

import math

import cv2
import numpy as np

from vpr_ros.datasets.world_conditions import Conditions
from vpr_ros.datasets.world_shapes import Pinhole
from vpr_ros.datasets.world_textures import Bytes, Floats32

_AIM = 112.0  # the mean grey level that the exposure works towards


class Sensor:
    """One camera on one day; frames are equal for equal (conditions, number)."""

    def __init__(self, camera: Pinhole, conditions: Conditions) -> None:
        self._camera = camera
        self._day = conditions
        rng = np.random.default_rng([conditions.seed, 31])
        h, w = camera.height_px, camera.width_px
        # Noise is drawn once and shifted for each frame: drawing it anew costs more than the view.
        self._grain = (conditions.noise * rng.standard_normal((h + 64, w + 64, 3))).astype(
            np.float32)
        y, x = np.mgrid[-1:1:h * 1j, -1:1:w * 1j]
        self._vignette = (1.0 - 0.16 * (x * x + y * y))[..., None].astype(np.float32)
        haze = np.array(conditions.day_color) * conditions.day_gain * 205
        self._haze = haze.astype(np.float32)

    def expose(self, image: Bytes, depth_m: Floats32, outdoors: bool, turn_rad_s: float,
               number: int) -> Bytes:
        """Return the frame as the camera delivers it."""
        rng = np.random.default_rng([self._day.seed, 32, number])
        light = image.astype(np.float32)
        if outdoors:
            light = self._air(light, depth_m, rng)
        smear = round(abs(turn_rad_s) * self._day.shutter_s * self._camera.focal_px)
        if smear >= 2:
            light = np.asarray(cv2.blur(light, (smear, 1)), np.float32)
        mean = float(light[::4, ::4].mean())
        gain = self._day.exposure * (_AIM / max(mean, 12.0)) ** self._day.adapts
        light *= self._vignette * (np.array(self._day.balance, np.float32) * np.float32(gain))
        # A soft shoulder, so that lamps and windows bleach instead of clipping hard.
        over = light > 200.0
        light[over] = 200.0 + 55.0 * np.tanh((light[over] - 200.0) / 55.0)
        h, w = image.shape[:2]
        dy, dx = (int(v) for v in rng.integers(0, 64, 2))
        light += self._grain[dy:dy + h, dx:dx + w]
        return np.asarray(np.clip(light, 0, 255), np.uint8)

    def _air(self, light: Floats32, depth_m: Floats32, rng: np.random.Generator) -> Floats32:
        day = self._day
        if math.isfinite(day.sight_m):
            clear = np.exp(-np.minimum(depth_m, 150.0) * (2.0 / day.sight_m))[..., None]
            light = self._haze + clear.astype(np.float32) * (light - self._haze)
        h, w = light.shape[:2]
        unit = h / 240
        if day.rain > 0.0:
            drops = np.zeros((h, w), np.float32)
            for _ in range(int(160 * day.rain)):
                x, y = int(rng.integers(0, w)), int(rng.integers(0, h))
                long = int(rng.integers(6, 18) * unit)
                cv2.line(drops, (x, y), (x - long // 5, y + long), float(rng.uniform(0.15, 0.4)))
            light = light + drops[..., None] * (225.0 - light)
        if day.snow > 0.0:
            flakes = np.zeros((h, w), np.float32)
            for _ in range(int(220 * day.snow)):
                spot = (int(rng.integers(0, w)), int(rng.integers(0, h)))
                cv2.circle(flakes, spot, int(rng.integers(0, max(2, round(2.2 * unit)))),
                           float(rng.uniform(0.5, 1.0)), -1, cv2.LINE_AA)
            light = light + flakes[..., None] * (245.0 - light)
        return np.asarray(light, np.float32)
