# SPDX-License-Identifier: Apache-2.0
"""A compression as tables, and in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table

from vpr_ros.compress.compress_points import Point
from vpr_ros.tools.compress_model import Compressed
from vpr_ros.tools.compression_table import DENSE_KERNELS, ModelRow


def steps_table(points: Sequence[Point]) -> Table:
    """Return a line for each step; sets by which one chooses first."""
    table = Table(title='compressed, step by step')
    for name in ('step', 'weights', 'zero', 'packed, MB', 'smaller by'):
        table.add_column(name, justify='right')
    for recalled in points[0].recalls:
        table.add_column(f'{recalled.pair}{"" if recalled.chooses else " (test)"}',
                         justify='right')
    for point in points:
        table.add_row(str(point.step), point.kind, f'{point.sparsity:.0%}',
                      f'{point.packed_bytes / 1e6:.2f}', f'{point.ratio:.1f}',
                      *(f'{recalled.at_1:.3f}' for recalled in point.recalls))
    return table


def models_side_by_side(rows: Sequence[ModelRow]) -> Table:
    """Return a line for each model; sizes in MB."""
    table = Table(title='models side by side, MB')
    table.add_column('model')
    for name in ('float weights', 'folder', '.vprz', 'loaded', 'ms'):
        table.add_column(name, justify='right')
    for recalled in rows[0].recalls:
        table.add_column(f'{recalled.pair}{"" if recalled.chooses else " (test)"}',
                         justify='right')
    for row in rows:
        table.add_row(f'{row.label}\n{row.kind}, {row.engine}', f'{row.weights_bytes / 1e6:.2f}',
                      f'{row.folder_bytes / 1e6:.2f}', f'{row.packed_bytes / 1e6:.2f}',
                      f'{row.memory_mb:.0f}', f'{row.describe_ms:.2f}',
                      *(f'{recalled.at_1:.3f}' for recalled in row.recalls))
    return table


def compressed_lines(done: Compressed, out: Path) -> Iterator[str]:
    """Yield what to take, why, and what the numbers are."""
    for recalled in done.points[0].recalls:
        yield f'{recalled.pair} ({recalled.queries} queries): {recalled.protocol}'
    yield ('recall@1 over the queries that have a positive, map and query by the same network, '
           'exact search; float models in torch, int8 by their engine')
    yield ('packed: the whole model, graph included, as one .vprz; smaller by: float32 '
           'weights.safetensors over that; loaded: the most memory of a process that describes an '
           'image; ms: processor time of one image, one thread, median of turns')
    yield DENSE_KERNELS
    yield from done.remarks
    if done.file is None:
        yield f'take the dense network: {done.why}'
        return
    yield (f'take {done.file} ({done.chosen.packed_bytes / 1e6:.2f} MB, 1/{done.chosen.ratio:.1f} '
           f'of its float weights): {done.why}')
    yield f'it may query maps of its parent; next: vpr map build ... --model {done.file}'
