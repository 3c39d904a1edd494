# SPDX-License-Identifier: Apache-2.0
"""Public networks: what can be fetched, from where and under which license; and what only named.

Addresses and sizes are those that the sources' own loaders name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vpr_ros.errors import ModelError


@dataclass(frozen=True)
class PublicModel:
    """A checkpoint that its source publishes as a direct file."""

    name: str
    url: str
    layout: str
    licence: str
    dim: int
    page: str
    own_size: bool  # its source runs at the images' own size, so the user must say one

    @property
    def file_name(self) -> str:
        """The name of the file, as its source calls it."""
        return self.url.rpartition('/')[2]


@dataclass(frozen=True)
class NamedOnly:
    """A source from which nothing is downloaded, and why; '' as layout: cannot be imported."""

    what: str
    page: str
    why: str
    layout: str


def _releases(method: str, page: str, sizes: Mapping[str, tuple[int, ...]]) -> list[PublicModel]:
    return [PublicModel(f'{method}-{backbone.lower()}-{dim}',
                        f'{page}/releases/download/v1.0/{backbone}_{dim}_{method}.pth',
                        method, 'MIT', dim, page, own_size=True)
            for backbone, dims in sizes.items() for dim in dims]


_UP_TO_512 = (32, 64, 128, 256, 512)
_UP_TO_2048 = (*_UP_TO_512, 1024, 2048)
_BOQ = 'https://github.com/amaralibey/Bag-of-Queries'

PUBLIC_MODELS: Mapping[str, PublicModel] = {model.name: model for model in (
    *_releases('cosplace', 'https://github.com/gmberton/CosPlace', {
        'ResNet18': _UP_TO_512, 'ResNet50': _UP_TO_2048, 'ResNet101': _UP_TO_2048,
        'ResNet152': _UP_TO_2048, 'VGG16': _UP_TO_512[1:]}),
    *_releases('eigenplaces', 'https://github.com/gmberton/EigenPlaces', {
        'ResNet18': (256, 512), 'ResNet50': _UP_TO_2048[2:], 'ResNet101': _UP_TO_2048[2:],
        'VGG16': (512,)}),
    PublicModel('boq-resnet50-16384', f'{_BOQ}/releases/download/v1.0/resnet50_16384.pth', 'boq',
                'MIT', 16384, _BOQ, own_size=False))}

NAMED_ONLY = (
    NamedOnly('ConvAP, GeM (GSV-Cities)', 'https://github.com/amaralibey/gsv-cities',
              'no license is given, and no direct file', 'gsv-cities'),
    NamedOnly('MixVPR', 'https://github.com/amaralibey/MixVPR',
              'no license is given, and no direct file', 'mixvpr'),
    NamedOnly('GeM, NetVLAD (deep visual geo-localization benchmark)',
              'https://github.com/gmberton/deep-visual-geo-localization-benchmark',
              'MIT, but no direct file', 'dvgl-benchmark'),
    NamedOnly('OpenVPRLab', 'https://github.com/amaralibey/OpenVPRLab',
              'MIT, but it publishes no weights: train your own', 'openvprlab'),
    NamedOnly('BoQ (DINOv2)', _BOQ, 'MIT, but its backbone is not built here', ''),
    NamedOnly('SALAD', 'https://github.com/serizba/salad',
              'GPL-3.0, and its backbone is not built here', ''))


def public_model(name: str) -> PublicModel:
    """Return a row of the table; raises ModelError for another name."""
    if name in PUBLIC_MODELS:
        return PUBLIC_MODELS[name]
    near = [known for known in PUBLIC_MODELS if known.split('-')[:2] == name.split('-')[:2]]
    raise ModelError(f'no public model {name!r} can be fetched; '
                     + (f'there are {", ".join(near)}' if near else
                        'vpr model fetch without a name lists what can'))
