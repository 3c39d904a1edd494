# SPDX-License-Identifier: Apache-2.0
"""What the scripts of a page read: every frame in compact columns, curves, pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpr_ros.report.blob import packed
from vpr_ros.report.curves import curve_data, first_match_right
from vpr_ros.report.evaluation_folder import EvaluationFolder
from vpr_ros.report.frame_table import FrameTable, REASONS
from vpr_ros.report.incidents import Incident, MOST_CARDS
from vpr_ros.report.matrix import drawn_matrix
from vpr_ros.report.thumbnails import Embedded
from vpr_ros.report.verdicts import LOOKS, Verdict, verdicts

_MATCHES = 5   # of each frame in the page
_FLAT = 0.05   # least span of a second axis, of the longest, to lie on the ground
_SIGNS = {Verdict.RIGHT: '●', Verdict.WRONG: '✕', Verdict.OFF_MAP_FIX: '◆', Verdict.MISSED: '○',
          Verdict.SILENT: '□'}
_REASON_COLORS = {'accepted': '#009e73', 'unknown': '#8d99a3', 'weak': '#56b4e9',
                  'ambiguous': '#e69f00', 'unconfirmed': '#0072b2', 'unverified': '#cc79a7',
                  'stale': '#5a4a3f'}


def page_data(folder: EvaluationFolder, found: Sequence[Incident], embedded: Embedded
              ) -> dict[str, Any]:
    """Return the record that becomes the data of the page."""
    frames, settings = folder.frames, folder.settings
    kinds, first_right = verdicts(frames), first_match_right(folder)
    places = np.zeros((0, 7)) if folder.places is None else folder.places
    axes = ground_axes(np.concatenate([places, frames.truth]))
    shown = found[:MOST_CARDS]
    return {
        'matches': _MATCHES,
        'axes': ['xyz'[axis] for axis in axes],
        'tolerance_m': folder.tolerance[0],
        'threshold': settings.get('threshold'),
        'cameras': list(frames.cameras),
        'reasons': list(REASONS),
        'reason_colors': [_REASON_COLORS[reason] for reason in REASONS],
        'verdicts': [_verdict(kind, int((kinds == kind).sum())) for kind in Verdict],
        'first_frame': shown[0].worst if shown else _first(kinds),
        'frames': _frames(frames, kinds, first_right, axes),
        'places': {name: packed(places[:, axis], 'f8') for name, axis in zip('xy', axes,
                                                                             strict=True)},
        'curves': curve_data(folder),
        'matrix': None if folder.similarity is None else drawn_matrix(folder.similarity),
        'incidents': [_incident(one) for one in shown],
        'pictures': {'jpegs': embedded.jpegs,
                     'frame': _kept(embedded.of_frame, len(frames)),
                     'place': _kept(embedded.of_place, len(places))},
    }


def ground_axes(poses: NDArray[np.float64]) -> tuple[int, int]:
    """Return the two axes (0, 1, 2 for x, y, z) to look at a run from above.

    x and y, as ROS has it; but x and z for a run that lies in that plane, as a camera's poses do.
    """
    known = poses[np.isfinite(poses).all(axis=1), :3]
    if not len(known):
        return 0, 1
    x, y, z = np.ptp(known, axis=0)
    return (0, 2) if z > 0.0 and y < _FLAT * max(x, z) and z > y / _FLAT else (0, 1)


def _first(kinds: NDArray[np.uint8]) -> int:
    """Return the frame to begin with where nothing failed: the first right one."""
    return int(np.argmax(kinds == Verdict.RIGHT))


def _verdict(kind: Verdict, count: int) -> dict[str, Any]:
    look = LOOKS[kind]
    return {'index': int(kind), 'name': look.name, 'meaning': look.meaning, 'color': look.color,
            'marker': look.marker, 'size': look.size, 'sign': _SIGNS[kind], 'count': count,
            'dangerous': kind in (Verdict.WRONG, Verdict.OFF_MAP_FIX),
            'failure': kind in (Verdict.WRONG, Verdict.OFF_MAP_FIX, Verdict.MISSED)}


def _frames(frames: FrameTable, kinds: NDArray[np.uint8],
            first_right: NDArray[np.bool_] | None, axes: tuple[int, int]) -> Mapping[str, Any]:
    first = np.zeros(len(frames), np.bool_) if first_right is None else first_right
    return {
        't': packed(frames.seconds, 'f8'),
        'x': packed(frames.truth[:, axes[0]], 'f8'), 'y': packed(frames.truth[:, axes[1]], 'f8'),
        'pose_x': packed(frames.pose[:, axes[0]], 'f8'),
        'pose_y': packed(frames.pose[:, axes[1]], 'f8'),
        'probability': packed(frames.probability, 'f4'),
        'unknown': packed(frames.unknown_probability, 'f4'),
        'error_m': packed(frames.position_error_m, 'f4'),
        'heading_deg': packed(frames.heading_error_deg, 'f4'),
        'places': packed(frames.places[:, :_MATCHES], 'i4'),
        'similarity': packed(frames.similarity[:, :_MATCHES], 'f4'),
        'nearest_place': packed(frames.nearest_place, 'i4'),
        'verdict': packed(kinds, 'u1'), 'reason': packed(frames.reason, 'u1'),
        'camera': packed(frames.camera, 'u1'), 'has_match': packed(frames.has_match, 'u1'),
        'first_right': packed(first, 'u1'),
        'latency': packed(frames.latency_ms, 'f4'),
        'stages': {stage: packed(values, 'f4') for stage, values in frames.stages_ms.items()},
    }


def _incident(one: Incident) -> dict[str, Any]:
    return {'kind': int(one.kind), 'worst': one.worst, 'frames': len(one.frames),
            'duration_s': one.duration_s, 'way_m': one.way_m}


def _kept(index: Mapping[int, int], total: int) -> dict[str, Any]:
    rows = sorted(index)
    return {'rows': packed(np.array(rows, dtype=np.int64), 'i4'),
            'jpegs': packed(np.array([index[row] for row in rows], dtype=np.int64), 'i4'),
            'total': total}
