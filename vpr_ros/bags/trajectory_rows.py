# SPDX-License-Identifier: Apache-2.0
"""Lines of TUM, KITTI and CSV files to stamps and poses; a message names the line at fault."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import csv
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
import math
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import pose as se3
from vpr_ros.errors import BagError

NS_OF = {'s': 10**9, 'ms': 10**6, 'us': 10**3, 'ns': 1}
UNIT_NAMES = {'s': 'seconds', 'ms': 'milliseconds', 'us': 'microseconds', 'ns': 'nanoseconds'}
_LATEST_NS = 2**63 - 1      # the year 2262
_ORTHONORMAL = 1e-3         # most that a rotation matrix may be off
_STAMP_COLUMNS = tuple(f'stamp_{unit}' for unit in NS_OF)
_ALLOWED = ('stamp_s (or stamp_ms, stamp_us, stamp_ns), x_m, y_m, z_m (or x, y, z; z may be '
            'missing) and yaw_rad, yaw_deg or qx, qy, qz, qw')
_METERS = {'x_m': 'x', 'y_m': 'y', 'z_m': 'z'}
_ON_A_GLOBE = {'lat', 'lon', 'long', 'lng', 'latitude', 'longitude'}


@dataclass(frozen=True, eq=False)
class StampedRows:
    """Stamps and `poses` (N, 7), not yet checked, and the `lines` (from 1) where they stand."""

    stamps_ns: list[int]
    poses: NDArray[np.float64]
    lines: list[int]


@dataclass(frozen=True)
class Line:
    """One line of a file, for messages; its fields as text."""

    name: str
    number: int
    fields: Sequence[str]

    def fail(self, what: str) -> NoReturn:
        """Raise BagError that names the line."""
        raise BagError(f'{self.name}, line {self.number}: {what}')

    def numbers(self, fields: Sequence[str]) -> list[float]:
        """Return some fields as finite numbers."""
        values = []
        for text in fields:
            try:
                values.append(float(text))
            except ValueError:
                self.fail(f'{text!r} is no number')
            if not math.isfinite(values[-1]):
                self.fail(f'{text.strip()} in a pose: leave poses out that are not known')
        return values

    def stamp_ns(self, text: str, unit: str) -> int:
        """Return a stamp in whole nanoseconds; a float would lose the last digits."""
        try:
            stamp = Decimal(text.strip()) * NS_OF[unit]
            if not stamp.is_finite():
                raise InvalidOperation
        except InvalidOperation:
            self.fail(f'{text!r} is no time')
        if abs(stamp) > _LATEST_NS:
            likely = next((other for other in NS_OF
                           if abs(stamp) * NS_OF[other] <= _LATEST_NS * NS_OF[unit]), 'ns')
            self.fail(f'the stamp {text.strip()} cannot be in {UNIT_NAMES[unit]}, since that is '
                      f'after the year 2262; it seems to be in {UNIT_NAMES[likely]}: give '
                      f'--truth-unit {likely}, or name the column stamp_{likely} in a CSV file')
        return int(stamp.to_integral_value())


def data_lines(text: str, name: str) -> list[Line]:
    """Return the lines that are neither empty nor begin with #, split at spaces."""
    return [Line(name, number, line.split()) for number, line in enumerate(text.splitlines(), 1)
            if line.strip() and not line.lstrip().startswith('#')]


def tum_rows(lines: Iterable[Line], unit: str) -> StampedRows:
    """Return rows `t x y z qx qy qz qw` (TUM RGB-D; evo's text files)."""
    rows = RowsSoFar()
    for line in lines:
        if len(line.fields) != 8:
            line.fail(f'{len(line.fields)} columns instead of the 8 of TUM: t x y z qx qy qz qw'
                      + ('; a table with commas needs a header and the ending .csv'
                         if any(',' in text for text in line.fields) else ''))
        rows.add(line, line.stamp_ns(line.fields[0], unit), line.numbers(line.fields[1:]))
    return rows.done()


def kitti_rows(lines: Sequence[Line], times: Sequence[Line], unit: str) -> StampedRows:
    """Return rows of 12 numbers, a 3x4 matrix line by line, at the `times` of another file."""
    if len(lines) != len(times):
        longer, shorter = (lines, times) if len(lines) > len(times) else (times, lines)
        name = shorter[0].name if shorter else 'the other file'
        raise BagError(f'{longer[0].name} has {len(longer)} rows, {name} {len(shorter)}; KITTI '
                       'needs one time for each pose')
    rows = RowsSoFar()
    matrices = np.zeros((len(lines), 3, 4))
    for index, (line, time) in enumerate(zip(lines, times, strict=True)):
        if len(line.fields) != 12:
            line.fail(f'{len(line.fields)} columns instead of the 12 of KITTI, a 3x4 matrix')
        if len(time.fields) != 1:
            time.fail(f'{len(time.fields)} columns instead of one time')
        matrices[index] = np.reshape(line.numbers(line.fields), (3, 4))
        rows.add(line, time.stamp_ns(time.fields[0], unit), [0.0] * 7)
    turns = matrices[:, :, :3]
    off = np.abs(turns @ np.swapaxes(turns, 1, 2) - np.eye(3)).max(axis=(1, 2), initial=0.0)
    for index in np.flatnonzero((off > _ORTHONORMAL) | (np.linalg.det(turns) < 0.0))[:1]:
        lines[index].fail('the left 3x3 of the matrix is no rotation; KITTI rows are '
                          'r11 r12 r13 tx r21 r22 r23 ty r31 r32 r33 tz')
    found = rows.done()
    return StampedRows(found.stamps_ns, np.concatenate([matrices[:, :, 3], _quaternions(turns)],
                                                       axis=1), found.lines)


def csv_rows(text: str, name: str) -> tuple[StampedRows, tuple[str, ...]]:
    """Return the rows of a table whose header names columns and units, and remarks."""
    kept = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    kept[1:] = [(number, line) for number, line in kept[1:] if not line.startswith('#')]
    first = kept[0][1].lstrip('#').lower() if kept else ''
    delimiter = next((mark for mark in ',;\t' if mark in first), ',')
    table = list(csv.reader([first, *(line for _, line in kept[1:])], delimiter=delimiter))
    if not table:
        raise BagError(f'{name} is empty; a table begins with a header: {_ALLOWED}')
    head = [_METERS.get(column.strip(), column.strip()) for column in table[0]]
    stamp = _header(head, name)
    positions = [head.index(axis) if axis in head else -1 for axis in ('x', 'y', 'z')]
    yaw = next((column for column in ('yaw', 'yaw_rad', 'yaw_deg') if column in head), '')
    turning = [head.index(column) for column in ([yaw] if yaw else ['qx', 'qy', 'qz', 'qw'])]
    rows, widest = RowsSoFar(), 0.0
    for (number, _), fields in zip(kept[1:], table[1:], strict=False):
        line = Line(name, number, fields)
        if len(fields) != len(head):
            line.fail(f'{len(fields)} columns, but the header has {len(head)}')
        xyz = line.numbers(['0' if column < 0 else fields[column] for column in positions])
        turn = line.numbers([fields[column] for column in turning])
        if yaw:
            widest = max(widest, abs(turn[0]))
            angle = math.radians(turn[0]) if yaw == 'yaw_deg' else turn[0]
            turn = [0.0, 0.0, math.sin(angle / 2), math.cos(angle / 2)]
        rows.add(line, line.stamp_ns(fields[head.index(stamp)], stamp[len('stamp_'):]),
                 [*xyz, *turn])
    doubt = ''
    if yaw in ('yaw', 'yaw_rad') and widest > 2.0 * math.pi:
        doubt = f'{name} has a {yaw} of {widest:.1f}, more than a turn in radians: '
        if yaw == 'yaw':
            raise BagError(f'{doubt}name the column yaw_deg if these are degrees, yaw_rad if not')
        doubt += 'is it in degrees? Then name the column yaw_deg'
    return rows.done(), (doubt,) if doubt else ()


class RowsSoFar:
    """Collects rows one by one."""

    def __init__(self) -> None:
        self._stamps_ns: list[int] = []
        self._poses: list[list[float]] = []
        self._lines: list[int] = []

    def add(self, line: Line, stamp_ns: int, pose: list[float]) -> None:
        """Take the pose of a line."""
        self._stamps_ns.append(stamp_ns)
        self._poses.append(pose)
        self._lines.append(line.number)

    def done(self) -> StampedRows:
        """Return all of them."""
        poses = np.array(self._poses, dtype=np.float64).reshape(-1, 7)
        return StampedRows(self._stamps_ns, poses, self._lines)


def _header(head: list[str], name: str) -> str:
    """Return which column has the stamps, or raise BagError for a header that is not clear."""
    if globe := sorted(_ON_A_GLOBE.intersection(head)):
        raise BagError(f'{name} has {" and ".join(globe)}, which are degrees on a globe; convert '
                       'them to meters in the frame of the map (UTM minus its origin, say), in '
                       'columns x and y')
    if twice := sorted({column for column in head if head.count(column) > 1}):
        raise BagError(f'{name} has the column {twice[0]!r} more than once')
    stamps = [column for column in _STAMP_COLUMNS if column in head]
    turns = [column for column in ('yaw', 'yaw_rad', 'yaw_deg', 'qw') if column in head]
    quaternion = {'qx', 'qy', 'qz', 'qw'}
    whole = not quaternion.intersection(head) or quaternion.issubset(head)
    if len(stamps) != 1 or len(turns) != 1 or not {'x', 'y'}.issubset(head) or not whole:
        raise BagError(f'{name} has the columns {", ".join(head)}; it needs {_ALLOWED}, in '
                       'meters, each once')
    return stamps[0]


def _quaternions(turns: NDArray[np.float64]) -> se3.Array:
    """Return unit quaternions (N, 4), scalar last, of rotation matrices (N, 3, 3).

    Each column of the outer product q q^T is q times a factor; the longest is the soundest.
    """
    m = np.moveaxis(turns, 0, -1)
    outer = np.array([
        [1 + m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0],
         m[2, 1] - m[1, 2]],
        [m[0, 1] + m[1, 0], 1 - m[0, 0] + m[1, 1] - m[2, 2], m[1, 2] + m[2, 1],
         m[0, 2] - m[2, 0]],
        [m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], 1 - m[0, 0] - m[1, 1] + m[2, 2],
         m[1, 0] - m[0, 1]],
        [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1],
         1 + m[0, 0] + m[1, 1] + m[2, 2]]])
    outer = np.moveaxis(outer, -1, 0)
    column = np.argmax(np.diagonal(outer, axis1=1, axis2=2), axis=1)
    longest = outer[np.arange(len(outer)), column]
    quaternion: se3.Array = longest / np.linalg.norm(longest, axis=1, keepdims=True)
    return quaternion
