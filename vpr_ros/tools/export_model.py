# SPDX-License-Identifier: Apache-2.0
"""A model folder -> its graph exported anew, held against torch on pictures."""

from __future__ import annotations

from pathlib import Path

from vpr_ros.core.card import ModelCard
from vpr_ros.core.folder import refuse_existing
from vpr_ros.datasets.world import training_images
from vpr_ros.errors import ModelError
from vpr_ros.nets.reexport import export_again
from vpr_ros.tools.picture_source import BagCamera, folder_pictures, is_bag

_PICTURES = 16
_SEED = 7


def export_model(model: Path, out: Path, size: tuple[int, int] | None, pictures: Path | None,
                 topic: str, force: bool) -> ModelCard:
    """Write the model `out` as `export_again` does; without `pictures` rendered ones are taken."""
    refuse_existing(out, force, ModelError)
    if pictures is None:
        return export_again(model, out, list(training_images(_SEED, _PICTURES)), size=size,
                            shown='rendered pictures of buildings and streets', force=force)
    images = (BagCamera(pictures, topic).images(_PICTURES) if is_bag(pictures)
              else folder_pictures(pictures, _PICTURES))
    return export_again(model, out, list(images), size=size, shown=f'pictures of {pictures.name}',
                        force=force)
