# SPDX-License-Identifier: Apache-2.0
"""Which step of a run to take."""

from __future__ import annotations

from collections.abc import Sequence

from vpr_ros.compress.prune_points import Point
from vpr_ros.errors import ModelError


def choice(points: Sequence[Point], max_drop_points: float | None, asks: bool = False
           ) -> tuple[Point, str]:
    """Return the step to take: the smallest that recalls enough, by the choosing sets alone.

    Without a limit, the last one, which is what was asked for; `asks`: whether a target was.
    Raises ModelError where no step is finished.
    """
    if not points:
        raise ModelError('no step of this run is finished; give the same vpr prune again to go on')
    dense, last = points[0], points[-1]
    if max_drop_points is None:
        return last, 'as pruned as was asked for'
    fit = [point for point in points if 100.0 * (dense.chosen_by() - point.chosen_by())
           <= max_drop_points + 1e-9]
    chosen = max(fit, key=lambda point: point.sparsity)
    if chosen is last or chosen.sparsity >= last.sparsity:
        return chosen, f'the smallest whose recall@1 fell by {max_drop_points:g} points or less'
    wanted = ' and the target is not met' if asks else ''
    return chosen, (f'recall@1 of the next step fell by more than {max_drop_points:g} points'
                    f'{wanted}: learn longer (epochs, last_epochs), give more images, or prune '
                    'less')
