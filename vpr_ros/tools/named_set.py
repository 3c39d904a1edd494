# SPDX-License-Identifier: Apache-2.0
"""A set in one word of a command: which layout, which folder, and what of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vpr_ros.datasets.layout import FLAGS, LayoutOptions
from vpr_ros.datasets.layouts import layout_named
from vpr_ros.datasets.places import Places
from vpr_ros.datasets.run import RunPair
from vpr_ros.errors import VprError

_OPTIONS = {flag.removeprefix('--'): name for name, flag in FLAGS.items()}


@dataclass(frozen=True)
class NamedSet:
    """A set as the user names it.

    `pitts30k=/data/pitts30k`; with a part of it `msls:val=/data/msls`; with more that its layout
    must know `by-poses=/data/yard,tolerance-m=2,tolerance-deg=40`.
    """

    layout: str
    root: Path
    options: LayoutOptions = field(default_factory=LayoutOptions)

    @classmethod
    def parse(cls, text: str) -> NamedSet:
        """Return what a text names; raises VprError for one that is no layout=folder."""
        head, _, rest = text.partition('=')
        layout, _, split = head.partition(':')
        root, *words = rest.split(',')
        while words and '=' not in words[0]:   # a comma in the folder's name
            root += ',' + words.pop(0)
        if not layout or not root:
            raise VprError(f'{text!r} names no set; write layout=folder, such as '
                           'pitts30k=/data/pitts30k; vpr layouts lists the layouts')
        values: dict[str, object] = {'split': split} if split else {}
        for word in words:
            option, _, value = word.partition('=')
            if option not in _OPTIONS:
                raise VprError(f'{text!r}: no set takes {option!r}; there are '
                               f'{", ".join(_OPTIONS)}')
            name = _OPTIONS[option]
            values[name] = (*values.get(name, ()), value) if name == 'cities' else _read(  # type: ignore[misc]
                text, name, value)
        return cls(layout, Path(root), LayoutOptions(**values))  # type: ignore[arg-type]

    def pair(self) -> RunPair:
        """Return its map and queries; raises DatasetError, and VprError for what must be said."""
        self._refuse_too_little()
        return layout_named(self.layout).open_pair(self.root, self.options)

    def places(self) -> Places:
        """Return its places; raises as `pair` does."""
        self._refuse_too_little()
        return layout_named(self.layout).open_places(self.root, self.options)

    def _refuse_too_little(self) -> None:
        missing = [name for name in layout_named(self.layout).needs
                   if name not in self.options.given]
        if missing:
            more = ''.join(f',{FLAGS[name].removeprefix("--")}=...' for name in missing)
            raise VprError(f'{self.layout} is used in several ways that are not comparable; write '
                           f'{self.layout}={self.root}{more}')


def _read(text: str, name: str, value: str) -> str | float:
    try:
        if name == 'tolerance_frames':
            return int(value)
        return float(value) if name in ('tolerance_m', 'tolerance_deg') else value
    except ValueError:
        raise VprError(f'{text!r}: {FLAGS[name].removeprefix("--")} must be a number, not '
                       f'{value!r}') from None
