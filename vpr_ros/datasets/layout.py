# SPDX-License-Identifier: Apache-2.0
"""A layout: how the folder of a set must look, where it comes from, and who reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from vpr_ros.datasets.places import Places
from vpr_ros.datasets.run import RunPair
from vpr_ros.errors import DatasetError


@dataclass(frozen=True)
class LayoutOptions:
    """What a user may say about a set; None leaves it to the layout. Most take only some.

    `split`: part of the set. `map_name`, `query_name`: folders (seasons, traverses) to map and to
    find. `cities`: those to read. `tolerance_m`, `tolerance_deg`, `tolerance_frames`: a map image
    is a positive within these. `truth`: which of the set's own truths.
    """

    split: str | None = None
    map_name: str | None = None
    query_name: str | None = None
    cities: tuple[str, ...] | None = None
    tolerance_m: float | None = None
    tolerance_deg: float | None = None
    tolerance_frames: int | None = None
    truth: str | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the options that were set."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) is not None)


FLAGS = {'split': '--split', 'map_name': '--map-name', 'query_name': '--query-name',
         'cities': '--city', 'tolerance_m': '--tolerance-m', 'tolerance_deg': '--tolerance-deg',
         'tolerance_frames': '--tolerance-frames', 'truth': '--truth'}

Result = TypeVar('Result')
PairReader = Callable[[Path, LayoutOptions], RunPair]
PlacesReader = Callable[[Path, LayoutOptions], Places]


@dataclass(frozen=True)
class Layout:
    """How a set lies on disk.

    `what` says in a line what it is, `tree` draws the folder, `source` says where it comes from.
    `takes` are the options that it takes, `needs` those that must be said. A layout reads a pair
    (to evaluate), places (to learn from), or either.
    """

    name: str
    what: str
    tree: str
    source: str
    pair: PairReader | None = None
    places: PlacesReader | None = None
    takes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    def open_pair(self, root: Path, options: LayoutOptions) -> RunPair:
        """Return the pair of map and query below `root`.

        Raises DatasetError, with the drawing of the folder, for anything that is missing or does
        not fit; and for options that this layout does not take, or needs.
        """
        if self.pair is None:
            raise DatasetError(f'{self.name} is a set to learn from and has no queries; evaluate '
                               'on another one')
        return self._read(self.pair, root, options)

    def open_places(self, root: Path, options: LayoutOptions) -> Places:
        """Return the images below `root` grouped by place; raises as `open_pair` does."""
        if self.places is None:
            raise DatasetError(f'{self.name} is a set to evaluate on and gives no places to learn '
                               'from; choose another one')
        return self._read(self.places, root, options)

    def _read(self, reader: Callable[[Path, LayoutOptions], Result], root: Path,
              options: LayoutOptions) -> Result:
        self._refuse_options(options)
        try:
            if not Path(root).is_dir():
                raise DatasetError(f'{root} is not there')
            return reader(Path(root), options)
        except DatasetError as error:
            if '\n\n' in str(error):
                raise
            raise DatasetError(f'{error}. {self.name} must look as drawn below; it comes from '
                               f'{self.source}\n\n{self.drawing()}') from error

    def _refuse_options(self, options: LayoutOptions) -> None:
        foreign = [FLAGS[name] for name in options.given if name not in (*self.takes, *self.needs)]
        if foreign:
            taken = ', '.join(FLAGS[name] for name in (*self.needs, *self.takes)) or 'none'
            raise DatasetError(f'{" and ".join(foreign)} means nothing for {self.name}; it takes '
                               f'{taken}')
        missing = [FLAGS[name] for name in self.needs if name not in options.given]
        if missing:
            raise DatasetError(f'{self.name} is used in several ways that are not comparable: say '
                               f'{", ".join(missing)} ({self.what})')

    def drawing(self) -> str:
        """Return the tree, indented."""
        return '\n'.join('  ' + line for line in self.tree.strip('\n').splitlines())
