# SPDX-License-Identifier: Apache-2.0
"""Which of several models belongs to which of several maps, and what each pair is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.querying import may_query
from vpr_ros.errors import VprError
from vpr_ros.nets.model_folder import default_model_folder, read_card


@dataclass(frozen=True)
class Pairing:
    """One evaluation of several: a map, the folder of its model, and the settings."""

    name: str                # of its folder, where there are several
    place_map: Path
    model: Path
    params: Path | None


def pairings(maps: Sequence[Path], models: Sequence[Path], params: Sequence[Path]
             ) -> tuple[tuple[Pairing, ...], tuple[str, ...]]:
    """Return each map with each model that may ask it and each file of settings; remarks.

    Without models: the default one; without files of settings: the defaults. Pairs of one model
    follow one another. The remarks tell of models that no map belongs to.
    Raises VprError for a map that belongs to none of the models, and what loading raises.
    """
    folders = [default_model_folder(), ] if not models else list(dict.fromkeys(models))
    cards = {folder: read_card(folder) for folder in folders}
    built_by = {path: PlaceMap.load(path).card for path in dict.fromkeys(maps)}
    for path, card in built_by.items():
        if not any(may_query(known, card) for known in cards.values()):
            given = ', '.join(f'{known.name} ({known.digest[:12]})' for known in cards.values())
            raise VprError(f'the map {path} was built by model {card.name} ({card.digest[:12]}), '
                           f'not by {given}: give that model with --model, or build the map again')
    fitting = [(path, folder) for folder, path in product(folders, built_by)
               if may_query(cards[folder], built_by[path])]
    unused = [folder for folder in folders if folder not in {folder for _, folder in fitting}]
    files: list[Path | None] = list(dict.fromkeys(params)) or [None]
    twice = Counter(path for path, _ in fitting)
    found = [Pairing('-'.join((path.resolve().stem,
                               *((folder.resolve().name,) if twice[path] > 1 else ()),
                               *((file.stem,) if file is not None and len(files) > 1 else ()))),
                     path, folder, file)
             for (path, folder), file in product(fitting, files)]
    return _numbered(found), tuple(f'{folder} is the model of none of these maps'
                                   for folder in unused)


def _numbered(found: Sequence[Pairing]) -> tuple[Pairing, ...]:
    """Return the pairs with names that are all different."""
    again = Counter(one.name for one in found)
    seen: Counter[str] = Counter()
    names = []
    for one in found:
        seen[one.name] += 1
        names.append(f'{one.name}-{seen[one.name]}' if again[one.name] > 1 else one.name)
    return tuple(replace(one, name=name) for one, name in zip(found, names, strict=True))
