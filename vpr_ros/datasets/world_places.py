# SPDX-License-Identifier: Apache-2.0
"""The procedural world as places: each spot seen on several days, from a little aside."""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np

from vpr_ros.core.types import Image
from vpr_ros.datasets.places import Floats, joined, Places
from vpr_ros.datasets.run import LazyImages
from vpr_ros.datasets.world import is_outdoors, random_day
from vpr_ros.datasets.world_conditions import Conditions
from vpr_ros.datasets.world_people import Crowd
from vpr_ros.datasets.world_render import Renderer
from vpr_ros.datasets.world_scene import World
from vpr_ros.datasets.world_sensor import Sensor
from vpr_ros.datasets.world_shapes import Pinhole
from vpr_ros.errors import DatasetError

_FIRST_WORLD = 2_000_000   # apart from the worlds of `training_images` and of `building_pair`


@dataclass(frozen=True)
class SpotConfig:
    """How much of each world, and how far a view may be from its spot."""

    spots: int = 40
    views: int = 4            # of a spot, each on another day
    apart_m: float = 4.0      # spots along the route
    aside_m: float = 0.6
    turn_deg: float = 10.0
    size_px: tuple[int, int] = (224, 224)   # height, width
    view_deg: float = 78.0

    def __post_init__(self) -> None:
        if min(self.spots, self.views) < 1 or self.apart_m <= 2.0 * self.aside_m:
            raise DatasetError('spots need at least one view each, and must be farther apart than '
                               'twice what a view may be aside')


def world_places(seed: int, worlds: int = 1, config: SpotConfig | None = None) -> Places:
    """Return spots of `worlds` ever new worlds as places; equal arguments give equal pixels.

    Images are rendered when they are read, day by day: reading them in order is fastest, since a
    scene is built anew for each day. Raises DatasetError when `worlds` is not positive.
    """
    config = config or SpotConfig()
    return joined(f'world {seed}', [_of_world(_FIRST_WORLD + 10_000 * seed + number, config)
                                    for number in range(worlds)])


def _of_world(number: int, config: SpotConfig) -> Places:
    world = World(number)
    rng = np.random.default_rng([number, 43])
    spots = _spots(world.plan.query_route_m, config)
    days = [random_day(rng) for _ in range(config.views)]
    count = len(spots)
    shift = rng.uniform(-config.aside_m, config.aside_m, (config.views, count, 2)) / math.sqrt(2)
    turn = np.radians(rng.uniform(-config.turn_deg, config.turn_deg, (config.views, count)))
    positions = (spots[None, :, :2] + shift).reshape(-1, 2)
    headings = (spots[None, :, 2] + turn).reshape(-1)
    shots = _Shots(world, days, positions, headings, config)
    return Places(
        f'world {number}', LazyImages(len(positions), shots),
        np.tile(np.arange(count, dtype=np.int64), config.views), positions, headings,
        f'procedural world, spots {config.apart_m:g} m apart along its route, each seen on '
        f'{config.views} days, up to {config.aside_m:g} m and {config.turn_deg:g} degrees '
        'aside')


def _spots(route_m: Floats, config: SpotConfig) -> Floats:
    """Return x, y and heading (N, 3) of spots along a route; a place is passed once."""
    way = np.diff(route_m[:, :2], axis=0)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(way[:, 0], way[:, 1]))])
    found: list[tuple[float, float, float]] = []
    for at in np.arange(0.5 * config.apart_m, along[-1], config.apart_m):
        leg = min(int(np.searchsorted(along, at, side='right')) - 1, len(way) - 1)
        share = (at - along[leg]) / max(along[leg + 1] - along[leg], 1e-9)
        x, y = (float(v) for v in route_m[leg, :2] + share * way[leg])
        if all(math.hypot(x - other[0], y - other[1]) >= 0.9 * config.apart_m for other in found):
            found.append((x, y, math.atan2(way[leg, 1], way[leg, 0])))
        if len(found) == config.spots:
            break
    return np.array(found)


class _Shots:
    """Renders views when asked for; the scene of the last day is kept."""

    def __init__(self, world: World, days: list[Conditions], positions_m: Floats,
                 headings_rad: Floats, config: SpotConfig) -> None:
        self._world, self._days = world, days
        self._positions_m, self._headings_rad = positions_m, headings_rad
        self._camera = Pinhole.with_view(config.size_px[1], config.size_px[0], config.view_deg)
        self._per_day = len(positions_m) // len(days)
        self._day = -1
        self._made: tuple[Renderer, Sensor, Crowd] | None = None

    def __call__(self, index: int) -> Image:
        day, spot = divmod(index, self._per_day)
        if day != self._day or self._made is None:
            scene = self._world.scene(self._days[day])
            crowd = Crowd(self._world.plan, self._world.plan.query_route_m, self._days[day],
                          scene.light_of)
            self._made = (Renderer(scene, self._camera), Sensor(self._camera, self._days[day]),
                          crowd)
            self._day = day
        renderer, sensor, crowd = self._made
        x, y = (float(v) for v in self._positions_m[index])
        image, depth = renderer.render(x, y, 0.6, float(self._headings_rad[index]),
                                       crowd.at(7.0 * spot, x, y))
        return sensor.expose(image, depth, is_outdoors(self._world, x, y), 0.0, spot)
