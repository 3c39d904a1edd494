# SPDX-License-Identifier: Apache-2.0
"""The command `vpr report`: pages of evaluations, prunings and compressions that are there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console

from vpr_ros.core.folder import refuse_existing
from vpr_ros.errors import VprError
from vpr_ros.tools.flags import Switch

Evaluations = Annotated[list[Path], Parameter(
    help='Folders that vpr evaluate, vpr prune or vpr compress has written: one for its page, '
         'several to compare them (not of vpr compress).', negative=())]
_COMPARISON = Path('comparison.html')
_OF_PRUNING = 'points.json'
_OF_COMPRESSION = 'compression.json'


def add_report_command(app: App) -> None:
    """Give `app` the command of this file."""
    app.command(report)


def report(evaluations: Evaluations, *, map: Path | None = None, out: Path | None = None,
           force: Switch = False) -> None:
    """Make the page of a run anew, or one page that compares several.

    The page is a single file: open it in a browser, send it to a colleague, keep it with the
    recording. Nothing is evaluated again. Of pruning runs, those that differ by their seed alone
    are shown as a mean with its spread.

    Parameters
    ----------
    map
        Map of the one evaluation, for pictures of its places; left out: where it was then.
    out
        The page; left out: report.html in the one folder, comparison.html here for several.
    force
        Replace an existing page --out.
    """
    console = Console()
    for line in make_page(evaluations, map, out, force):
        console.print(line, highlight=False, soft_wrap=True)


def make_page(evaluations: list[Path], map_path: Path | None, out: Path | None, force: bool
              ) -> list[str]:
    """Write the page and return what to tell of it.

    Raises VprError when a folder is no evaluation, or `out` exists and `force` is not given.
    """
    from vpr_ros.report.comparison import write_comparison
    from vpr_ros.report.page import write_page
    if any((folder / _OF_COMPRESSION).is_file() for folder in evaluations):
        if len(evaluations) > 1 or map_path is not None:
            raise VprError('a compression has a page of its own, without --map; give its folder '
                           'alone, and set models beside it by vpr compress --beside')
        return [f'page written: {write_compression_report(evaluations[0], out, force)}']
    pruned = [folder for folder in evaluations if (folder / _OF_PRUNING).is_file()]
    if pruned:
        if len(pruned) < len(evaluations):
            raise VprError(f'{pruned[0]} is a pruning run and others are not; give evaluations or '
                           'pruning runs')
        if map_path is not None:
            raise VprError('--map is for one evaluation, not for pruning runs')
        return [f'page written: {write_pruning_report(pruned, out, force)}']
    if len(evaluations) > 1:
        if map_path is not None:
            raise VprError('--map is for one evaluation: a comparison shows no pictures')
        page = out or _COMPARISON
        refuse_existing(page, force, VprError)
        return [f'page written: {write_comparison(evaluations, page)}']
    if out is not None:
        refuse_existing(out, force, VprError)
    return [f'page written: {write_page(evaluations[0], map_path, out=out)}']


def write_pruning_report(folders: list[Path], out: Path | None = None, force: bool = False
                         ) -> Path:
    """Write the page of pruning runs; left out, where that of evaluations would be.

    Raises VprError when a folder holds no run, or `out` exists and `force` is not given.
    """
    from vpr_ros.compress.prune_choice import choice
    from vpr_ros.compress.prune_points import read_points
    from vpr_ros.report.pruning_page import write_pruning_page
    from vpr_ros.report.pruning_run import PruningRun
    page = out or (_COMPARISON if len(folders) > 1 else None)
    if page is not None:
        refuse_existing(page, force, VprError)
    runs = []
    for folder in folders:
        points, settings = read_points(folder)
        chosen, why = choice(points, settings.get('goal', {}).get('max_drop_points'))
        runs.append(PruningRun.read(folder, chosen.step, why))
    return write_pruning_page(runs, page)


def write_compression_report(folder: Path, out: Path | None = None, force: bool = False) -> Path:
    """Write the page of a compression; left out, report.html in its folder.

    Raises VprError when the folder holds no run, or `out` exists and `force` is not given.
    """
    from vpr_ros.compress.compress_choice import choice
    from vpr_ros.compress.compress_points import read_points
    from vpr_ros.report.compression_page import write_compression_page
    from vpr_ros.report.compression_run import CompressionRun
    if out is not None:
        refuse_existing(out, force, VprError)
    points, settings = read_points(folder)
    chosen, why = choice(points, settings.get('max_drop_points'))
    return write_compression_page(CompressionRun.read(folder, chosen.step, why), out)
