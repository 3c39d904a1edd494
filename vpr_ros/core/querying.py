# SPDX-License-Identifier: Apache-2.0
"""Which networks may ask which maps: descriptors of two networks mean nothing to each other."""

from __future__ import annotations

from vpr_ros.core.card import ModelCard
from vpr_ros.errors import MapError


def may_query(card: ModelCard, map_card: ModelCard) -> bool:
    """Say whether the network of `card` may ask a map that the one of `map_card` built.

    It may where it is that network, or where its card says that it was taught to give that one's
    descriptors (`queries_maps_of`), and gives as many numbers.
    """
    known = card.digest == map_card.digest or map_card.digest in card.queries_maps_of
    return known and card.dim == map_card.dim


def refuse_to_query(card: ModelCard, map_card: ModelCard, what: str = 'the map') -> None:
    """Raise MapError, with what to do, unless `may_query`; `what` names the map."""
    if may_query(card, map_card):
        return
    built = f'{what} was built by model {map_card.name} ({map_card.digest[:12]})'
    asking = f'{card.name} ({card.digest[:12]})'
    if map_card.digest in (card.digest, *card.queries_maps_of):
        raise MapError(f'{built} with {map_card.dim}-d descriptors, and {asking} gives '
                       f'{card.dim}-d ones: export one of the models again')
    others = ', '.join(digest[:12] for digest in card.queries_maps_of)
    raise MapError(f'{built}, not by {asking}'
                   + (f', which may also ask maps of {others}' if others else '')
                   + ': use that model, or build the map again')
