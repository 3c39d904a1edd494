# SPDX-License-Identifier: Apache-2.0
"""Which layers are compressed, and how far each: all alike, and otherwise by name patterns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import cast

from torch import nn, Tensor

from vpr_ros.errors import ModelError
from vpr_ros.nets.vectors import Vectors
from vpr_ros.nets.widths import is_depthwise

FEWEST_BITS, MOST_BITS, FLOAT_BITS = 2, 8, 32
_SHOWN = 4


@dataclass(frozen=True)
class LayerPlan:
    """How far the weights of one layer are to be compressed.

    `prune`: the share of them that becomes zero. `bits`: all of them together take at most
    2**bits values, zero among them where weights are pruned; 32 leaves them floats.
    """

    name: str
    prune: float
    bits: int


@dataclass(frozen=True)
class Wish:
    """What a user wants of the layers whose name fits a pattern; None: as of all others."""

    pattern: str
    prune: float | None = None
    bits: int | None = None

    def __post_init__(self) -> None:
        if self.prune is not None:
            refuse_share(self.prune, f'layer {self.pattern}')
        if self.bits is not None:
            refuse_bits(self.bits, f'layer {self.pattern}')

    @classmethod
    def parse(cls, text: str) -> Wish:
        """Return the wish that says `PATTERN=prune,bits`; one of the two may be left empty.

        Raises ModelError for other texts, and for shares and bits that cannot be.
        """
        pattern, equals, said = text.rpartition('=')
        parts = [part.strip() for part in said.split(',')]
        if not (equals and pattern.strip() and len(parts) <= 2 and any(parts)):
            raise ModelError(f'--layer {text!r} says nothing of a layer; give PATTERN=prune,bits, '
                             "such as 'backbone.features.1*=0.3,8', 'aggregator.*=,5' or "
                             "'backbone.features.0.*=0,32' for floats as they are")
        try:
            prune = float(parts[0]) if parts[0] else None
            bits = int(parts[1]) if len(parts) > 1 and parts[1] else None
        except ValueError:
            raise ModelError(f'--layer {text!r}: {said!r} is no share and number of bits; give '
                             'such as 0.5,8') from None
        return cls(pattern.strip(), prune, bits)


def weighty_layers(network: nn.Module, fewest: int) -> dict[str, nn.Module]:
    """Return the layers, by name, that have at least `fewest` weights.

    Convolutions, linears and learnt vectors (NetVLAD's centroids, BoQ's queries); norms and
    biases are few and stay as they are.
    Raises ModelError for a layer without any weight.
    """
    found: dict[str, nn.Module] = {}
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | Vectors):
            if not (many := weight_of(layer).numel()):
                raise ModelError(f'{name} is empty, it has no weights; import or prune the model '
                                 'again')
            if many >= fewest:
                found[name] = layer
    return found


def plans_of(network: nn.Module, prune: float, bits: int, fewest: int,
             wishes: Sequence[Wish] = ()) -> list[LayerPlan]:
    """Return how far each layer with at least `fewest` weights is to be compressed.

    `prune`: the share of all weights that becomes zero, the same in each layer. But depthwise
    convolutions keep theirs, unless a wish says otherwise: a few weights are all that their
    channel has. The others make up for them.
    Raises ModelError for shares and bits that cannot be, for a network without such layers, a
    pattern that fits none of them, and patterns that contradict each other.
    """
    refuse_share(prune, 'prune')
    refuse_bits(bits, 'bits')
    weighty = weighty_layers(network, fewest)
    layers = list(weighty)
    if not layers:
        raise ModelError(f'no layer of the network has {fewest} weights or more; lower fewest')
    for wish in wishes:
        if not any(fnmatchcase(name, wish.pattern) for name in layers):
            raise ModelError(_no_fit(network, wish.pattern, layers, fewest))
    shares = _shares(weighty, prune)
    return [LayerPlan(name, _said(wishes, name, 'prune', shares[name]),
                      int(_said(wishes, name, 'bits', bits))) for name in layers]


def _shares(layers: Mapping[str, nn.Module], prune: float) -> dict[str, float]:
    """Return which share of each layer's weights is to go so that `prune` of all do.

    Where others cannot make up for depthwise layers, they come halfway to nothing.
    """
    spared = {name for name, layer in layers.items() if is_depthwise(layer)}
    weights = {name: weight_of(layer).numel() for name, layer in layers.items()}
    others = sum(count for name, count in weights.items() if name not in spared)
    if not others:
        return dict.fromkeys(layers, prune)
    more = min(prune * sum(weights.values()) / others, 0.5 * (1.0 + prune))
    return {name: 0.0 if name in spared else more for name in layers}


def overridden(plans: Sequence[LayerPlan], wishes: Sequence[Wish]) -> list[LayerPlan]:
    """Return the plans with what wishes say in its place; raises ModelError as `plans_of`."""
    return [LayerPlan(plan.name, _said(wishes, plan.name, 'prune', plan.prune),
                      int(_said(wishes, plan.name, 'bits', plan.bits))) for plan in plans]


def weight_of(layer: nn.Module) -> Tensor:
    """Return the weights of a layer."""
    return cast(Tensor, layer.weight)


def refuse_share(prune: float, where: str) -> None:
    """Raise ModelError unless this is a share of weights that can go."""
    if not 0.0 <= prune < 1.0:
        raise ModelError(f'{where}: the share of weights to prune must be at least 0 and below 1, '
                         f'not {prune:g}')


def refuse_bits(bits: int, where: str) -> None:
    """Raise ModelError unless weights can be shared in so many bits."""
    if not (FEWEST_BITS <= bits <= MOST_BITS or bits == FLOAT_BITS):
        raise ModelError(f'{where}: weights are shared in {FEWEST_BITS} to {MOST_BITS} bits, or '
                         f'stay floats with {FLOAT_BITS}, not in {bits}')


def _said(wishes: Sequence[Wish], name: str, what: str, otherwise: float) -> float:
    """Return what the wishes that fit a layer say of it; they must agree."""
    said: Mapping[float, str] = {
        value: wish.pattern for wish in reversed(wishes) if fnmatchcase(name, wish.pattern)
        and (value := getattr(wish, what)) is not None}
    if len(said) > 1:
        (a, first), (b, second), *_ = sorted(said.items())
        raise ModelError(f'--layer {first} says {what} {a:g} of {name} and --layer {second} says '
                         f'{b:g}; make one of the patterns narrower')
    return next(iter(said), otherwise)


def _no_fit(network: nn.Module, pattern: str, layers: Sequence[str], fewest: int) -> str:
    small = [name for name in weighty_layers(network, 1) if fnmatchcase(name, pattern)]
    if small:
        return (f'{small[0]}, to which --layer {pattern} fits, has fewer than {fewest} weights '
                'and stays as it is; lower fewest, or leave it out')
    return (f'--layer {pattern} fits no layer; there are {", ".join(layers[:_SHOWN])}, ... (* '
            'stands for any characters)')
