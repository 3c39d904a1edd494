# SPDX-License-Identifier: Apache-2.0
"""From the name of a public network to a model folder: download, check, import."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from vpr_ros.core.card import ModelCard, Resize
from vpr_ros.core.folder import refuse_existing
from vpr_ros.errors import ModelError
from vpr_ros.tools.download import download, MAX_BYTES, Progress
from vpr_ros.tools.public_models import NAMED_ONLY, PUBLIC_MODELS, PublicModel

if TYPE_CHECKING:
    from rich.table import Table


def fetch_model(model: PublicModel, out: Path, *, size: tuple[int, int] | None = None,
                resize: Resize | None = None, downloads: Path | None = None,
                max_bytes: int = MAX_BYTES, force: bool = False,
                progress: Progress = lambda done, total: None) -> ModelCard:
    """Write the model folder `out` of a public network; return its card.

    Raises ModelError as `download` and `import_checkpoint` do, before the download where it can.
    """
    refuse_existing(out, force, ModelError)
    if model.own_size and size is None:
        raise ModelError(f'{model.name} runs at the size that the images have, and a graph has '
                         'one: pass --size, such as 480x640 (height x width) of your camera')
    remedy = (f'bring {model.file_name} from {model.page} on another way, then: vpr model import '
              f'{model.file_name} --layout {model.layout} --out {out}'
              + (f' --size {size[0]}x{size[1]}' if size else ''))
    from vpr_ros.nets.checkpoint import read_checkpoint
    from vpr_ros.nets.model_import import import_checkpoint
    file = download(model.url, (downloads or downloads_folder()) / f'{model.name}.pth', remedy,
                    read_checkpoint, max_bytes=max_bytes, progress=progress)
    return import_checkpoint(file, model.layout, out, size=size, resize=resize, name=model.name,
                             licence=model.licence, dim=model.dim, force=force)


def downloads_folder() -> Path:
    """Return where checkpoints are kept."""
    cache = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(cache) / 'vpr_ros' / 'checkpoints'


def models_table() -> Table:
    """Return what can be fetched, and what must be brought by hand."""
    from rich.table import Table
    table = Table('name', 'dimensions', 'license', 'layout', 'from', box=None)
    groups: dict[str, list[PublicModel]] = {}
    for model in PUBLIC_MODELS.values():
        groups.setdefault(model.name.rpartition('-')[0], []).append(model)
    for stem, models in groups.items():
        sizes = ', '.join(str(model.dim) for model in models)
        table.add_row(f'{stem}-DIM', sizes, models[0].licence, models[0].layout, models[0].page)
    for named in NAMED_ONLY:
        table.add_row(named.what, '', named.why, named.layout or '-', named.page, style='dim')
    return table
