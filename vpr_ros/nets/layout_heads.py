# SPDX-License-Identifier: Apache-2.0
"""Which aggregator a published file holds, its sizes, and where its weights stand in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vpr_ros.errors import ModelError
from vpr_ros.nets.checkpoint import State

_HEAD_CHANNELS = 64  # BoQ gives each attention head so many


@dataclass(frozen=True)
class Head:
    """An aggregator of ours; `names` gives, for each published weight, ours (stacked, if many).

    `leading_one` are those published with a dimension of one in front, `one_position` linears that
    are published as convolutions of one position.
    """

    aggregator: str
    args: Mapping[str, float]
    names: Mapping[str, tuple[str, ...]]
    leading_one: frozenset[str] = frozenset()
    one_position: frozenset[str] = frozenset()


def gem(state: State, p: str, linear: str | None = None, *, unit_positions: bool = False,
        unit_pooled: bool = False) -> Head:
    """GeM whose exponent is published as `p`, with its linear layer where there is one."""
    args = {'unit_positions': float(unit_positions), 'unit_pooled': float(unit_pooled)}
    names: dict[str, tuple[str, ...]] = {p: ('p',)}
    if linear is not None:
        args['dim'] = _size(state, f'{linear}.weight')
        names.update(_layer(linear, 'linear'))
    return Head('gem', args, names, frozenset({p}))


def convap(state: State, prefix: str, grid: int) -> Head:
    """ConvAP; the grid has no weights and must be known."""
    args = {'channels': _size(state, f'{prefix}channel_pool.weight'), 'grid': float(grid)}
    return Head('convap', args, _layer(f'{prefix}channel_pool', 'conv'))


def mixvpr(state: State, prefix: str) -> Head:
    """MixVPR; `height` and `width` of the map are the importer's to add."""
    depth = _count(state, f'{prefix}mix.')
    args = {'channels': _size(state, f'{prefix}channel_proj.weight'), 'depth': float(depth),
            'rows': _size(state, f'{prefix}row_proj.weight'),
            'hidden': _size(state, f'{prefix}mix.0.mix.1.weight')}
    names = {**_layer(f'{prefix}channel_proj', 'channel_proj'),
             **_layer(f'{prefix}row_proj', 'row_proj')}
    for i in range(depth):
        for number, ours in ((0, 'norm'), (1, 'widen'), (3, 'narrow')):
            names.update(_layer(f'{prefix}mix.{i}.mix.{number}', f'mixers.{i}.{ours}'))
    return Head('mixvpr', args, names)


def mixvpr_positions(state: State, prefix: str) -> int:
    """Return how many positions of a map the mixers were made for."""
    return int(_size(state, f'{prefix}mix.0.mix.0.weight'))


def netvlad(state: State, prefix: str, linear: str | None = None, *, one_position: bool = False
            ) -> Head:
    """NetVLAD without a bias in its assignment, with its linear layer where there is one."""
    args = {'clusters': _size(state, f'{prefix}centroids')}
    names: dict[str, tuple[str, ...]] = {f'{prefix}conv.weight': ('assign.weight',),
                                         f'{prefix}centroids': ('centroids.weight',)}
    if linear is not None:
        args['dim'] = _size(state, f'{linear}.weight')
        names.update(_layer(linear, 'whiten'))
    convolution = frozenset({f'{linear}.weight'}) if linear and one_position else frozenset[str]()
    return Head('netvlad', args, names, one_position=convolution)


def boq(state: State, prefix: str) -> Head:
    """BoQ; 64 channels to an attention head, as everywhere it is published."""
    channels, blocks = _size(state, f'{prefix}proj_c.weight'), _count(state, f'{prefix}boqs.')
    args = {'channels': channels, 'blocks': float(blocks), 'heads': channels // _HEAD_CHANNELS,
            'queries': _size(state, f'{prefix}boqs.0.queries', 1),
            'rows': _size(state, f'{prefix}fc.weight'),
            'hidden': _size(state, f'{prefix}boqs.0.encoder.linear1.weight')}
    names = {**_layer(f'{prefix}proj_c', 'project'), **_layer(f'{prefix}norm_input', 'norm_in'),
             **_layer(f'{prefix}fc', 'rows')}
    for i in range(blocks):
        theirs, ours = f'{prefix}boqs.{i}.', f'blocks.{i}.'
        names[f'{theirs}queries'] = (f'{ours}queries.weight',)
        for their, our in (('encoder.norm1', 'norm_encoded'), ('encoder.norm2', 'norm_wide'),
                           ('encoder.linear1', 'widen'), ('encoder.linear2', 'narrow'),
                           ('norm_q', 'norm_queries'), ('norm_out', 'norm_out')):
            names.update(_layer(theirs + their, ours + our))
        for their, our in (('encoder.self_attn', 'encode'), ('self_attn', 'among_queries'),
                           ('cross_attn', 'cross')):
            names.update(_layer(f'{theirs}{their}.out_proj', f'{ours}{our}.out'))
            for part in ('weight', 'bias'):
                names[f'{theirs}{their}.in_proj_{part}'] = tuple(
                    f'{ours}{our}.{which}.{part}' for which in ('query', 'key', 'value'))
    return Head('boq', args, names, frozenset(f'{prefix}boqs.{i}.queries' for i in range(blocks)))


def _layer(theirs: str, ours: str) -> dict[str, tuple[str, ...]]:
    return {f'{theirs}.{part}': (f'{ours}.{part}',) for part in ('weight', 'bias')}


def _size(state: State, key: str, axis: int = 0) -> float:
    """Return the length of a weight along an axis; raises ModelError where there is none."""
    if key not in state or state[key].ndim <= axis:
        raise ModelError(f'missing or mis-shaped: {key}')
    return float(state[key].shape[axis])


def _count(state: State, prefix: str) -> int:
    """Return how many children a numbered sequence has."""
    return len({key.removeprefix(prefix).split('.')[0] for key in state
                if key.startswith(prefix)})
