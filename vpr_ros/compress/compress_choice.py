# SPDX-License-Identifier: Apache-2.0
"""Which step of a compression to take, and the file that it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
import shutil

from vpr_ros.compress.compress_folder import PACKED
from vpr_ros.compress.compress_points import Point
from vpr_ros.compress.prune_points import replaced
from vpr_ros.errors import ModelError


def choice(points: Sequence[Point], max_drop_points: float | None) -> tuple[Point, str]:
    """Return the step to take, and why, by the choosing sets alone.

    Without a limit the last one, which is what was asked for; with one, the smallest file that
    recalls enough. Raises ModelError where no step is finished.
    """
    if not points:
        raise ModelError('no step of this run is finished; give the same vpr compress again to go '
                         'on')
    dense, last = points[0], points[-1]
    if max_drop_points is None:
        return last, 'as compressed as was asked for'
    fit = [point for point in points if 100.0 * (dense.chosen_by() - point.chosen_by())
           <= max_drop_points + 1e-9]
    chosen = min(fit, key=lambda point: point.packed_bytes)
    if chosen is last:
        return chosen, f'recall@1 fell by {max_drop_points:g} points or less'
    return chosen, (f'of all steps whose recall@1 fell by {max_drop_points:g} points or less, it '
                    'has the smallest file: learn longer (epochs, last_epochs), give more '
                    'pictures, prune less or take more bits, to go further')


def deliver(chosen: Point, out: Path) -> Path | None:
    """Copy the packed file of a step to `out/model.vprz`; None, and none there, for the dense one.

    Raises ModelError when it cannot be written.
    """
    file = out / PACKED
    if not chosen.folder:
        file.unlink(missing_ok=True)
        return None
    with replaced(file) as stream, (out / f'{chosen.folder}.vprz').open('rb') as packed:
        shutil.copyfileobj(packed, stream)
    return file
