# SPDX-License-Identifier: Apache-2.0
"""What can be pruned of each aggregator, and where it reads the backbone's channels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from vpr_ros.compress.prune_groups import Group, Member, Part, Side
from vpr_ros.errors import ModelError
from vpr_ros.nets.aggregators import BoQ, ConvAP, GeM, Grid, MixVPR, NetVLAD

_NAME = 'aggregator'


@dataclass(frozen=True)
class Head:
    """An aggregator as the pruner sees it.

    `reads`: the sides of its layers that are the channels of the map. `map_is_descriptor`: these
    go through to the descriptor, so that deleting some makes it smaller.
    """

    reads: tuple[Member, ...]
    groups: tuple[Group, ...]
    map_is_descriptor: bool = False


def head_of(aggregator: nn.Module) -> Head:
    """Return what can be pruned of an aggregator; raises ModelError for an unknown one."""
    for kind, rules in _RULES.items():
        if isinstance(aggregator, kind):
            return rules(aggregator)
    raise ModelError(f'no rules say how {type(aggregator).__name__} is pruned; choose a network '
                     f'with {", ".join(kind.__name__ for kind in _RULES)}')


def _gem(gem: Any) -> Head:
    if gem.linear is None:
        return Head((), (), map_is_descriptor=True)
    return Head((_at('linear', 'in'),), (_group('linear', gem.linear.out_features),))


def _convap(convap: Any) -> Head:
    return Head((_at('conv', 'in'),), (_group('conv', convap.conv.out_channels),))


def _grid(_: Any) -> Head:
    return Head((), (), map_is_descriptor=True)


def _mixvpr(mix: Any) -> Head:
    """Mixers mix positions, not channels: these only meet the projection."""
    hidden = tuple(
        _group(f'mixers.{i}.widen', mixer.widen.out_features, _at(f'mixers.{i}.narrow', 'in'),
               part=Part.HEAD) for i, mixer in enumerate(mix.mixers))
    return Head((_at('channel_proj', 'in'),), (
        *hidden, _group('channel_proj', mix.channel_proj.out_features),
        _group('row_proj', mix.row_proj.out_features, few=True)))


def _netvlad(vlad: Any) -> Head:
    """Filter and centroid of a cluster go together, with what the whitening makes of both."""
    clusters, channels = vlad.centroids.weight.shape
    behind = [] if vlad.whiten is None else [_at('whiten', 'in', inner=channels)]
    groups = [_group('assign', clusters, _at('centroids', 'out'), *behind, few=True,
                     part=Part.HEAD if behind else Part.DESCRIPTOR)]
    if vlad.whiten is not None:
        groups.append(_group('whiten', vlad.whiten.out_features))
    if vlad.reduce is not None:
        return Head((_at('reduce', 'in'),), tuple(groups))
    behind = [_at('whiten', 'in', outer=clusters)] if behind else []
    reads = (_at('assign', 'in'), _at('centroids', 'in'), *behind)
    return Head(reads, tuple(groups), map_is_descriptor=not behind)


def _boq(boq: Any) -> Head:
    """All blocks share their channels by residual sums; hidden layers and values are their own.

    Queries and keys stay: their product is scaled by how many there are.
    """
    channels, stream, own = boq.project.out_channels, [_at('norm_in', 'out')], []
    for i, block in enumerate(boq.blocks):
        at = f'blocks.{i}'
        stream += [_at(f'{at}.{norm}', 'out') for norm in (
            'norm_encoded', 'norm_wide', 'norm_queries', 'norm_out')]
        stream += [_at(f'{at}.widen', 'in'), _at(f'{at}.narrow', 'out'),
                   _at(f'{at}.queries', 'in')]
        own.append(_group(f'{at}.widen', block.widen.out_features, _at(f'{at}.narrow', 'in'),
                          part=Part.HEAD))
        for name in ('encode', 'among_queries', 'cross'):
            attention, heads = getattr(block, name), getattr(block, name).heads
            stream += [_at(f'{at}.{name}.{layer}', 'in') for layer in ('query', 'key', 'value')]
            stream.append(_at(f'{at}.{name}.out', 'out'))
            own.append(Group(
                f'{_NAME}.{at}.{name}.value', attention.value.out_features // heads,
                (_at(f'{at}.{name}.value', 'out', outer=heads),
                 _at(f'{at}.{name}.out', 'in', outer=heads)), Part.HEAD))
    return Head((_at('project', 'in'),), (
        *own, _group('project', channels, *stream),
        _group('rows', boq.rows.out_features, few=True)))


def _at(layer: str, side: Side, outer: int = 1, inner: int = 1) -> Member:
    return Member(f'{_NAME}.{layer}', side, outer, inner)


def _group(layer: str, channels: int, *followers: Member, part: Part = Part.DESCRIPTOR,
           few: bool = False) -> Group:
    return Group(f'{_NAME}.{layer}', channels, (_at(layer, 'out'), *followers), part, few)


_RULES: dict[type[nn.Module], Callable[[Any], Head]] = {
    GeM: _gem, ConvAP: _convap, Grid: _grid, MixVPR: _mixvpr, NetVLAD: _netvlad, BoQ: _boq}
