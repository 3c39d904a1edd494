# SPDX-License-Identifier: Apache-2.0
"""What a benchmark found, as tables to read and as JSON."""

from __future__ import annotations

from dataclasses import asdict
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vpr_ros.errors import ModelError
from vpr_ros.nets.machine import Machine
from vpr_ros.tools.bench_records import Bench, Row, Stages


def print_bench(bench: Bench, console: Console) -> None:
    """Print the tables, the machine and the protocol."""
    console.print(machine_line(bench.machine), highlight=False, soft_wrap=True)
    console.print(', '.join(f'{name} {number}' for name, number in bench.versions.items()),
                  highlight=False)
    if bench.product_gmac_per_s:
        speeds = (f'{name} {speed:.0f}' for name, speed in bench.product_gmac_per_s.items())
        console.print('large matrix product (oneDNN), billion multiply-adds a second: '
                      + ', '.join(speeds), highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ('model', 'engine', 'ratio', 'cpu ms p50', 'p95', 'wall ms p50', 'p95', 'img/s',
                 'memory MB', 'file MB', 'GMAC/s', 'of product'):
        table.add_column(name, justify='left' if name in ('model', 'engine') else 'right')
    for row in bench.rows:
        table.add_row(*cells(row))
    console.print(table)
    shares = Table(box=None, padding=(0, 2, 0, 0))
    for name in ('model', 'fastest engine', 'decode', 'preprocess', 'network', 'search',
                 'together ms'):
        shares.add_column(name, justify='left' if name in ('model', 'fastest engine') else 'right')
    for stages in bench.stages:
        shares.add_row(*stage_cells(stages))
    console.print(shares)
    for remark in bench.remarks:
        console.print(remark, style='yellow', highlight=False, soft_wrap=True)
    console.print(f'protocol: {bench.protocol}', style='dim', highlight=False, soft_wrap=True)


def cells(row: Row) -> list[str]:
    """Return a row of the table."""
    one = row.one
    return [row.model, f'{row.engine} {row.precision}', _number(row.ratio, '.3f'),
            f'{one.cpu_ms_p50:.1f}', f'{one.cpu_ms_p95:.1f}', f'{one.wall_ms_p50:.1f}',
            f'{one.wall_ms_p95:.1f}', f'{row.images_per_s:.1f}', f'{row.memory_mb:.0f}',
            f'{row.file_mb:.1f}', _number(row.gmac_per_s, '.0f'),
            _number(row.share_of_product, '.2f')]


def stage_cells(stages: Stages) -> list[str]:
    """Return a row of the shares: each stop's milliseconds and share."""
    spent = (stages.decode_ms, stages.preprocess_ms, stages.network_ms, stages.search_ms)
    return [stages.model, stages.engine,
            *(f'{ms:.2f} ({ms / sum(spent):.0%})' for ms in spent), f'{sum(spent):.2f}']


def machine_line(machine: Machine) -> str:
    """Return the machine in a line."""
    return (f'{machine.processor}, {machine.cores} of {machine.cores_there} cores, governor '
            f'{machine.governor}, {machine.system}; {" ".join(machine.flags)}')


def write_bench(bench: Bench, path: Path) -> None:
    """Write all numbers; raises ModelError when the file cannot be written."""
    record: dict[str, Any] = {'schema': 1, **asdict(bench)}
    try:
        path.write_text(json.dumps(record, indent=2) + '\n', encoding='utf-8')
    except OSError as error:
        raise ModelError(f'cannot write {path} ({error.strerror}); choose another place'
                         ) from error


def _number(value: float | None, form: str) -> str:
    return '-' if value is None else format(value, form)
