# SPDX-License-Identifier: Apache-2.0
"""CSV files with a header, read whole or refused."""

from __future__ import annotations

from collections.abc import Sequence
import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpr_ros.errors import DatasetError


class Table:
    """The columns of a CSV file by name; columns that nobody asked for may be there."""

    def __init__(self, file: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self._file, self._header, self._rows = file, list(header), rows

    def __len__(self) -> int:
        return len(self._rows)

    def has(self, name: str) -> bool:
        """Say whether there is such a column."""
        return name in self._header

    def text(self, name: str) -> list[str]:
        """Return a column as it is written, without spaces around."""
        column = self._header.index(name)
        return [row[column].strip() for row in self._rows]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a column as finite numbers; raises DatasetError with the line of a wrong one."""
        values = np.empty(len(self._rows))
        for i, text in enumerate(self.text(name)):
            try:
                values[i] = float(text)
            except ValueError:
                values[i] = np.nan
            if not np.isfinite(values[i]):
                raise DatasetError(f'{self._file}, line {i + 2}: {name} is {text!r}, which is not '
                                   'a finite number')
        return values

    def flags(self, name: str) -> NDArray[np.bool_]:
        """Return a column of True and False; raises DatasetError with the line of another word."""
        words = {'true': True, '1': True, 'false': False, '0': False}
        texts = self.text(name)
        for i, text in enumerate(texts):
            if text.lower() not in words:
                raise DatasetError(f'{self._file}, line {i + 2}: {name} is {text!r}, which is '
                                   'neither True nor False')
        return np.array([words[text.lower()] for text in texts], bool)


def read_table(file: Path, columns: Sequence[str]) -> Table:
    """Return a CSV file whose header has at least `columns`.

    Raises DatasetError when it is missing, empty, not text, lacks a column, or a row is short.
    """
    try:
        with open(file, newline='', encoding='utf-8-sig') as stream:
            rows = [row for row in csv.reader(stream) if row]
    except (OSError, UnicodeError, csv.Error) as error:
        raise DatasetError(f'{file} cannot be read as a CSV file ({error})') from error
    if not rows:
        raise DatasetError(f'{file} is empty; expected a header with {", ".join(columns)}')
    header = [name.strip() for name in rows[0]]
    if missing := [name for name in columns if name not in header]:
        raise DatasetError(f'{file} has no column {" or ".join(missing)}; its header is '
                           f'{",".join(header)!r}, expected at least {",".join(columns)!r}')
    for line, row in enumerate(rows[1:], 2):
        if len(row) < len(header):
            raise DatasetError(f'{file}, line {line}: {len(row)} fields, but the header has '
                               f'{len(header)}')
    return Table(file, header, rows[1:])
