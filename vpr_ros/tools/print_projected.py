# SPDX-License-Identifier: Apache-2.0
"""What a shorter descriptor recalls, as a table and in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

from vpr_ros.compress.project import Projected


def projected_table(done: Projected) -> Table:
    """Return recall@1 before and after, a line a set."""
    table = Table(title='recall@1')
    table.add_column('')
    for name in ('queries', 'before', 'after'):
        table.add_column(name, justify='right')
    for old, new in zip(done.before, done.after, strict=True):
        table.add_row(old.pair, str(old.queries), f'{old.at_1:.3f}', f'{new.at_1:.3f}')
    return table


def projected_lines(done: Projected, out: Path) -> Iterator[str]:
    """Yield what the numbers are, and what to do with the model."""
    for each in done.before:
        yield f'{each.pair}: {each.protocol}'
    yield ('recall@1 over the queries that have a positive, map and query by the same network, '
           'exact search, torch in float32')
    yield (f'{done.card.dim} numbers, with {done.share:.0%} of the variance; written to {out}: '
           'build maps again with it')
    yield f'next: vpr prune {out} --images ... for time, vpr quantize {out} --images ... for int8'
