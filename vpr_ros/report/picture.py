# SPDX-License-Identifier: Apache-2.0
"""One picture of a run: where the robot was told where it is, and what it saw there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.core.scoring import JudgedFrame, Report, Tolerance
from vpr_ros.core.types import Image

RIGHT, WRONG, SILENT, MAP = '#1a936f', '#d62839', '#f2a541', '#b8c4cf'
_INK = '#22303c'


@dataclass(frozen=True, eq=False)
class Pair:
    """A query picture and the best place's thumbnail, both RGB, with a line of text."""

    query: Image
    place: Image
    caption: str
    color: str


def color_of(frame: JudgedFrame, tolerance: Tolerance) -> str:
    """Return the color of a frame's outcome."""
    fix = frame.outcome.accepted
    if fix is None:
        return SILENT
    return RIGHT if bool(tolerance.holds(fix.pose, frame.truth)) else WRONG


def draw(path: Path, places: se3.Array, frames: Sequence[JudgedFrame], report: Report,
         tolerance: Tolerance, pairs: Sequence[Pair], title: str) -> None:
    """Write a PNG: the run over the map colored by outcome, and a strip of matched pairs."""
    columns = max(len(pairs), 1)
    with mpl.rc_context({'font.size': 10, 'text.color': _INK, 'axes.labelcolor': _INK,
                         'xtick.color': _INK, 'ytick.color': _INK}):
        figure = Figure(figsize=(13.0, 9.8), dpi=110, facecolor='white')
        FigureCanvasAgg(figure)
        run = figure.add_gridspec(1, 1, left=0.05, right=0.985, top=0.91, bottom=0.38)
        grid = figure.add_gridspec(2, columns, hspace=0.06, wspace=0.06, left=0.05, right=0.985,
                                   top=0.305, bottom=0.02)
        _draw_run(figure.add_subplot(run[0]), places, frames, tolerance)
        for column, pair in enumerate(pairs):
            _draw_image(figure.add_subplot(grid[0, column]), pair.query, pair.color,
                        pair.caption, 'query' if column == 0 else '')
            _draw_image(figure.add_subplot(grid[1, column]), pair.place, pair.color, '',
                        'map' if column == 0 else '')
        figure.suptitle(title, x=0.05, y=0.975, ha='left', fontsize=15, fontweight='bold')
        figure.text(0.05, 0.928, summary(report), ha='left', fontsize=11)
        figure.savefig(path)


def summary(report: Report) -> str:
    """Return the run in one line."""
    if not report.accepted:
        return f'none of {report.frames} frames got a pose'
    share, right = report.accepted / report.frames, report.accepted - report.wrong_fixes
    return (f'{share:.0%} of {report.frames} frames got a pose, {right} of {report.accepted} of '
            f'them right, median error {report.position_error_m_median:.2f} m; '
            f'{report.frames - report.frames_with_match - report.fixes_off_map} of '
            f'{report.frames - report.frames_with_match} frames off the map were met with '
            f'silence')


def _draw_run(axes: Axes, places: se3.Array, frames: Sequence[JudgedFrame],
              tolerance: Tolerance) -> None:
    truth = np.array([frame.truth[:2] for frame in frames])
    colors = np.array([color_of(frame, tolerance) for frame in frames])
    axes.plot(places[:, 0], places[:, 1], '.', color=MAP, markersize=13, zorder=1,
              label=f'places of the map ({len(places)})')
    for color, text in ((SILENT, 'no pose: "I don\'t know"'), (RIGHT, 'right pose'),
                        (WRONG, 'wrong pose')):
        of_kind = colors == color
        axes.plot(truth[of_kind, 0], truth[of_kind, 1], 'o', color=color, markersize=3.6,
                  zorder=3, label=f'{text} ({int(of_kind.sum())})')
    axes.add_collection(LineCollection(_errors(frames), colors=_INK, linewidths=0.6, zorder=2))
    axes.set_aspect('equal', adjustable='datalim')
    axes.set_xlabel('x (m)')
    axes.set_ylabel('y (m)')
    axes.grid(color='#e8edf1', linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.legend(loc='upper left', frameon=True, facecolor='white', edgecolor='#e8edf1')


def _errors(frames: Sequence[JudgedFrame]) -> list[NDArray[np.float64]]:
    """Return a line from each true position to the pose that was given there."""
    return [np.stack([frame.truth[:2], frame.outcome.accepted.pose[:2]]) for frame in frames
            if frame.outcome.accepted is not None]


def _draw_image(axes: Axes, image: Image, color: str, caption: str, side: str) -> None:
    axes.imshow(image, aspect='auto')
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color=color, linewidth=2.5)
    axes.set_title(caption, fontsize=8.5, pad=3)
    axes.set_ylabel(side, fontsize=9)
