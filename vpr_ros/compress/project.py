# SPDX-License-Identifier: Apache-2.0
"""A model folder and pictures -> a model folder with a shorter descriptor, and what it recalls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from vpr_ros.compress.finetune import Teaching
from vpr_ros.compress.finetune_data import Lessons
from vpr_ros.compress.finetune_ranks import ALONE
from vpr_ros.compress.project_descriptor import (
    Args,
    Axes,
    channels_for,
    given_by,
    turned,
    with_last_linear,
)
from vpr_ros.compress.prune import prunable_card
from vpr_ros.compress.prune_config import LearnConfig
from vpr_ros.compress.prune_judge import Judge
from vpr_ros.compress.prune_points import Recalled
from vpr_ros.core.card import ModelCard
from vpr_ros.core.folder import refuse_existing
from vpr_ros.errors import ModelError
from vpr_ros.nets.aggregators import ConvAP
from vpr_ros.nets.export import card_of, write_model
from vpr_ros.nets.network import Network
from vpr_ros.nets.torch_describer import load_network

_BATCH = 64


@dataclass(frozen=True)
class Projection:
    """What becomes of a descriptor.

    `dim` numbers are left. `whitening`: each axis is divided by its variance to the power of half
    of this; 0 keeps similarities as they were but for what the lost axes said, 0.5 lets weak axes
    say more. `unit_positions`: a grid pools unit vectors. `views` of the pictures show the axes.
    """

    dim: int
    whitening: float = 0.0
    unit_positions: bool = False
    views: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        if self.views < 2:
            raise ModelError(f'views must be at least 2, not {self.views}')


@dataclass(frozen=True)
class Projected:
    """The new card, the share of variance that is left, and recalls before and after."""

    card: ModelCard
    share: float
    before: tuple[Recalled, ...]
    after: tuple[Recalled, ...]


def project(parent: Path, lessons: Lessons, judge: Judge, wanted: Projection, out: Path,
            force: bool = False) -> Projected:
    """Write the model folder `out`: as `parent`, with the strongest axes of its descriptor only.

    Nothing is learned by gradients. Raises ModelError for a descriptor that has no such axes, a
    size that cannot be had, int8 models, and an `out` that is there unless `force`.
    """
    refuse_existing(out, force, ModelError)
    card = prunable_card(parent)
    network = load_network(parent, card)
    axes = axes_of(network, card, lessons, wanted)
    before = judge.recalls(network, card)
    short, name, args = _short(network, card, wanted, axes)
    after = judge.recalls(short, card)
    made = card_of(short, f'{card.name}-{wanted.dim}d', card.backbone, card.cut, name, args,
                   card.preprocessing, card.licence, parent=card.digest, notes={
                       'made_by': 'vpr project', 'settings': asdict(wanted), 'share': axes.share,
                       'axes_of': lessons.what, 'recall': [asdict(each) for each in after]})
    write_model(out, short, made, force)
    return Projected(made, axes.share, before, after)


def axes_of(network: Network, card: ModelCard, lessons: Lessons, wanted: Projection) -> Axes:
    """Return the axes to keep of a network's descriptor; raises ModelError as `project` does."""
    ending = _ready(network, card, wanted)[0]
    channels = channels_for(ending, card.dim, wanted.dim)
    return Axes.of(given_by(ending, list(_views(ending, card, lessons, wanted))), channels,
                   wanted.whitening)


def write_along(parent: Path, axes: Axes, wanted: Projection, out: Path) -> None:
    """Write a model that describes along the axes of another one, in whose space it describes.

    Raises ModelError as `project` does.
    """
    card = prunable_card(parent)
    short, name, args = _short(load_network(parent, card), card, wanted, axes)
    write_model(out, short, card_of(short, f'{card.name}-{wanted.dim}d', card.backbone, card.cut,
                                    name, args, card.preprocessing, card.licence,
                                    parent=card.digest, notes={
                                        'made_by': 'vpr project', 'settings': asdict(wanted),
                                        'share': axes.share}))


def _short(network: Network, card: ModelCard, wanted: Projection, axes: Axes
           ) -> tuple[Network, str, Args]:
    ending, name, args = _ready(network, card, wanted)
    return turned(ending, axes), name, args


def _ready(network: Network, card: ModelCard, wanted: Projection) -> tuple[Network, str, Args]:
    """Return a copy that ends in a linear layer, pooled as wanted, its aggregator and args."""
    ending, name, args = with_last_linear(network, card)
    if wanted.unit_positions:
        if not isinstance(ending.aggregator, ConvAP):
            raise ModelError(f'unit positions are of grids; {card.name} has {name}')
        ending.aggregator.unit_positions = True
        args['unit_positions'] = 1
    return ending, name, args


def _views(network: Network, card: ModelCard, lessons: Lessons, wanted: Projection
           ) -> Iterator[Tensor]:
    """Yield changed views of the pictures, preprocessed: what strays when light does, too."""
    teaching = Teaching(network, card.preprocessing, lessons, LearnConfig(), ALONE)
    count = wanted.views - wanted.views % lessons.together
    views = lessons.views(0, count, teaching.size(is_small=False), wanted.seed)
    with torch.inference_mode():
        for start in range(0, count, _BATCH):
            yield teaching.as_input(views.pixels[start:start + _BATCH])
