# SPDX-License-Identifier: Apache-2.0
"""Networks that are cut and timed but never learn: what a sparsity, or a layer, is worth in ms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from vpr_ros.compress.prune import cut, prunable_card
from vpr_ros.compress.prune_config import PruneConfig
from vpr_ros.compress.prune_graph import groups_of
from vpr_ros.compress.prune_groups import Group, Part
from vpr_ros.compress.prune_judge import speed_of
from vpr_ros.compress.prune_scores import scores_of
from vpr_ros.compress.prune_widths import channels_left, strongest
from vpr_ros.core.card import ModelCard
from vpr_ros.core.map_memory import descriptor_bytes
from vpr_ros.core.precision import Precision
from vpr_ros.errors import ModelError
from vpr_ros.nets.export import card_of, weights_of, write_model
from vpr_ros.nets.network import Network
from vpr_ros.nets.torch_describer import load_network

MOST_SPARSE = 0.9
_CLOSE = 0.02      # of sparsity: how near the target is looked for
_HALF = 0.5
Say = Callable[[str], object]


@dataclass(frozen=True)
class Target:
    """What the robot has room and time for; None asks for nothing.

    `latency_ms`: processor time of one image and one query, on `engine` with one thread.
    `memory_bytes`: weights of the float network and descriptors of a map.
    """

    latency_ms: float | None = None
    memory_bytes: float | None = None
    map_places: int = 10_000
    map_precision: Precision = Precision.FLOAT32
    engine: str = 'auto'

    @property
    def asked(self) -> tuple[float | None, float | None]:
        """The two limits."""
        return self.latency_ms, self.memory_bytes

    @property
    def asks(self) -> bool:
        """Whether there is anything to be met."""
        return self.latency_ms is not None or self.memory_bytes is not None

    def __post_init__(self) -> None:
        for name, unit in (('latency_ms', '--target-latency-ms'),
                           ('memory_bytes', '--target-memory-mb')):
            value = getattr(self, name)
            if value is not None and not value > 0.0:
                raise ModelError(f'{unit} must be positive')
        if self.map_places < 1:
            raise ModelError(f'--map-places must be at least 1, not {self.map_places}')


@dataclass(frozen=True, eq=False)
class Trial:
    """A parent, and what becomes of it at any sparsity, before it has learnt anything."""

    parent: Path
    card: ModelCard
    network: Network
    groups: tuple[Group, ...]
    config: PruneConfig
    saved_ms: dict[str, float] | None = None

    @classmethod
    def of(cls, parent: Path, config: PruneConfig) -> Trial:
        """Read a model folder. Scores that need gradients are stood in for by l2.

        Raises ModelError for what cannot be pruned.
        """
        card = prunable_card(parent)
        network = load_network(parent, card)
        plain = replace(config, criterion='l2') if config.criterion == 'taylor' else config
        return cls(parent, card, network, groups_of(network), plain)

    def at(self, sparsity: float) -> Network:
        """Return the network cut to a sparsity in one step."""
        scores = scores_of(self.network, self.groups, self.config.criterion)
        left = channels_left(self.groups, scores, self.config.plan(sparsity), self.saved_ms)
        return cut(self.network, self.groups, {
            name: strongest(scores[name], left[name]) for name in left})

    def total_ms(self, network: Network, target: Target) -> float:
        """Return the milliseconds of description and search, on the engine that will do it."""
        with TemporaryDirectory() as scratch:
            folder = self.write(network, Path(scratch) / 'trial')
            speed = speed_of(folder, self.parent, target.map_places, target.engine,
                             target.map_precision)
        return speed.describe_ms + speed.match_ms

    def total_bytes(self, network: Network, target: Target) -> int:
        """Return the bytes of weights and map."""
        dim = self._card(network, 'memory').dim
        return len(weights_of(network)) + descriptor_bytes(target.map_places, dim,
                                                           target.map_precision)

    def prices(self, target: Target, say: Say) -> dict[str, float]:
        """Return the milliseconds that each group saves when it loses half of its channels."""
        inner = [group for group in self.groups if group.part is not Part.DESCRIPTOR]
        saved = {}
        scores = scores_of(self.network, self.groups, 'l2')
        for number, group in enumerate(inner):
            kept = max(1, round(_HALF * group.channels))
            smaller = cut(self.network, [group], {
                group.name: strongest(scores[group.name], kept)})
            with TemporaryDirectory() as scratch:
                folder = self.write(smaller, Path(scratch) / 'trial')
                speed = speed_of(folder, self.parent, target.map_places, target.engine,
                             target.map_precision)
            saved[group.name] = max(speed.parent_describe_ms - speed.describe_ms, 0.0)
            say(f'{number + 1}/{len(inner)}  half of {group.name} saves '
                f'{saved[group.name]:.3f} ms of {speed.parent_describe_ms:.2f}')
        return saved

    def _card(self, network: Network, name: str) -> ModelCard:
        card = self.card
        return card_of(network, name, card.backbone, card.cut, card.aggregator,
                       card.aggregator_args, card.preprocessing, card.licence)

    def write(self, network: Network, folder: Path) -> Path:
        """Write a network that was cut as a model folder."""
        write_model(folder, network, self._card(network, folder.name))
        return folder


def sparsity_for(trial: Trial, target: Target, say: Say) -> float:
    """Return the least sparsity at which every part of a target is met, to two hundredths.

    Found by halving, each try exported and timed. Raises ModelError, with what can be had, when
    even MOST_SPARSE does not meet it.
    """
    wanted: list[tuple[str, float, Callable[[Network], float]]] = []
    if target.latency_ms is not None:
        wanted.append(('ms', target.latency_ms, lambda net: trial.total_ms(net, target)))
    if target.memory_bytes is not None:
        wanted.append(('MB', target.memory_bytes / 1e6,
                       lambda net: trial.total_bytes(net, target) / 1e6))
    return max((_least(trial, unit, limit, measure, say) for unit, limit, measure in wanted),
               default=trial.config.sparsity)


def _least(trial: Trial, unit: str, limit: float, measure: Callable[[Network], float],
           say: Say) -> float:
    def met(sparsity: float) -> bool:
        value = measure(trial.at(sparsity))
        say(f'without {sparsity:.0%} of the channels: {value:.2f} {unit} (wanted: {limit:g})')
        seen.append(value)
        return value <= limit

    seen: list[float] = []
    if met(0.0):
        return 0.0
    if not met(MOST_SPARSE):
        raise ModelError(
            f'{limit:g} {unit} cannot be met: the dense network takes {seen[0]:.2f}, and without '
            f'{MOST_SPARSE:.0%} of its channels {seen[-1]:.2f}. ' + _advice(trial, unit))
    low, high = 0.0, MOST_SPARSE
    while high - low > _CLOSE:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if met(middle) else (middle, high)
    return high


def _advice(trial: Trial, unit: str) -> str:
    if unit == 'MB':
        return ('A smaller descriptor makes the map smaller: raise --gamma'
                if trial.config.gamma < 1.0 else 'Keep the map in fewer bits: --map-precision, or '
                'expect fewer places: --map-places')
    return 'Choose a smaller network, a smaller input (vpr export --size), or int8 (vpr quantize)'

