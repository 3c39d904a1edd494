# SPDX-License-Identifier: Apache-2.0
"""Backbones: torchvision's definitions, cut after any stage; the one file that imports it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any, cast

import torch
from torch import nn

from vpr_ros.errors import ModelError
from vpr_ros.nets.widths import set_widths, widths_of

BACKBONES = ('resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152', 'vgg16',
             'mobilenet_v2', 'mobilenet_v3_large', 'efficientnet_b0', 'squeezenet1_0',
             'squeezenet1_1')

_OPERATORS = ('nms', 'qnms')
_SCHEMA = '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor'
_kept_libraries: list[Any] = []  # torch drops the schemas when their Library is collected


def load_torchvision() -> ModuleType:
    """Return torchvision, also beside a CPU-only torch.

    There the plain import fails because torchvision's compiled operators are absent; once the
    schemas of the two that it looks up on import are declared, its models work.
    """
    try:
        return import_module('torchvision')
    except ImportError as error:
        raise ModelError(f'torchvision is needed to build a network ({error}); '
                         'pip install -r requirements/train.txt') from error
    except RuntimeError:
        if _kept_libraries:
            raise
        library: Any = torch.library.Library('torchvision', 'DEF')  # type: ignore[no-untyped-call]
        for name in _OPERATORS:
            library.define(name + _SCHEMA)
        _kept_libraries.append(library)
        return load_torchvision()


def whole_network(name: str) -> nn.Module:
    """Return torchvision's whole network `name` with random weights; raises ModelError."""
    if name not in BACKBONES:
        raise ModelError(f'backbone {name!r} is not known; choose one of {", ".join(BACKBONES)}')
    build: Callable[..., nn.Module] = getattr(load_torchvision().models, name)
    return build(weights=None)


def whole_keys(name: str) -> set[str]:
    """Return the names of all weights of torchvision's `name`; takes no memory for them."""
    with torch.device('meta'):
        return set(whole_network(name).state_dict())


def build_backbone(name: str, cut: str, width_mult: float = 1.0) -> nn.Sequential:
    """Return torchvision's network `name` up to and including its child `cut`.

    Weights are random and children keep torchvision's names. `cut` is 'features.14' or 'layer3';
    VGG16's 'features.28' is its last convolution, without the ReLU and the pooling behind it.
    `width_mult` scales the channels of every layer, rounded to a multiple of 8.
    (B, 3, H, W) -> (B, channels, H', W').
    Raises ModelError for a network or a child that does not exist, and for a Fire of SqueezeNet
    that would be cut in two.
    """
    whole = _vgg16_features() if name == 'vgg16' else whole_network(name)
    backbone = _cut(whole, cut.split('.'), f'{name} has no child {cut!r}')
    if width_mult != 1.0:  # not torchvision's own, which also moves short cuts between layers
        set_widths(backbone, _scaled_widths(backbone, width_mult))
    return backbone


def _scaled_widths(backbone: nn.Module, width_mult: float) -> dict[str, tuple[int, int]]:
    """Return scaled (in, out) of each layer; what reads both halves of a Fire gets both."""
    found, halves = {}, 0
    for layer, (n_in, n_out) in widths_of(backbone).items():
        is_behind = layer.endswith('.squeeze') and halves
        found[layer] = (2 * halves if is_behind else _scaled(n_in, width_mult),
                        _scaled(n_out, width_mult))
        halves = found[layer][1] if layer.endswith('.expand3x3') else halves
    return found


def _vgg16_features() -> nn.Module:
    """Return VGG16 without its classifier, whose 120 million weights would be made for nothing."""
    vgg = load_torchvision().models.vgg
    features = vgg.make_layers(vgg.cfgs['D'])
    for layer in features:
        if isinstance(layer, nn.Conv2d):  # as torchvision's own constructor
            nn.init.kaiming_normal_(layer.weight, mode='fan_out', nonlinearity='relu')
            nn.init.zeros_(cast(nn.Parameter, layer.bias))
    return nn.Sequential(OrderedDict(features=features))


def _scaled(channels: int, width_mult: float) -> int:
    """Return scaled channels; the image's three stay."""
    return channels if channels == 3 else max(8, round(channels * width_mult / 8) * 8)


def _cut(module: nn.Module, path: list[str], complaint: str) -> nn.Sequential:
    """Return `module`'s children, in order, up to the one that `path` names.

    Holds for networks whose children run one after another, as the known ones do.
    """
    kept: OrderedDict[str, nn.Module] = OrderedDict()
    for name, child in module.named_children():
        if name == path[0]:
            if len(path) > 1 and hasattr(child, 'expand3x3'):
                raise ModelError(f'{complaint}: {name} has two halves side by side and stays '
                                 'whole; cut before or behind it')
            kept[name] = child if len(path) == 1 else _cut(child, path[1:], complaint)
            return nn.Sequential(kept)
        kept[name] = child
    raise ModelError(f'{complaint}; its children are {", ".join(kept)}')
