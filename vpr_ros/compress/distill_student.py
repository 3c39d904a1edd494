# SPDX-License-Identifier: Apache-2.0
"""The network that learns, and what it becomes afterwards."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn, Tensor

from vpr_ros.compress.distill_config import DistillConfig
from vpr_ros.nets.aggregators import ConvAP
from vpr_ros.nets.network import build_network, channels_of, Network
from vpr_ros.nets.torchvision_models import build_backbone


class Student(nn.Module):
    """A backbone and a 1x1 convolution onto the teacher's channels."""

    def __init__(self, config: DistillConfig, channels: int) -> None:
        super().__init__()
        self.backbone = build_backbone(config.backbone, config.cut, config.width_mult)
        self.project = nn.Conv2d(channels_of(self.backbone), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, h, w)."""
        return cast(Tensor, self.project(self.backbone(x)))

    def follow(self, other: Student, keep: float) -> None:
        """Move towards `other` by 1 - keep, running statistics of batch norms included."""
        with torch.no_grad():
            for slow, fast in zip(self.state_dict().values(), other.state_dict().values(),
                                  strict=True):
                if slow.is_floating_point():
                    slow.lerp_(fast, 1.0 - keep)
                else:
                    slow.copy_(fast)


def convap_args(config: DistillConfig) -> dict[str, float]:
    """Return the arguments of the aggregator on the card."""
    return {'channels': config.channels, 'grid': config.grid,
            'unit_positions': float(config.unit_positions)}


def as_network(student: Student, config: DistillConfig) -> Network:
    """Return the student with ConvAP in the place of its projection.

    Of the projection the first `config.channels` rows stay: the strongest axes of the teacher.
    """
    network = build_network(config.backbone, config.cut, 'convap', convap_args(config),
                            config.width_mult)
    network.backbone.load_state_dict(student.backbone.state_dict())
    project, conv = student.project, cast(ConvAP, network.aggregator).conv
    rows = {name: tensor[:config.channels] for name, tensor in project.state_dict().items()}
    conv.load_state_dict(rows)
    return network.eval()
