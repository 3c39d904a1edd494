# SPDX-License-Identifier: Apache-2.0
"""Published weights as a model folder: every weight has its place, or nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from vpr_ros.core.card import ModelCard, Preprocessing, Resize
from vpr_ros.core.folder import file_digest, refuse_existing
from vpr_ros.errors import ModelError
from vpr_ros.nets.aggregators import build_aggregator
from vpr_ros.nets.checkpoint import read_checkpoint, State
from vpr_ros.nets.export import card_of, write_model
from vpr_ros.nets.layout_backbones import Trunk
from vpr_ros.nets.layout_heads import Head, mixvpr_positions
from vpr_ros.nets.layouts import like, read_layout, Unsaid
from vpr_ros.nets.network import channels_of, map_shape, Network
from vpr_ros.nets.torchvision_models import build_backbone, whole_keys

Size = tuple[int, int]  # height, width

_LISTED = 5  # names an error lists before it counts the rest


def import_checkpoint(checkpoint: Path, layout_name: str, out: Path, *, size: Size | None = None,
                      resize: Resize | None = None, unsaid: Unsaid | None = None,
                      name: str | None = None, licence: str = 'unknown', dim: int | None = None,
                      force: bool = False) -> ModelCard:
    """Write the model folder `out` of a published checkpoint; return its card.

    Backbone, depth and all sizes are read off the weights.  Without `size` and `resize`: as the
    layout's source publishes them.
    Raises ModelError, and writes nothing, for a file that `read_checkpoint` refuses, another
    layout, missing, unexpected or mis-shaped weights, weights that are not finite, descriptors of
    another size than `dim`, and where the source runs at the images' own size and `size` is not
    given.
    """
    refuse_existing(out, force, ModelError)
    state = read_checkpoint(checkpoint)
    try:
        layout, trunk, head = read_layout(layout_name, state, unsaid or Unsaid())
        published = layout.preprocessing(head)
    except ModelError as error:
        raise ModelError(f'{checkpoint}: {error}') from error
    if published is None and size is None:
        raise ModelError(f'{layout_name} runs at the size that the images have, and a graph has '
                         'one: pass --size, such as 480x640 (height x width) of your camera')
    height, width = size or (0, 0)
    if published is None:
        preprocessing = Preprocessing(height, width, resize or Resize.SMOOTH_BILINEAR)
    else:
        preprocessing = replace(published, resize=resize or published.resize,
                                height_px=height or published.height_px,
                                width_px=width or published.width_px)
    network, args = _network(state, trunk, head, preprocessing, str(checkpoint))
    card = card_of(network, name or out.name, trunk.backbone, trunk.cut, head.aggregator, args,
                   preprocessing, licence,
                   notes={'imported_from': checkpoint.name, 'layout': layout.name,
                          'source': layout.source,
                          'checkpoint_sha256': file_digest(checkpoint)})
    if dim is not None and card.dim != dim:
        raise ModelError(f'{checkpoint} gives {card.dim} dimensions, not {dim}; it is another '
                         'network than it is said to be')
    write_model(out, network, card, force)
    return card


def _network(state: State, trunk: Trunk, head: Head, preprocessing: Preprocessing,
             where: str) -> tuple[Network, Mapping[str, float]]:
    """Return the network with the weights of a file, and the aggregator's final arguments."""
    backbone = build_backbone(trunk.backbone, trunk.cut)
    args = dict(head.args)
    if head.aggregator == 'mixvpr':
        height, width = map_shape(backbone, preprocessing.height_px, preprocessing.width_px)[1:]
        if height * width != (wanted := mixvpr_positions(state, 'aggregator.')):
            raise ModelError(
                f'{where}: its mixers take maps of {wanted} positions, and an input of '
                f'{preprocessing.height_px}x{preprocessing.width_px} gives {height}x{width}; '
                'pass the --size that it was trained for')
        args.update(height=float(height), width=float(width))
    network = Network(backbone, build_aggregator(head.aggregator, args, channels_of(backbone)))
    ours = network.state_dict()
    names: dict[str, tuple[str, ...]] = {
        trunk.published(key.removeprefix('backbone.')): (key,) for key in ours
        if key.startswith('backbone.')}
    names.update({theirs: tuple(f'aggregator.{key}' for key in keys)
                  for theirs, keys in head.names.items()})
    shapes = {}
    for theirs, keys in names.items():
        shape = tuple(ours[keys[0]].shape)
        if len(keys) > 1:
            shape = (sum(ours[key].shape[0] for key in keys), *shape[1:])
        shapes[theirs] = ((1, *shape) if theirs in head.leading_one else
                          (*shape, 1, 1) if theirs in head.one_position else shape)
    if complaint := misfit(shapes, state, set()):
        raise ModelError(f'{where} does not fit {trunk.backbone} up to {trunk.cut} with '
                         f'{head.aggregator}: {complaint}')
    filled: dict[str, torch.Tensor] = {}
    for theirs, keys in names.items():
        tensor = state[theirs][0] if theirs in head.leading_one else state[theirs]
        tensor = tensor.flatten(1) if theirs in head.one_position else tensor
        filled.update(zip(keys, torch.split(tensor, [ours[key].shape[0] for key in keys])
                          if len(keys) > 1 else (tensor,), strict=True))
    network.load_state_dict(filled)
    return network.eval(), args


def import_torchvision(state_dict: Path, backbone: str, cut: str, aggregator: str,
                       out: Path, *, aggregator_args: Mapping[str, float] | None = None,
                       preprocessing: Preprocessing | None = None, name: str | None = None,
                       licence: str = 'unknown', force: bool = False) -> ModelCard:
    """Write the model folder `out` of a state dict in torchvision's layout; return its card.

    Weights of the layers behind `cut` are left out by name; all else must fit exactly.  The
    aggregator may be 'grid' (args: grid) or 'gem' (args: p), which need no weights of their own.
    Without `preprocessing`: 224x224, ImageNet's mean and standard deviation.
    Raises ModelError, and writes nothing, for a file that is no state dict of tensors, missing,
    unexpected or mis-shaped keys, and an aggregator that would have to be trained.
    """
    args = dict(aggregator_args or ({'grid': 4} if aggregator == 'grid' else {}))
    if aggregator not in ('gem', 'grid') or args.get('dim'):
        raise ModelError(f'{aggregator} (dim {args.get("dim", 0):.0f}) needs weights that a '
                         'torchvision state dict does not hold; choose grid, or gem without dim')
    refuse_existing(out, force, ModelError)
    trunk = backbone_from(state_dict, backbone, cut)
    network = Network(trunk, build_aggregator(aggregator, args, channels_of(trunk)))
    card = card_of(network, name or f'{backbone}-{cut}-{aggregator}', backbone, cut, aggregator,
                   args, preprocessing or Preprocessing(224, 224), licence,
                   notes={'imported_from': state_dict.name})
    write_model(out, network, card, force)
    return card


def backbone_from(state_dict: Path, backbone: str, cut: str) -> nn.Module:
    """Return torchvision's `backbone` up to `cut` with the weights of a state dict.

    Raises ModelError as `import_torchvision` does.
    """
    given = read_checkpoint(state_dict)
    trunk = build_backbone(backbone, cut)
    wanted = trunk.state_dict()
    shapes = {key: tuple(value.shape) for key, value in wanted.items()}
    if complaint := misfit(shapes, given, whole_keys(backbone) - set(wanted)):
        hint = like(given)
        raise ModelError(f'{state_dict} does not fit {backbone} up to {cut}: {complaint}'
                         f'{f"; its weights are named{hint}" if hint else ""}')
    trunk.load_state_dict({key: given[key] for key in wanted})
    return trunk.eval()


def misfit(wanted: Mapping[str, tuple[int, ...]], given: Mapping[str, torch.Tensor],
           ignored: Set[str]) -> str | None:
    """Return what is missing, unexpected (but for `ignored`) or mis-shaped, or None."""
    groups = {
        'missing': sorted(set(wanted) - set(given)),
        'unexpected': sorted(set(given) - set(wanted) - ignored),
        'mis-shaped': [f'{key} {tuple(given[key].shape)}, not {shape}'
                       for key, shape in wanted.items() if key in given
                       and tuple(given[key].shape) != shape]}
    listed = [f'{kind}: {", ".join(names[:_LISTED])}'
              + (f' and {len(names) - _LISTED} more' if len(names) > _LISTED else '')
              for kind, names in groups.items() if names]
    return '; '.join(listed) or None
