# SPDX-License-Identifier: Apache-2.0
"""The page beside the numbers; without its libraries everything else is still there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from vpr_ros.errors import VprError

_INSTALL = 'pip install plotly'


def no_page(folder: Path) -> Iterator[str]:
    """Write report.html into the folder of an evaluation; yield why there is none."""
    try:
        from vpr_ros.report.page import write_page
        write_page(folder)
    except ImportError as error:
        yield f'no report.html was written, all else was: {error}; {_INSTALL}'
    except VprError as error:
        yield f'no report.html was written, all else was: {error}'


def no_comparison(folders: Sequence[Path], page: Path) -> Iterator[str]:
    """Write a page that compares several evaluations; yield why there is none."""
    try:
        from vpr_ros.report.comparison import write_comparison
        write_comparison(folders, page)
    except ImportError as error:
        yield f'no {page.name} was written, all else was: {error}; {_INSTALL}'
    except VprError as error:   # too few, or too many to be seen on one page
        yield f'no {page.name} was written, all else was: {error}'
