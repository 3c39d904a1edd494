# SPDX-License-Identifier: Apache-2.0
"""What the default model may learn from: real training halves and the procedural world."""

from __future__ import annotations

from pathlib import Path

from vpr_ros.compress.distill_config import DistillConfig
from vpr_ros.core.types import Image
from vpr_ros.datasets.halves import training_halves
from vpr_ros.datasets.world import training_images


def source_images(data: Path, config: DistillConfig, seed: int) -> tuple[Image, ...]:
    """Return the images that views are cut from: about as many real ones as rendered ones.

    The real ones (the first halves, by place, of the sets that are clean for redistribution)
    are few, so each is there several times.
    Raises DatasetError where a set is missing below `data`.
    """
    real = training_halves(data)
    size_px = (config.world_height_px, config.world_width_px)
    world = tuple(training_images(seed, config.world_frames, size_px))
    return real * max(1, round(len(world) / len(real))) + world
