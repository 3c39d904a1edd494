# SPDX-License-Identifier: Apache-2.0
"""A torchvision state dict as a model folder, for measuring networks that do not ship."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn, Tensor

from vpr_ros.core.card import ModelCard, Preprocessing
from vpr_ros.core.folder import refuse_existing
from vpr_ros.errors import ModelError
from vpr_ros.nets.aggregators import build_aggregator
from vpr_ros.nets.export import card_of, write_model
from vpr_ros.nets.network import channels_of, Network
from vpr_ros.nets.torchvision_models import build_backbone, whole_network

_LISTED = 5  # names an error lists before it counts the rest


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
    if aggregator == 'convap' or args.get('dim'):
        raise ModelError('convap, and gem with a linear, need weights that a torchvision state '
                         'dict does not hold; choose grid, or gem without dim')
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
    given = read_state_dict(state_dict)
    trunk = build_backbone(backbone, cut)
    wanted = trunk.state_dict()
    behind = set(whole_network(backbone).state_dict()) - set(wanted)
    if complaint := misfit(wanted, given, behind):
        raise ModelError(f'{state_dict} does not fit {backbone} up to {cut}: {complaint}')
    trunk.load_state_dict({key: given[key] for key in wanted})
    return trunk.eval()


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .pth file; nothing in it is run (`weights_only`).

    Raises ModelError when it cannot be read so, or holds anything but named tensors.
    """
    if not path.is_file():
        raise ModelError(f'there is no file {path}; check the path')
    try:
        state: Any = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # torch raises many kinds on damaged files
        reason = str(error).split('\n')[0]
        raise ModelError(f'{path} cannot be read as plain tensors ({reason}); save it again with '
                         'torch.save(model.state_dict(), ...)') from error
    if not isinstance(state, dict) or not state or not all(
            isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()):
        raise ModelError(f'{path} is no state dict (names to tensors); save it again with '
                         'torch.save(model.state_dict(), ...)')
    return state


def misfit(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor],
           ignored: set[str]) -> str | None:
    """Return what is missing, unexpected (but for `ignored`) or mis-shaped, or None."""
    groups = {
        'missing': sorted(set(wanted) - set(given)),
        'unexpected': sorted(set(given) - set(wanted) - ignored),
        'mis-shaped': [f'{key} {tuple(given[key].shape)}, not {tuple(wanted[key].shape)}'
                       for key in wanted if key in given
                       and given[key].shape != wanted[key].shape]}
    listed = [f'{kind}: {", ".join(names[:_LISTED])}'
              + (f' and {len(names) - _LISTED} more' if len(names) > _LISTED else '')
              for kind, names in groups.items() if names]
    return '; '.join(listed) or None
