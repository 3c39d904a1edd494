# SPDX-License-Identifier: Apache-2.0
"""What RViz and Foxglove draw of an evaluated run: the map, each verdict, and the truth."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
import math
from typing import Any

import numpy as np

from vpr_ros.bags.compose import header, new, pose, Said, said
from vpr_ros.bags.outcome_messages import NODE
from vpr_ros.core import pose as se3
from vpr_ros.core.types import Hypothesis, Outcome

MARKERS = f'{NODE}/markers'   # of each frame
SCENE = f'{NODE}/scene'       # once: the places of the map, and how the run went
ARRAY = 'visualization_msgs/msg/MarkerArray'

_MARKER = 'visualization_msgs/msg/Marker'
_ARROW, _CYLINDER, _LINE_LIST, _SPHERE_LIST, _TEXT = 0, 3, 5, 7, 9
_ADD, _DELETE = 0, 2
_SIGMAS = 2.0            # of the drawn ellipse
_LEAST_M = 0.05          # so that it is seen however sure it is
_TEXT_HEIGHT_M = 0.5
_FLOOR_M = 0.02          # what lies flat lies on the floor, not in it
_MOST_POINTS = 20_000    # of the run; thinned above


class Color(Enum):
    """What became of a frame, or what a thing is, in red, green, blue (0 to 1)."""

    RIGHT = (0.10, 0.58, 0.44)       # a pose, and it is true
    WRONG = (0.84, 0.16, 0.22)       # a pose, and it is not
    SILENT = (0.95, 0.65, 0.25)      # no pose
    UNJUDGED = (0.45, 0.35, 0.80)    # a pose, and the truth is not known
    PLACE = (0.60, 0.65, 0.70)
    TRUTH = (0.20, 0.45, 0.90)


def color_of(outcome: Outcome, right: bool | None) -> Color:
    """Return the color of a frame; `right` says whether its best hypothesis is, None: unknown."""
    if outcome.accepted is None:
        return Color.SILENT
    return Color.UNJUDGED if right is None else Color.RIGHT if right else Color.WRONG


def frame_markers(outcome: Outcome, frame_id: str, truth: se3.Array | None,
                  right: bool | None) -> Said:
    """Return the markers of a frame: hypothesis with its spread, truth, a line between them.

    What there is none of deletes what the frame before had drawn.
    """
    color = color_of(outcome, right)
    best = outcome.hypotheses[0] if outcome.hypotheses else None
    head = header(outcome.stamp_ns, frame_id)
    drawn = [
        _spread(head, best, color) if best is not None
        and np.isfinite(best.covariance).all() else _gone(head, 'spread'),
        _arrow(head, 'hypothesis', best.pose, color) if best is not None
        else _gone(head, 'hypothesis'),
        _arrow(head, 'truth', truth, Color.TRUTH) if truth is not None else _gone(head, 'truth'),
        _marker(head, 'error', _LINE_LIST, (0.05, 0.0, 0.0), color,
                points=[best.pose[:3], truth[:3]])
        if best is not None and truth is not None else _gone(head, 'error'),
        _words(head, outcome, best, truth, color)]
    return said(MARKERS, ARRAY, drawn)


def scene_markers(stamp_ns: int, frame_id: str, places: se3.Array,
                  run: Sequence[tuple[se3.Array, Color]]) -> Said:
    """Return what stands still: the places (N, 7) of the map, and a run of poses (7,) in color."""
    head = header(stamp_ns, frame_id)
    thinned = run[::math.ceil(len(run) / _MOST_POINTS)] if run else ()
    return said(SCENE, ARRAY, [
        _marker(head, 'places', _SPHERE_LIST, (0.2, 0.2, 0.2), Color.PLACE, points=places[:, :3]),
        _marker(head, 'run', _SPHERE_LIST, (0.25, 0.25, 0.25), Color.TRUTH,
                points=[where[:3] for where, _ in thinned],
                colors=[color for _, color in thinned])])


def _spread(head: Any, best: Hypothesis, color: Color) -> Any:
    """Return the ellipse within which the robot is, as far as x and y go."""
    variances, axes = np.linalg.eigh(best.covariance[:2, :2])
    long, short = (max(2.0 * _SIGMAS * math.sqrt(max(float(v), 0.0)), _LEAST_M)
                   for v in variances[::-1])
    turn_rad = math.atan2(axes[1, 1], axes[0, 1])
    x_m, y_m, z_m = map(float, best.pose[:3])
    return _marker(head, 'spread', _CYLINDER, (long, short, _LEAST_M), color, alpha=0.35,
                   at=se3.from_xy_yaw(x_m, y_m, turn_rad, z_m))


def _arrow(head: Any, name: str, where: se3.Array, color: Color) -> Any:
    return _marker(head, name, _ARROW, (1.0, 0.15, 0.15), color, at=where)


def _words(head: Any, outcome: Outcome, best: Hypothesis | None, truth: se3.Array | None,
           color: Color) -> Any:
    where = truth if truth is not None else best.pose if best is not None else None
    if where is None:
        return _gone(head, 'verdict')
    text = outcome.reason.value + ('' if best is None else f' {best.probability:.2f}')
    above = np.array([*where[:2], where[2] + 1.0, 0.0, 0.0, 0.0, 1.0])
    return _marker(head, 'verdict', _TEXT, (0.0, 0.0, _TEXT_HEIGHT_M), color, at=above, text=text)


def _gone(head: Any, name: str) -> Any:
    return _marker(head, name, _ARROW, (0.0, 0.0, 0.0), Color.SILENT, action=_DELETE)


def _marker(head: Any, name: str, kind: int, scale: tuple[float, float, float], color: Color,
            alpha: float = 1.0, at: se3.Array = se3.IDENTITY, points: Any = (),
            colors: Sequence[Color] = (), text: str = '', action: int = _ADD) -> Any:
    point = [new('geometry_msgs/msg/Point', float(x), float(y), float(z) + _FLOOR_M)
             for x, y, z in points]
    none = new('sensor_msgs/msg/CompressedImage', header(0, ''), '', np.zeros(0, np.uint8))
    return new(_MARKER, head, name, 0, kind, action, pose(at),
               new('geometry_msgs/msg/Vector3', *scale), _rgba(color, alpha),
               new('builtin_interfaces/msg/Duration', 0, 0), False, point,
               [_rgba(one, 1.0) for one in colors], '', none, [], text, '',
               new('visualization_msgs/msg/MeshFile', '', np.zeros(0, np.uint8)), False)


def _rgba(color: Color, alpha: float) -> Any:
    return new('std_msgs/msg/ColorRGBA', *color.value, alpha)
