# SPDX-License-Identifier: Apache-2.0
"""The layouts in which networks for place recognition are published, and how they are fed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vpr_ros.core.card import Preprocessing, Resize
from vpr_ros.errors import ModelError
from vpr_ros.nets import layout_heads as heads
from vpr_ros.nets.checkpoint import State
from vpr_ros.nets.layout_backbones import frozen_and_not, named, numbered, Trunk
from vpr_ros.nets.layout_heads import Head

L2_CHOICES = ('after_pool', 'none')


@dataclass(frozen=True)
class Unsaid:
    """What no file says; `l2` is the geo-localization benchmark's --l2, '' when not given."""

    grid: int = 2
    l2: str = ''

    def __post_init__(self) -> None:
        if self.grid < 1:
            raise ModelError(f'a grid of {self.grid} has no cells; the published ones have 2')
        if self.l2 not in ('', *L2_CHOICES):
            raise ModelError(f'l2 is one of {", ".join(L2_CHOICES)}, not {self.l2!r}')


@dataclass(frozen=True)
class Layout:
    """How one source writes its networks.  `trunk` and `head` return None for other files."""

    name: str
    trunk: Callable[[State], Trunk | None]
    head: Callable[[State, Unsaid], Head | None]
    preprocessing: Callable[[Head], Preprocessing | None]  # None: the user must say the size
    source: str


def _cosplace_head(state: State, unsaid: Unsaid) -> Head | None:
    if 'aggregation.1.p' not in state or 'aggregation.3.weight' not in state:
        return None
    return heads.gem(state, 'aggregation.1.p', 'aggregation.3', unit_positions=True)


def _benchmark_head(state: State, unsaid: Unsaid) -> Head | None:
    """--l2 before_pool shows as a GeM behind something; after_pool and none look alike."""
    if 'aggregation.centroids' in state:
        return heads.netvlad(state, 'aggregation.')
    if 'aggregation.0.centroids' in state:
        return heads.netvlad(state, 'aggregation.0.', 'aggregation.1')
    if 'aggregation.1.p' in state:
        return heads.gem(state, 'aggregation.1.p', unit_positions=True)
    if 'aggregation.0.1.p' in state:
        return heads.gem(state, 'aggregation.0.1.p', 'aggregation.1', unit_positions=True)
    if 'aggregation.0.p' in state:  # all descriptors end at length one here: l2 is the same
        return heads.gem(state, 'aggregation.0.p')
    if 'aggregation.0.0.p' not in state:
        return None
    if not unsaid.l2:
        raise ModelError('this GeM with a linear was trained with --l2 after_pool or --l2 none, '
                         'and the file does not say which; pass --l2')
    return heads.gem(state, 'aggregation.0.0.p', 'aggregation.1',
                     unit_pooled=unsaid.l2 == 'after_pool')


def _amaralibey_head(state: State, unsaid: Unsaid) -> Head | None:
    """GSV-Cities, MixVPR, OpenVPRLab and BoQ share the names of their aggregators."""
    a = 'aggregator.'
    if f'{a}channel_pool.weight' in state:
        return heads.convap(state, a, unsaid.grid)
    if f'{a}p' in state:
        return heads.gem(state, f'{a}p')
    if f'{a}gem.p' in state:
        return heads.gem(state, f'{a}gem.p', f'{a}fc', unit_positions=True)
    if f'{a}mix.0.mix.0.weight' in state:
        return heads.mixvpr(state, a)
    return heads.boq(state, a) if f'{a}proj_c.weight' in state else None


def _patch_netvlad_head(state: State, unsaid: Unsaid) -> Head | None:
    """With its whitened PCA, where the file has one."""
    for prefix in ('pool.', 'pool.module.'):
        if f'{prefix}centroids' in state:
            return heads.netvlad(state, prefix, 'WPCA.0' if 'WPCA.0.weight' in state else None,
                                 one_position=True)
    return None


def _gsv_preprocessing(head: Head) -> Preprocessing:
    """320x320, bilinear by PIL, before normalising; the 4096-d ConvAP was trained with bicubic."""
    large = head.aggregator == 'convap' and head.args['channels'] * head.args['grid'] ** 2 == 4096
    return Preprocessing(320, 320, Resize.SMOOTH_BICUBIC if large else Resize.SMOOTH_BILINEAR)


def _lab_preprocessing(head: Head) -> Preprocessing:
    side = 384 if head.aggregator == 'boq' else 320
    return Preprocessing(side, side, Resize.SMOOTH_BICUBIC)


def _boq_trunk(state: State) -> Trunk | None:
    return numbered(state, 'backbone.net.') or frozen_and_not(state, 'backbone.')


LAYOUTS: Mapping[str, Layout] = {layout.name: layout for layout in (
    Layout('cosplace', lambda state: numbered(state, 'backbone.'), _cosplace_head,
           lambda head: None, 'https://github.com/gmberton/CosPlace'),
    Layout('eigenplaces', lambda state: numbered(state, 'backbone.'), _cosplace_head,
           lambda head: None, 'https://github.com/gmberton/EigenPlaces'),
    Layout('gsv-cities', lambda state: named(state, 'backbone.model.'), _amaralibey_head,
           _gsv_preprocessing, 'https://github.com/amaralibey/gsv-cities'),
    Layout('mixvpr', lambda state: named(state, 'backbone.model.'), _amaralibey_head,
           _gsv_preprocessing, 'https://github.com/amaralibey/MixVPR'),
    Layout('openvprlab', lambda state: frozen_and_not(state, 'backbone.'), _amaralibey_head,
           _lab_preprocessing, 'https://github.com/amaralibey/OpenVPRLab'),
    Layout('dvgl-benchmark', lambda state: numbered(state, 'backbone.'), _benchmark_head,
           lambda head: Preprocessing(480, 640, Resize.BILINEAR),
           'https://github.com/gmberton/deep-visual-geo-localization-benchmark'),
    Layout('patch-netvlad', lambda state: (numbered(state, 'encoder.')
                                           or numbered(state, 'encoder.module.')),
           _patch_netvlad_head, lambda head: Preprocessing(480, 640, Resize.SMOOTH_BILINEAR),
           'https://github.com/QVPR/Patch-NetVLAD'),
    Layout('boq', _boq_trunk, _amaralibey_head,
           lambda head: Preprocessing(384, 384, Resize.SMOOTH_BICUBIC),
           'https://github.com/amaralibey/Bag-of-Queries'),
)}


def read_layout(name: str, state: State, unsaid: Unsaid) -> tuple[Layout, Trunk, Head]:
    """Return what a file in the layout `name` holds.

    Raises ModelError for an unknown layout, and for a file in another one, which is named where
    it is known.
    """
    if name not in LAYOUTS:
        raise ModelError(f'layout {name!r} is not known; choose one of torchvision, '
                         f'{", ".join(LAYOUTS)}')
    layout = LAYOUTS[name]
    trunk, head = layout.trunk(state), layout.head(state, unsaid)
    if trunk is None or head is None:
        what = ' and '.join(part for part, found in (
            ('no backbone', trunk), ('no aggregator', head)) if found is None)
        keys = list(state)
        raise ModelError(f'{what} that the layout {name} has is in it; its weights are '
                         f'{keys[0]} to {keys[-1]}{like(state)}')
    return layout, trunk, head


def like(state: State) -> str:
    """Return a remark which layouts a file seems to be in."""
    if {'conv1.weight', 'features.0.weight', 'features.0.0.weight'} & set(state):
        return ', as in the layout torchvision'
    names = []
    for layout in LAYOUTS.values():
        try:
            if layout.trunk(state) and layout.head(state, Unsaid(l2='none')):
                names.append(layout.name)
        except ModelError:
            continue
    return f', as in the layout {" or ".join(names)}' if names else ''
