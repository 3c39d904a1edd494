# SPDX-License-Identifier: Apache-2.0
"""The commands `vpr model pack` and `vpr model unpack`: a model as one small file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TYPE_CHECKING

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Column, Table

if TYPE_CHECKING:
    from vpr_ros.nets.packed_sizes import ArraySize, PackedSizes

_NO = Parameter(negative=())
_LARGEST = 12  # arrays that are listed


def add_pack_commands(app: App) -> None:
    """Give `app`, which is `vpr model`, the commands of this file."""
    for command in (pack, unpack):
        app.command(command)


def pack(model: Path, out: Path, /, *, arrays: Annotated[bool, _NO] = False,
         force: Annotated[bool, _NO] = False) -> None:
    """Write a model folder as one file (.vprz), to be used wherever the folder is.

    Nothing is lost: unpacked, every file is the same byte for byte. How small it gets depends on
    the weights: vpr compress makes such that pack well, others shrink by the copy in the graph.

    Parameters
    ----------
    model
        Folder of the model; it is not changed.
    out
        The file to write, such as model.vprz.
    arrays
        List what each array takes.
    force
        Replace an existing file.
    """
    from vpr_ros.nets.pack import pack as write
    sizes = write(model, out, force)
    console = Console()
    for line in sizes_lines(sizes, out):
        console.print(line, highlight=False, soft_wrap=True)
    listed = sorted(sizes.arrays, key=lambda each: -each.packed_bytes)
    if arrays:
        console.print(arrays_table(listed))
    elif len(listed) > 1 and not any(each.levels > 1 for each in listed[:_LARGEST]):
        console.print('its weights share no values; vpr compress makes a network whose file is '
                      'a tenth', style='dim', highlight=False, soft_wrap=True)


def unpack(file: Path, out: Path, /, *, force: Annotated[bool, _NO] = False) -> None:
    """Write the model folder of a packed file.

    Parameters
    ----------
    file
        The packed model.
    out
        Folder to write.
    force
        Replace an existing folder.
    """
    from vpr_ros.nets.unpack import unpack as write
    card = write(file, out, force)
    Console().print(f'{card.name}, {card.dim}-d, {card.digest[:12]}, written to {out}',
                    highlight=False, soft_wrap=True)


def sizes_lines(sizes: PackedSizes, out: Path) -> tuple[str, ...]:
    """Return in words how large a packed file is, and of what."""
    parts = (('indices', sizes.index_bytes), ('gaps', sizes.gap_bytes),
             ('codebooks', sizes.codebook_bytes), ('whole arrays', sizes.plain_bytes),
             ('graphs, card, names', sizes.rest_bytes))
    return (
        f'{out}: {sizes.file_bytes:,} bytes, the folder {sizes.folder_bytes:,}, its weights '
        f'alone {sizes.weights_bytes:,}: {sizes.ratio:.1f} times as large',
        ', '.join(f'{name} {count:,}' for name, count in parts if count))


def arrays_table(arrays: list[ArraySize]) -> Table:
    """Return what each array takes, in the order given."""
    table = Table(Column('array', overflow='fold'), box=None)
    for head in ('values', 'not zero', 'levels', 'indices', 'gaps', 'codebook', 'whole', 'bits'):
        table.add_column(head, justify='right')
    for each in arrays:
        table.add_row(
            each.name, f'{each.count:,}', f'{1.0 - each.zeros / each.count:.0%}',
            str(each.levels or ''), *(f'{size:,.0f}' if size else '' for size in (
                each.index_bytes, each.gap_bytes, each.codebook_bytes, each.plain_bytes)),
            f'{each.bits:.2f}')
    return table
