# SPDX-License-Identifier: Apache-2.0
"""A bar on the terminal while something long goes on; silent where nobody watches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import sys
from typing import TypeVar

T = TypeVar('T')


def progress(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Yield `items` and draw how many of `total` have passed."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track
    yield from track(items, total=total, description=what, console=Console(stderr=True),
                     transient=True)
