# SPDX-License-Identifier: Apache-2.0
"""From a feature map to one unit vector: which aggregators there are, and how a card names them.

Shapes: (B, C, H, W) in, (B, dim) of unit length out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from vpr_ros.errors import ModelError
from vpr_ros.nets.boq import BoQ
from vpr_ros.nets.convap import ConvAP
from vpr_ros.nets.gem import GeM
from vpr_ros.nets.grid import Grid, grid_average
from vpr_ros.nets.mixvpr import MixVPR
from vpr_ros.nets.netvlad import NetVLAD
from vpr_ros.nets.unit_length import unit

__all__ = ['BoQ', 'ConvAP', 'GeM', 'Grid', 'MixVPR', 'NetVLAD', 'build_aggregator',
           'grid_average', 'unit']


@dataclass(frozen=True)
class _Recipe:
    """What a card must and may say of an aggregator, and under which names it is built."""

    layer: type[nn.Module]
    needed: frozenset[str] = frozenset()       # sizes: whole numbers, one at least
    sizes: frozenset[str] = frozenset()        # whole numbers, 0: without
    switches: frozenset[str] = frozenset()     # 0 or 1
    numbers: frozenset[str] = frozenset()
    renamed: Mapping[str, str] | None = None   # the card's word: the constructor's
    takes_channels: bool = True

    @property
    def known(self) -> frozenset[str]:
        return self.needed | self.sizes | self.switches | self.numbers


_CHANNELS_OUT = {'channels': 'channels_out'}
_RECIPES: Mapping[str, _Recipe] = {
    'gem': _Recipe(GeM, sizes=frozenset({'dim'}), numbers=frozenset({'p'}),
                   switches=frozenset({'unit_positions', 'unit_pooled'})),
    'convap': _Recipe(ConvAP, frozenset({'channels', 'grid'}), renamed=_CHANNELS_OUT,
                      switches=frozenset({'unit_positions'})),
    'grid': _Recipe(Grid, frozenset({'grid'}), switches=frozenset({'unit_positions'}),
                    takes_channels=False),
    'netvlad': _Recipe(NetVLAD, frozenset({'clusters'}), sizes=frozenset({'channels', 'dim'})),
    'mixvpr': _Recipe(MixVPR, frozenset({'channels', 'rows', 'depth', 'height', 'width'}),
                      sizes=frozenset({'hidden'}), renamed=_CHANNELS_OUT),
    'boq': _Recipe(BoQ, frozenset({'channels', 'queries', 'blocks', 'rows', 'heads'}),
                   sizes=frozenset({'hidden'}), renamed=_CHANNELS_OUT),
}


def build_aggregator(name: str, args: Mapping[str, float], channels: int) -> nn.Module:
    """Return the aggregator `name` over `channels` input channels, with random weights.

    gem: `dim` (0 keeps the channels), `p`, `unit_pooled`; convap: `channels`, `grid`; grid:
    `grid`.  These: `unit_positions`, 1 to pool unit vectors, so that no position outweighs the
    others.  netvlad: `clusters`, `channels`, `dim`; mixvpr: `channels`, `rows`, `depth`, `height`
    and `width` of the map, `hidden`; boq: `channels`, `queries`, `blocks`, `rows`, `heads`,
    `hidden`.  The classes say what each means.
    Raises ModelError for another name, and for arguments that are missing, unknown or cannot be.
    """
    if name not in _RECIPES:
        raise ModelError(f'aggregator {name!r} is not known; choose one of {", ".join(_RECIPES)}')
    recipe = _RECIPES[name]
    if set(args) - recipe.known or recipe.needed - set(args):
        raise ModelError(f'aggregator {name} takes {", ".join(sorted(recipe.known))}; '
                         f'the card gives {", ".join(sorted(args)) or "nothing"}')
    if any(args[key] < 1 for key in recipe.needed):
        raise ModelError(f'aggregator {name} needs {", ".join(sorted(recipe.needed))} of at '
                         f'least 1, not {dict(args)}')
    given: dict[str, Any] = {}
    for key, value in args.items():
        word = (recipe.renamed or {}).get(key, key)
        given[word] = value if key in recipe.numbers else int(value)
        if key in recipe.switches:
            given[word] = bool(value)
        elif key not in recipe.numbers and (value < 0 or value != int(value)):
            raise ModelError(f'{key} of aggregator {name} must be a whole number, not {value}')
    if name == 'boq' and args['channels'] % args['heads']:
        raise ModelError(f'{args["channels"]:.0f} channels cannot be split among '
                         f'{args["heads"]:.0f} heads')
    return recipe.layer(channels, **given) if recipe.takes_channels else recipe.layer(**given)
