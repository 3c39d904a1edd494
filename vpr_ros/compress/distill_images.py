# SPDX-License-Identifier: Apache-2.0
"""What the default model may learn from: real training halves and the procedural world."""

from __future__ import annotations

from pathlib import Path

from vpr_ros.core.types import Image
from vpr_ros.datasets.halves import training_halves
from vpr_ros.datasets.world import training_images


def source_images(data: Path, world_frames: int, world_px: tuple[int, int],
                  seed: int) -> tuple[Image, ...]:
    """Return the images that views are cut from: about as many real ones as rendered ones.

    The real ones (the first halves, by place, of the sets that are clean for redistribution)
    are few, so each is there several times.  `world_px` is (height, width).
    Raises DatasetError where a set is missing below `data`.
    """
    real = training_halves(data)
    world = tuple(training_images(seed, world_frames, world_px)) if world_frames else ()
    return real * max(1, round(len(world) / len(real))) + world
