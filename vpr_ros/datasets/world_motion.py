# SPDX-License-Identifier: Apache-2.0
"""How a robot drives a route: speed, swerving, and wheels that misjudge both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.core.types import Trajectory

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Driving:
    """Habits of one run; offsets are bounds, reached by smooth wandering."""

    speed_mps: float = 1.5
    image_hz: float = 2.5
    odometry_hz: float = 30.0
    start_ns: int = 1_700_000_000_000_000_000
    lateral_m: float = 0.1
    heading_deg: float = 1.5
    scale_error: float = 0.012        # odometry: metres a metre
    yaw_walk_deg: float = 0.35        # odometry: standard deviation after a metre
    yaw_bias_deg: float = 0.03        # odometry: degrees a metre


@dataclass(frozen=True)
class Drive:
    """Where the base was at every image, and what odometry said, over `odom_from_base`."""

    stamps_ns: NDArray[np.int64]
    map_from_base: Floats   # (N, 7)
    turn_rad_s: Floats      # (N,)
    seconds: Floats         # (N,) since the start
    odometry: Trajectory


def wander(rng: np.random.Generator, count: int, period: float) -> Floats:
    """Return smooth random numbers in [-1, 1] that swing over about `period` samples."""
    knots = rng.uniform(-1.0, 1.0, max(4, int(count / period) + 3))
    at = np.linspace(0.0, len(knots) - 1.001, count)
    low = at.astype(int)
    share = (1.0 - np.cos(np.pi * (at - low))) / 2
    return np.asarray(knots[low] * (1 - share) + knots[low + 1] * share)


def drive(route_m: Floats, driving: Driving, seed: int) -> Drive:
    """Return the run of a robot along `route_m` (N, 2), points every few centimetres."""
    rng = np.random.default_rng([seed, 21])
    step = np.linalg.norm(np.diff(route_m, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(step)])
    heading = np.unwrap(np.arctan2(*np.gradient(route_m, axis=0).T[::-1]))
    kernel = np.ones(13) / 13
    heading = np.convolve(np.pad(heading, 6, mode='edge'), kernel, mode='valid')
    # Slower in turns: time along the route from the curvature.
    turning = np.abs(np.gradient(heading, along))
    speed = driving.speed_mps / (1.0 + 1.1 * np.minimum(turning, 1.0))
    speed *= 1.0 + 0.15 * wander(rng, len(along), 160)
    seconds = np.concatenate([[0.0], np.cumsum(step / ((speed[1:] + speed[:-1]) / 2))])
    lateral = driving.lateral_m * wander(rng, len(along), 220)
    swerve = np.deg2rad(driving.heading_deg) * wander(rng, len(along), 130)
    left = np.stack([-np.sin(heading), np.cos(heading)], axis=1)
    place = route_m + lateral[:, None] * left
    yaw = heading + swerve

    def poses(times: Floats) -> Floats:
        x, y, a = (np.interp(times, seconds, v) for v in (place[:, 0], place[:, 1], yaw))
        zero = np.zeros_like(x)
        return np.stack([x, y, zero, zero, zero, np.sin(a / 2), np.cos(a / 2)], axis=1)

    jitter = rng.uniform(-0.004, 0.004, int(seconds[-1] * driving.image_hz))
    at = np.arange(len(jitter)) / driving.image_hz + 0.05 + jitter
    at = at[at < seconds[-1]]
    ticks = np.arange(0.0, seconds[-1] + 1.0 / driving.odometry_hz, 1.0 / driving.odometry_hz)
    turn = np.interp(at, seconds, np.gradient(yaw, seconds))
    return Drive(driving.start_ns + np.round(at * 1e9).astype(np.int64), poses(at), turn, at,
                 _odometry(poses(ticks), ticks, driving, rng))


def _odometry(truth: Floats, ticks: Floats, driving: Driving,
              rng: np.random.Generator) -> Trajectory:
    """Return `odom_from_base` from noisy steps of the truth, starting at the identity."""
    motion = se3.compose(se3.inverse(truth[:-1]), truth[1:])
    length = np.linalg.norm(motion[:, :2], axis=1)
    turn = se3.yaw_rad(motion)
    turn = turn + np.deg2rad(driving.yaw_bias_deg) * length + np.deg2rad(
        driving.yaw_walk_deg) * np.sqrt(length) * rng.standard_normal(len(length))
    scale = 1.0 + driving.scale_error
    yaw = np.concatenate([[0.0], np.cumsum(turn)])
    forward, side = motion[:, 0] * scale, motion[:, 1] * scale
    x = np.concatenate([[0.0], np.cumsum(forward * np.cos(yaw[:-1]) - side * np.sin(yaw[:-1]))])
    y = np.concatenate([[0.0], np.cumsum(forward * np.sin(yaw[:-1]) + side * np.cos(yaw[:-1]))])
    zero = np.zeros_like(x)
    poses = np.stack([x, y, zero, zero, zero, np.sin(yaw / 2), np.cos(yaw / 2)], axis=1)
    return Trajectory(driving.start_ns + np.round(ticks * 1e9).astype(np.int64), poses, 'odom')
