# SPDX-License-Identifier: Apache-2.0
"""A pruning run as a table, and in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table

from vpr_ros.compress.prune_points import Point
from vpr_ros.tools.prune_model import Pruned


def pruned_table(points: Sequence[Point]) -> Table:
    """Return a line for each step; sets by which one chooses first."""
    table = Table(title='pruned, step by step')
    for name in ('step', 'channels gone', 'weights, M', 'numbers', 'model + map, MB', 'ms',
                 'of dense'):
        table.add_column(name, justify='right')
    for recalled in points[0].recalls:
        table.add_column(f'{recalled.pair}{"" if recalled.chooses else " (test)"}',
                         justify='right')
    for point in points:
        speed = point.speed
        table.add_row(
            str(point.step), f'{point.sparsity:.0%}', f'{point.parameters / 1e6:.2f}',
            str(point.dim), f'{point.total_bytes / 1e6:.1f}',
            '-' if speed is None else f'{speed.describe_ms + speed.match_ms:.2f}',
            '-' if speed is None else f'{speed.ratio:.2f}',
            *(f'{recalled.at_1:.3f}' for recalled in point.recalls))
    return table


def pruned_lines(done: Pruned, out: Path) -> Iterator[str]:
    """Yield which step to take, why, and what the numbers are."""
    dense, chosen = done.points[0], done.chosen
    for recalled in dense.recalls:
        yield f'{recalled.pair} ({recalled.queries} queries): {recalled.protocol}'
    yield ('recall@1 over the queries that have a positive, map and query by the same network, '
           'exact search, torch in float32'
           + (f"; ms: processor time of one image of the input's size and a search among "
              f'{dense.speed.places} places, median of rounds in turn with the dense network, '
              f'{dense.speed.engine}, one thread' if dense.speed else ''))
    if chosen.step == 0:
        yield f'take the dense network: {done.why}'
        return
    yield f'take {out / chosen.folder}: {done.why}'
    same = chosen.dim == dense.dim
    yield ('it may query maps of its parent' if same else
           'its descriptor is smaller: build maps again with it')
    yield f'next: vpr quantize {out / chosen.folder} --images ... for int8'
