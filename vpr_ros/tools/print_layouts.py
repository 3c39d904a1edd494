# SPDX-License-Identifier: Apache-2.0
"""The layouts of image sets, for people."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from vpr_ros.datasets.layout import FLAGS, Layout
from vpr_ros.datasets.layouts import layout_named


def listed(layouts: Mapping[str, Layout]) -> Table:
    """Return a table of all layouts."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ('layout', 'what it is', 'for'):
        table.add_column(column)
    for name, layout in layouts.items():
        table.add_row(name, layout.what, uses(layout))
    return table


def uses(layout: Layout) -> str:
    """Return what a layout is read for."""
    return ', '.join(word for word, reader in (
        ('evaluate', layout.pair), ('learn', layout.places)) if reader is not None)


def drawn(name: str) -> str:
    """Return a layout's folder, its flags and its source; raises DatasetError for another name."""
    layout = layout_named(name)
    needs = ', '.join(FLAGS[option] for option in layout.needs) or 'none'
    takes = ', '.join(FLAGS[option] for option in layout.takes) or 'none'
    return (f'{name}: {layout.what}\n\n{layout.drawing()}\n\nfrom: {layout.source}\n'
            f'used to: {uses(layout)}\nflags that must be given: {needs}\n'
            f'flags that may be given: {takes}')
