# SPDX-License-Identifier: Apache-2.0
"""A backbone and an aggregator as one network, built by recipe or rebuilt from its card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import nn, Tensor

from vpr_ros.core.card import ModelCard
from vpr_ros.errors import ModelError
from vpr_ros.nets.aggregators import build_aggregator
from vpr_ros.nets.torchvision_models import build_backbone
from vpr_ros.nets.widths import set_widths, widths_of


class Network(nn.Module):
    """(B, 3, H, W) preprocessed images -> (B, dim) unit descriptors."""

    def __init__(self, backbone: nn.Module, aggregator: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.aggregator = aggregator

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, dim)."""
        return cast(Tensor, self.aggregator(self.backbone(x)))


def build_network(backbone: str, cut: str, aggregator: str, args: Mapping[str, float],
                  width_mult: float = 1.0) -> Network:
    """Return a dense network with random weights, in evaluation mode; raises ModelError."""
    trunk = build_backbone(backbone, cut, width_mult)
    return Network(trunk, build_aggregator(aggregator, args, channels_of(trunk))).eval()


def channels_of(backbone: nn.Module) -> int:
    """Return how many channels the backbone's map has."""
    return map_shape(backbone, 64, 64)[0]


def map_shape(backbone: nn.Module, height_px: int, width_px: int) -> tuple[int, int, int]:
    """Return (channels, height, width) of the backbone's map of an image of that size."""
    training = backbone.training
    with torch.no_grad():
        _, *shape = backbone.eval()(torch.zeros(1, 3, height_px, width_px)).shape
    backbone.train(training)
    return shape[0], shape[1], shape[2]


def rebuild(card: ModelCard) -> Network:
    """Return the network of a card with random weights, every layer as wide as the card says.

    Raises ModelError when the card names other layers than the architecture has, or widths
    that do not fit together.
    """
    network = build_network(card.backbone, card.cut, card.aggregator, card.aggregator_args)
    dense = widths_of(network)
    if differing := sorted(set(dense) ^ set(card.widths)):
        raise ModelError(f'the card of {card.name} and {card.backbone} up to {card.cut} do not '
                         f'have the same layers ({", ".join(differing[:4])}); export it again')
    set_widths(network, card.widths)
    pre = card.preprocessing
    try:
        with torch.no_grad():
            dim = network.eval()(torch.zeros(1, 3, pre.height_px, pre.width_px)).shape[1]
    except RuntimeError as error:
        raise ModelError(f'the widths on the card of {card.name} do not fit together '
                         f'({error}); export it again') from error
    if dim != card.dim:
        raise ModelError(f'the card of {card.name} says {card.dim} dimensions, its widths '
                         f'give {dim}; export it again')
    return network
