# SPDX-License-Identifier: Apache-2.0
"""The reliability diagram: what was said of a pose, and how often it was true."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
import numpy as np

from vpr_ros.core.calibration import Calibration
from vpr_ros.core.confidence import Reliability
from vpr_ros.report.picture import RIGHT, WRONG

_INK, _COUNT = '#22303c', '#dfe6eb'
_BAR = 20


def reliability_lines(diagram: Reliability) -> list[str]:
    """Return a line for each bin that holds frames, most probable first.

    The bar is how often it was true; `|` marks what was said.
    """
    lines = ['   said   true  frames']
    for count, said, true in reversed(list(zip(diagram.count, diagram.said, diagram.true,
                                               strict=True))):
        if not count:
            continue
        bar = ['#' if cell < round(true * _BAR) else ' ' for cell in range(_BAR + 1)]
        bar[round(said * _BAR)] = '|'
        lines.append(f'   {said:.3f}  {true:.3f} {count:6d}  {"".join(bar).rstrip()}')
    return lines


def draw_reliability(path: Path, calibration: Calibration) -> None:
    """Write a PNG of the diagram: how often each bin was true over what was said."""
    diagram = calibration.reliability
    count, said, true = (np.array(values) for values in (diagram.count, diagram.said,
                                                         diagram.true))
    filled = count > 0
    with mpl.rc_context({'font.size': 10, 'text.color': _INK, 'axes.labelcolor': _INK,
                         'xtick.color': _INK, 'ytick.color': _INK}):
        figure = Figure(figsize=(6.4, 6.8), dpi=110, facecolor='white')
        FigureCanvasAgg(figure)
        grid = figure.add_gridspec(2, 1, height_ratios=(4, 1), hspace=0.08, left=0.12, right=0.97,
                                   top=0.9, bottom=0.09)
        axes, below = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
        axes.plot([0, 1], [0, 1], color=_COUNT, linewidth=2, label='true as often as said')
        axes.plot(said[filled], true[filled], 'o-', color=RIGHT, label='this map')
        below.bar((np.arange(len(count)) + 0.5) / len(count), count, 0.9 / len(count),
                  color=_COUNT)
        for each in (axes, below):
            each.axvline(calibration.threshold, color=WRONG, linewidth=1.2,
                         label='threshold' if each is axes else None)
            each.set_xlim(0, 1)
            each.spines[['top', 'right']].set_visible(False)
        axes.set_ylim(0, 1.02)
        axes.set_xticklabels([])
        axes.set_ylabel('share that was right')
        below.set_xlabel('probability that was said')
        below.set_ylabel('frames')
        axes.legend(loc='upper left', frameon=False)
        figure.suptitle(f'calibration error {diagram.error:.3f}\n{calibration.source}',
                        fontsize=10)
        figure.savefig(path)
