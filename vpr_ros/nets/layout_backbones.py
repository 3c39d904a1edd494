# SPDX-License-Identifier: Apache-2.0
"""Which backbone a published file holds, and where each of torchvision's layers stands in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

_RESNETS: Mapping[str, tuple[bool, tuple[int, ...]]] = {  # bottlenecks?, blocks of each layer
    'resnet18': (False, (2, 2, 2, 2)), 'resnet34': (False, (3, 4, 6, 3)),
    'resnet50': (True, (3, 4, 6, 3)), 'resnet101': (True, (3, 4, 23, 3)),
    'resnet152': (True, (3, 8, 36, 3))}
_LAYERS = ('layer1', 'layer2', 'layer3', 'layer4')


@dataclass(frozen=True)
class Trunk:
    """A backbone up to a cut; `places` gives the published prefix of each of its children."""

    backbone: str
    cut: str
    places: Mapping[str, str]

    def published(self, key: str) -> str:
        """Return the published name of torchvision's weight `key`."""
        child, _, rest = key.partition('.')
        return f'{self.places[child]}.{rest}'


def numbered(keys: Collection[str], prefix: str) -> Trunk | None:
    """Return the trunk of `nn.Sequential(*children)`, whose children have numbers for names.

    So CosPlace, EigenPlaces, the geo-localization benchmark and BoQ write backbones: ResNets,
    VGG16 up to its last convolution (no ReLU behind it) and EfficientNet-B0.
    """
    if f'{prefix}0.0.0.weight' in keys:
        return Trunk('efficientnet_b0', 'features', {'features': f'{prefix}0'})
    if f'{prefix}28.weight' in keys:
        return Trunk('vgg16', 'features.28', {'features': prefix.rstrip('.')})
    return _resnet(keys, {'conv1': f'{prefix}0', 'bn1': f'{prefix}1',
                          **{layer: f'{prefix}{4 + i}' for i, layer in enumerate(_LAYERS)}})


def named(keys: Collection[str], prefix: str) -> Trunk | None:
    """Return the trunk of a ResNet under torchvision's own names (GSV-Cities, MixVPR)."""
    return _resnet(keys, {name: f'{prefix}{name}' for name in ('conv1', 'bn1', *_LAYERS)})


def frozen_and_not(keys: Collection[str], prefix: str) -> Trunk | None:
    """Return the trunk of a ResNet in two sequences, each counting from zero (OpenVPRLab)."""
    start = f'{prefix}frozen_layers.'
    frozen = {key.removeprefix(start).split('.')[0] for key in keys
              if key.startswith(start) and key.removeprefix(start)[:1].isdigit()}
    kept = len(frozen)

    def place(block: int) -> str:
        return (f'{start}{block}' if block < kept else
                f'{prefix}unfrozen_layers.{block - kept}')
    return _resnet(keys, {'conv1': f'{place(0)}.0', 'bn1': f'{place(0)}.1',
                          **{layer: place(1 + i) for i, layer in enumerate(_LAYERS)}})


def _resnet(keys: Collection[str], places: Mapping[str, str]) -> Trunk | None:
    """Return which ResNet has as many blocks in each layer, as far as the file goes."""
    if f'{places["conv1"]}.weight' not in keys:
        return None
    blocks = []
    for layer in _LAYERS:
        start = f'{places[layer]}.'
        if not (found := {key.removeprefix(start).split('.')[0] for key in keys
                          if key.startswith(start)}):
            break
        blocks.append(len(found))
    deep = f'{places["layer1"]}.0.conv3.weight' in keys
    for backbone, (bottlenecks, counts) in _RESNETS.items():
        if blocks and bottlenecks == deep and tuple(blocks) == counts[:len(blocks)]:
            return Trunk(backbone, f'layer{len(blocks)}', places)
    return None
