# SPDX-License-Identifier: Apache-2.0
"""The commands `vpr model ...`: flags in, one pure function under each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
import math
from pathlib import Path
import sys
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console

from vpr_ros.core.card import ModelCard, Resize
from vpr_ros.errors import ModelError
from vpr_ros.tools.flags import given

model_app = App(name='model', help='Bring a network, or look at one.')

_NO = Parameter(negative=())


@model_app.command(name='import')
def model_import(checkpoint: Path, /, *, out: Path, layout: str = 'torchvision', size: str = '',
                 resize: Resize | None = None, grid: int | None = None, l2: str = '',
                 backbone: str = '', cut: str = '', aggregator: str = '',
                 scale: float | None = None, mean: str = '', std: str = '',
                 name: str | None = None, license: str = 'unknown',
                 force: Annotated[bool, _NO] = False) -> None:
    """Turn published weights into a model folder (needs torch).

    Parameters
    ----------
    checkpoint
        A .pth, .ckpt or .safetensors file; nothing in it is run (weights_only=True).
    out
        Folder of the new model.
    layout
        Who wrote the file: cosplace, eigenplaces, gsv-cities, mixvpr, openvprlab, dvgl-benchmark,
        patch-netvlad, boq; or torchvision, a plain state dict, which needs --backbone, --cut and
        --aggregator.
    size
        Input size in pixels, 480x640 (height x width) or 320; left out: as published
        (torchvision: 224).
    resize
        How images get that size; left out: as published (torchvision: area).
    grid
        Cells along each side of ConvAP's grid, which no file says (default 2), or of --aggregator
        grid (default 4).
    l2
        after_pool or none: what a GeM of the benchmark with a linear was trained with.
    backbone
        torchvision's name, such as resnet18, vgg16 or mobilenet_v2.
    cut
        The last layer to keep, such as features.14 or layer3.
    aggregator
        gem, or grid: the mean over each cell of a coarse grid.
    scale
        What pixels of 0 to 255 are divided by first (default 255; networks from Caffe: 1).
    mean
        What is then taken off red, green and blue, such as 123,117,104 (default ImageNet's).
    std
        And what they are then divided by, such as 1,1,1 (default ImageNet's).
    name
        Name of the model; left out: that of the folder.
    license
        License of the weights, for the card.
    force
        Replace an existing folder.
    """
    refuse_without_torch()
    pixels = parse_size(size)
    colors: dict[str, Any] = {'scale': scale, 'mean': parse_colors('--mean', mean),
                              'std': parse_colors('--std', std)}
    if layout == 'torchvision':
        card = _import_torchvision(checkpoint, out, backbone, cut, aggregator, grid, pixels,
                                   resize, colors, name, license, force)
    else:
        if said := [flag for flag, value in (('--backbone', backbone), ('--cut', cut),
                                             ('--aggregator', aggregator),
                                             ('--scale', scale is not None),
                                             ('--mean', mean), ('--std', std)) if value]:
            raise ModelError(f'{" and ".join(said)}: a file in the layout {layout} says that '
                             'itself; leave it out')
        from vpr_ros.nets.layouts import Unsaid
        from vpr_ros.nets.model_import import import_checkpoint
        unsaid = Unsaid(l2=l2) if grid is None else Unsaid(grid, l2)
        card = import_checkpoint(checkpoint, layout, out, size=pixels, resize=resize,
                                 unsaid=unsaid, name=name, licence=license, force=force)
    _print_written(card, out)


@model_app.command(name='fetch')
def model_fetch(name: str = '', /, *, out: Path | None = None, size: str = '',
                resize: Resize | None = None, downloads: Path | None = None,
                max_mb: int | None = None, force: Annotated[bool, _NO] = False) -> None:
    """Download a public network and turn it into a model folder (needs torch).

    Parameters
    ----------
    name
        Such as eigenplaces-resnet18-512; left out: list what can be fetched.
    out
        Folder of the new model.
    size
        Input size in pixels, 480x640 (height x width) or 320; left out: as published.
    resize
        How images get that size; left out: as published.
    downloads
        Folder that keeps the files and their digests (default ~/.cache/vpr_ros/checkpoints).
    max_mb
        Refuse larger files (default 1073).
    force
        Replace an existing folder.
    """
    from vpr_ros.tools.download import MAX_BYTES
    from vpr_ros.tools.fetch_model import fetch_model, models_table
    from vpr_ros.tools.public_models import public_model
    if not name:
        Console().print(models_table())
        return
    model = public_model(name)
    refuse_without_torch()
    if out is None:
        raise ModelError(f'where to? pass --out, such as --out {model.name}')
    with _bar(model.file_name) as progress:
        card = fetch_model(model, out, size=parse_size(size), resize=resize, downloads=downloads,
                           max_bytes=MAX_BYTES if max_mb is None else max_mb * 1_000_000,
                           force=force, progress=progress)
    _print_written(card, out)


@model_app.command(name='info')
def model_info(path: Path | None = None, /) -> None:
    """Print the card of a model; left out: of the one that ships with this package.

    Parameters
    ----------
    path
        Folder of the model.
    """
    from vpr_ros.nets.model_folder import default_model_folder, read_card
    print(read_card(path or default_model_folder()).to_json(), end='')


def parse_size(text: str) -> tuple[int, int] | None:
    """Return (height, width) of '480x640' or '320', None of ''; raises ModelError."""
    if not text:
        return None
    sides = text.lower().split('x')
    if len(sides) > 2 or not all(side.isascii() and side.isdigit() for side in sides):
        raise ModelError(f'a size is 480x640 (height x width) or 320, not {text!r}')
    return int(sides[0]), int(sides[-1])


def parse_colors(flag: str, text: str) -> tuple[float, float, float] | None:
    """Return the numbers of '123,117,104', None of ''; raises ModelError."""
    if not text:
        return None
    try:
        red, green, blue = (float(part) for part in text.split(','))
        if not math.isfinite(red + green + blue):
            raise ValueError
    except ValueError:
        raise ModelError(f'{flag} is a number each for red, green and blue, such as 123,117,104, '
                         f'not {text!r}') from None
    return red, green, blue


def _import_torchvision(checkpoint: Path, out: Path, backbone: str, cut: str, aggregator: str,
                        grid: int | None, size: tuple[int, int] | None, resize: Resize | None,
                        colors: dict[str, Any], name: str | None, license: str, force: bool
                        ) -> ModelCard:
    if missing := [flag for flag, value in (('--backbone', backbone), ('--cut', cut),
                                            ('--aggregator', aggregator)) if not value]:
        raise ModelError(f'the layout torchvision needs {", ".join(missing)}; a network for place '
                         'recognition needs --layout instead, see vpr model import --help')
    from vpr_ros.core.card import Preprocessing
    from vpr_ros.nets.model_import import import_torchvision
    height, width = size or (224, 224)
    return import_torchvision(
        checkpoint, backbone, cut, aggregator, out,
        aggregator_args=None if grid is None else {'grid': grid},
        preprocessing=Preprocessing(height, width, resize or Resize.AREA, **given(**colors)),
        name=name or out.name, licence=license, force=force)


def refuse_without_torch() -> None:
    """Raise ModelError where torch is not installed."""
    if find_spec('torch') is None:
        raise ModelError('torch is needed to read weights; pip install -r requirements/train.txt, '
                         'or import on another machine and copy the folder')


def _print_written(card: ModelCard, out: Path) -> None:
    pre = card.preprocessing
    Console().print(
        f'{card.name}: {card.backbone} up to {card.cut}, {card.aggregator}, {card.dim}-d, images '
        f'to {pre.height_px}x{pre.width_px} ({pre.resize.value}), {card.digest[:12]}, written to '
        f'{out}', highlight=False, soft_wrap=True)


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], object]]:
    """Yield what draws how far a download is; silent where nobody watches."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.progress import DownloadColumn, Progress, TransferSpeedColumn
    with Progress('{task.description}', DownloadColumn(), TransferSpeedColumn(),
                  console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
