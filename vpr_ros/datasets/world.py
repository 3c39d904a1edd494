# SPDX-License-Identifier: Apache-2.0
"""A procedural world: two runs through one building and street, and images to learn from.

Nothing is downloaded and equal arguments give equal pixels: plan and walls come from the seed,
light and weather from `Conditions`, motion from `Driving`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
import math

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.core.types import Image
from vpr_ros.datasets.run import LazyImages, Run, RunPair
from vpr_ros.datasets.world_conditions import Conditions, MAPPING, QUERY
from vpr_ros.datasets.world_motion import Drive, drive, Driving
from vpr_ros.datasets.world_people import Crowd
from vpr_ros.datasets.world_plan import Floats, Kind
from vpr_ros.datasets.world_render import Renderer
from vpr_ros.datasets.world_scene import World
from vpr_ros.datasets.world_sensor import Sensor
from vpr_ros.datasets.world_shapes import Pinhole

CAMERA = 'front'
BASE_FROM_CAMERA = np.array([0.15, 0.0, 0.6, -0.5, 0.5, -0.5, 0.5])
"""Looking forward; the optical frame has z forward, x right, y down."""

MAPPING_DRIVING = Driving()
QUERY_DRIVING = Driving(speed_mps=1.35, start_ns=1_702_419_200_000_000_000, lateral_m=0.55,
                        heading_deg=7.0, scale_error=-0.015)


@dataclass(frozen=True)
class View:
    """The camera of the runs."""

    width_px: int = 320
    height_px: int = 240
    view_deg: float = 78.0

    @property
    def pinhole(self) -> Pinhole:
        """The ideal camera with this picture."""
        return Pinhole.with_view(self.width_px, self.height_px, self.view_deg)


class _Shots:
    """Frames of one drive, rendered when asked for; the scene is built at the first."""

    def __init__(self, world: World, day: Conditions, route: Floats, run: Drive,
                 view: View) -> None:
        self._world, self._day, self._route, self._run = world, day, route, run
        self._camera = view.pinhole
        self._sensor = Sensor(self._camera, day)
        self._renderer: Renderer | None = None
        self._crowd: Crowd | None = None

    def __call__(self, index: int) -> Image:
        if self._renderer is None or self._crowd is None:
            scene = self._world.scene(self._day)
            self._renderer = Renderer(scene, self._camera)
            self._crowd = Crowd(self._world.plan, self._route, self._day, scene.light_of)
        pose = se3.compose(self._run.map_from_base[index], BASE_FROM_CAMERA)
        x, y, z = (float(v) for v in pose[:3])
        yaw = float(se3.yaw_rad(self._run.map_from_base[index]))
        people = self._crowd.at(float(self._run.seconds[index]), x, y)
        image, depth = self._renderer.render(x, y, z, yaw, people)
        return self._sensor.expose(image, depth, is_outdoors(self._world, x, y),
                                   float(self._run.turn_rad_s[index]), index)


def is_outdoors(world: World, x_m: float, y_m: float) -> bool:
    """Return whether a point lies in a street."""
    area = int(world.plan.area_at(np.array([x_m]), np.array([y_m]))[0])
    return area >= 0 and world.plan.areas[area].kind is Kind.STREET


def building_pair(seed: int = 0, view: View | None = None, mapping_day: Conditions = MAPPING,
                  query_day: Conditions = QUERY, mapping_driving: Driving = MAPPING_DRIVING,
                  query_driving: Driving = QUERY_DRIVING) -> RunPair:
    """Return a run to map (street, hall, ring of corridors) and a later one to find in it.

    The query run drives through a wing that the map never saw, on another kind of day.
    Images are rendered when they are read; reading them in order is fastest.
    """
    world, view = World(seed), view or View()
    runs = []
    for name, route, day, habits, number in (
            ('mapping', world.plan.mapping_route_m, mapping_day, mapping_driving, 0),
            ('query', world.plan.query_route_m, query_day, query_driving, 1)):
        run = drive(route, habits, 2 * seed + number)
        shots = _Shots(world, replace(day, seed=day.seed + 1000 * seed), route, run, view)
        runs.append(Run(f'building {seed} {name}', 'map', CAMERA, BASE_FROM_CAMERA,
                        run.stamps_ns, run.map_from_base, run.odometry,
                        LazyImages(len(run.stamps_ns), shots)))
    return RunPair(f'building {seed}', runs[0], runs[1], 2.0, 40.0,
                   'procedural building and street: a positive is a map image within 2 m and '
                   '40 degrees of the query; the wing that the map never saw has none')


def unmapped(pair: RunPair, beyond_m: float = 3.0) -> NDArray[np.bool_]:
    """Return for each query image (N,) whether the map has nothing within `beyond_m`."""
    near = [float(se3.distance_m(pair.mapping.map_from_base, pose).min())
            for pose in pair.query.map_from_base]
    return np.asarray(np.array(near) > beyond_m)


def training_images(seed: int, count: int, size_px: tuple[int, int] = (224, 224),
                    per_world: int = 60) -> Iterator[Image]:
    """Yield `count` images (height, width of `size_px`) from ever new worlds, days and views.

    Materials and colors leave the range of real buildings; seeds of `building_pair` are not
    among the worlds.
    """
    made = 0
    while made < count:
        number = 1_000_000 + seed * 10_000 + made // per_world
        rng = np.random.default_rng([number, 41])
        world = World(number, wild=bool(rng.random() < 0.7))
        day = random_day(rng)
        scene = world.scene(day)
        camera = Pinhole.with_view(size_px[1], size_px[0], float(rng.uniform(55, 95)))
        renderer, sensor = Renderer(scene, camera), Sensor(camera, day)
        route = world.plan.query_route_m
        crowd = Crowd(world.plan, route, day, scene.light_of)
        for k in range(min(per_world, count - made)):
            at = int(rng.integers(1, len(route)))
            way = route[at] - route[at - 1]
            yaw = math.atan2(way[1], way[0]) + float(rng.normal(0.0, 0.4)) + (
                math.pi if rng.random() < 0.3 else 0.0)
            x, y = (float(v) for v in route[at] + rng.uniform(-0.5, 0.5, 2))
            z = float(rng.uniform(0.3, 1.7))
            image, depth = renderer.render(x, y, z, yaw,
                                           crowd.at(float(rng.uniform(0, 300)), x, y))
            yield sensor.expose(image, depth, is_outdoors(world, x, y), 0.0, k)
        made += per_world


def random_day(rng: np.random.Generator) -> Conditions:
    """Return conditions of any kind."""
    warm = float(rng.uniform(-0.15, 0.3))
    weather = int(rng.integers(5))
    return Conditions(
        seed=int(rng.integers(2 ** 31)), lamp_gain=float(rng.uniform(0.5, 1.25)),
        lamp_color=(1.0, 1.0 - 0.4 * abs(warm), 1.0 - warm),
        lamps_off=float(rng.uniform(0.0, 0.3)), day_gain=float(rng.uniform(0.5, 1.1)),
        sun=float(rng.uniform(0.0, 1.0)), sun_azimuth_rad=float(rng.uniform(0, 2 * math.pi)),
        sun_elevation_rad=float(rng.uniform(0.3, 1.2)),
        sight_m=float(rng.uniform(20, 90)) if weather == 0 else math.inf,
        rain=float(rng.uniform(0.3, 1.0)) if weather == 1 else 0.0,
        snow=float(rng.uniform(0.3, 1.0)) if weather == 2 else 0.0,
        people=float(rng.uniform(0.0, 1.5)), exposure=float(rng.uniform(0.75, 1.25)),
        balance=(float(rng.uniform(0.9, 1.1)), 1.0, float(rng.uniform(0.85, 1.12))),
        noise=float(rng.uniform(0.5, 6.0)))
