# SPDX-License-Identifier: Apache-2.0
"""Where the robot was, from a file instead of a recording: TUM, KITTI or CSV."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpr_ros.bags.trajectory_rows import (
    csv_rows,
    data_lines,
    kitti_rows,
    NS_OF,
    StampedRows,
    tum_rows,
    UNIT_NAMES,
)
from vpr_ros.core import pose as se3
from vpr_ros.core.trajectory_lookup import seconds
from vpr_ros.core.types import Trajectory
from vpr_ros.errors import BagError

_SAME = 1e-9             # two poses at one stamp that differ by less are one
_UNIT_TOLERANCE = 1e-3   # as core.pose
_LATEST_NS = 2**63 - 1
_MONTH_NS = 30 * 86_400 * 10**9   # a truth that begins earlier is of another run


class TrajectoryFormat(Enum):
    """How a file of poses is laid out; the values are what a user types."""

    TUM = 'tum'        # t x y z qx qy qz qw
    KITTI = 'kitti'    # 3x4 matrices, times in another file
    CSV = 'csv'        # a header that names columns and units


@dataclass(frozen=True, eq=False)
class TrajectoryFile:
    """A trajectory out of a file, and what a person should know of it."""

    trajectory: Trajectory
    remarks: tuple[str, ...] = ()


def read_trajectory_file(path: Path, frame_id: str, layout: TrajectoryFormat | None = None,
                         times: Path | None = None, unit: str = 's', offset_ns: int = 0
                         ) -> TrajectoryFile:
    """Return the poses of a file, taken to be `map_from_base` in `frame_id`.

    Without `layout` the name and the number of columns tell it. `times` is KITTI's file of times.
    `unit` of the stamps of TUM and KITTI: s, ms, us or ns; a CSV file names its own. `offset_ns`
    is added to each stamp. Nobody moves the poses: what is of a camera must be carried over to
    the base before (KITTI's are of the left camera, whose z axis points forwards).
    Raises BagError, with the line, for what cannot be read, poses that are not finite, quaternions
    that are not of unit length, stamps that fall, and two poses at one stamp.
    """
    if unit not in NS_OF:
        raise BagError(f'no unit of time is called {unit!r}; choose one of {", ".join(NS_OF)}')
    text = _text(path)
    if not text.strip():
        raise BagError(f'{path} is empty; give a file with poses')
    layout = layout or _layout(path, text)
    remarks: tuple[str, ...] = ()
    if layout is TrajectoryFormat.CSV:
        rows, remarks = csv_rows(text, str(path))
    elif layout is TrajectoryFormat.TUM:
        rows = tum_rows(data_lines(text, str(path)), unit)
    else:
        if times is None:
            raise BagError(f'{path} has poses without times, as KITTI has them; give the file '
                           'with one time a line, too (--truth-times)')
        rows = kitti_rows(data_lines(text, str(path)), data_lines(_text(times), str(times)), unit)
    if not rows.lines:
        raise BagError(f'{path} has no poses; give a file with poses')
    trajectory, dropped = _trajectory(rows, str(path), frame_id, offset_ns)
    if dropped:
        remarks += (f'{path}: {dropped} poses that repeat the one before, stamp and all, were '
                    'left out',)
    return TrajectoryFile(trajectory, remarks)


def refuse_apart(truth: Trajectory, stamps_ns: NDArray[np.int64], name: str, run: str) -> None:
    """Raise BagError when no stamp (Q,) of a run falls between the first and last of the truth.

    `name` and `run` are for the message, which says both spans and guesses at the reason.
    """
    if not len(stamps_ns) or not len(truth.stamps_ns):
        raise BagError(f'{run} has no images' if len(truth.stamps_ns) else f'{name} has no poses')
    inside = (truth.stamps_ns[0] <= stamps_ns) & (stamps_ns <= truth.stamps_ns[-1])
    if inside.any():
        return
    first, last = int(truth.stamps_ns[0]), int(truth.stamps_ns[-1])
    start, end = int(stamps_ns.min()), int(stamps_ns.max())
    if first == last:
        raise BagError(f'{name} has a single pose, at {seconds(first)}, and no image of {run} was '
                       'taken just then; give poses from before the first image to after the '
                       'last')
    raise BagError(f'{name} and {run} do not overlap in time: {name} goes from {seconds(first)} '
                   f'to {seconds(last)}, {run} from {seconds(start)} to {seconds(end)}; '
                   + _guess(first, last, start, end))


def _guess(first: int, last: int, start: int, end: int) -> str:
    """Return what to try for two spans, in nanoseconds, that do not overlap."""
    for unit in ('ms', 'us', 'ns'):
        less, more = Fraction(NS_OF[unit], NS_OF['s']), Fraction(NS_OF['s'], NS_OF[unit])
        for factor, said in ((less, f'{UNIT_NAMES[unit]}: give --truth-unit {unit}, or name the '
                                    f'column stamp_{unit}'),
                             (more, f'seconds, and was read as {UNIT_NAMES[unit]}: give '
                                    '--truth-unit s, or name the column stamp_s')):
            if (first * factor <= end and start <= last * factor
                    and start - first * factor < _MONTH_NS):
                return f'the truth seems to be in {said}'
    if abs(first) < 10**15 < start:   # 11 days: nobody's clock began in 1970
        return (f'the truth counts from its own beginning: add what is between, '
                f'--truth-offset-s {seconds(start - first).removesuffix(" s")} if both began '
                'together')
    return 'give the truth of this run, by the clock of its images (--truth-offset-s moves it)'


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise BagError(f'{path} is no text; give a file of TUM, KITTI or CSV') from error
    except OSError as error:
        raise BagError(f'{path} cannot be read ({error.strerror}); give a file of '
                       'poses') from error


def _layout(path: Path, text: str) -> TrajectoryFormat:
    named = {layout.value: layout for layout in TrajectoryFormat}
    if (ending := path.suffix.lower().lstrip('.')) in named:
        return named[ending]
    lines = data_lines(text, str(path))
    columns = len(lines[0].fields) if lines else 8
    if columns not in (8, 12):
        raise BagError(f'{path} has {columns} columns, which is neither TUM (8: t x y z qx qy qz '
                       'qw) nor KITTI (12: a 3x4 matrix); a table with a header must end in .csv')
    return TrajectoryFormat.TUM if columns == 8 else TrajectoryFormat.KITTI


def _trajectory(rows: StampedRows, name: str, frame_id: str, offset_ns: int
                ) -> tuple[Trajectory, int]:
    """Return the trajectory of rows, and how many were left out since they repeat."""
    length = np.linalg.norm(rows.poses[:, 3:], axis=1)
    for row in np.flatnonzero(np.abs(length - 1.0) > _UNIT_TOLERANCE)[:1]:
        raise BagError(f'{name}, line {rows.lines[row]}: the quaternion has the length '
                       f'{length[row]:.4f}, not 1; are the columns qx qy qz qw, with enough '
                       'digits?')
    poses = se3.checked(rows.poses)
    if any(abs(stamp_ns + offset_ns) > _LATEST_NS for stamp_ns in rows.stamps_ns):
        raise BagError(f'{name}: --truth-offset-s moves stamps beyond the year 2262; give it in '
                       'seconds')
    stamps_ns = np.array([stamp_ns + offset_ns for stamp_ns in rows.stamps_ns], dtype=np.int64)
    step_ns = np.diff(stamps_ns)
    for row in np.flatnonzero(step_ns < 0)[:1]:
        raise BagError(f'{name}, line {rows.lines[row + 1]}: the stamp falls, from '
                       f'{seconds(int(stamps_ns[row]))} to {seconds(int(stamps_ns[row + 1]))}; '
                       'sort the file, or give each recording for itself')
    repeated = np.flatnonzero(step_ns == 0) + 1
    before, after = poses[repeated - 1], poses[repeated]
    same = (np.abs(before - after) <= _SAME).all(axis=1) | (
        (np.abs(before[:, :3] - after[:, :3]) <= _SAME).all(axis=1)
        & (np.abs(before[:, 3:] + after[:, 3:]) <= _SAME).all(axis=1))
    for row in repeated[~same][:1]:
        raise BagError(f'{name}, line {rows.lines[row]}: another pose at the stamp of the line '
                       f'before, {seconds(int(stamps_ns[row]))}; keep one of them, and check that '
                       'the stamps have enough digits')
    kept = np.delete(np.arange(len(stamps_ns)), repeated)
    return Trajectory(stamps_ns[kept], poses[kept], frame_id), len(repeated)
