# SPDX-License-Identifier: Apache-2.0
"""Which channels of a network depend on each other; the one file that knows Torch-Pruning."""

from __future__ import annotations

from collections.abc import Iterator
import copy
from dataclasses import replace
from typing import Any, cast

import torch
from torch import nn

from vpr_ros.compress.prune_groups import Group, Member, Part
from vpr_ros.compress.prune_heads import head_of
from vpr_ros.errors import ModelError
from vpr_ros.nets.network import channels_of, Network
from vpr_ros.nets.widths import widths_of

_READER = 'reader'   # stands for whatever the head does with the map
_PROBE_PX = 64


def groups_of(network: Network) -> tuple[Group, ...]:
    """Return all that can be pruned of a network; no channel is in two groups.

    The graph of the backbone ends in a layer that reads the map. In its place come the layers of
    the head that do, so that their inputs follow the very channels that are deleted. Not the head
    itself: NetVLAD and MixVPR cannot be traced (they move channels to other dimensions).
    Raises ModelError where channels are coupled in another order than one to one, or side by side.
    """
    head = head_of(network.aggregator)
    found = []
    for channels, members in _coupled(network.backbone):
        reader = next((member for member in members if member.layer == _READER), None)
        inside = tuple(member for member in members if member.layer != _READER)
        if not inside:
            continue
        reads = () if reader is None else tuple(
            replace(member, first=reader.first, of=reader.of) for member in head.reads)
        found.append(Group(
            next(member.layer for member in inside if member.side == 'out'), channels,
            inside + reads,
            Part.DESCRIPTOR if reader and head.map_is_descriptor else Part.BACKBONE,
            first=0 if reader is None else reader.first))
    return (*found, *head.groups)


def _coupled(backbone: nn.Module) -> Iterator[tuple[int, tuple[Member, ...]]]:
    """Yield how many channels are shared, and by which sides of layers, named as in the network.

    A layer may read others beside them.
    """
    import torch_pruning
    copied = _traceable(backbone)
    traced = nn.Sequential()
    traced.add_module('backbone', copied)
    traced.add_module(_READER, nn.Conv2d(channels_of(copied), 8, 1))
    names = {module: name for name, module in traced.named_modules()}
    widths = widths_of(traced)
    graph = torch_pruning.DependencyGraph()
    graph.build_dependency(traced, torch.zeros(1, 3, _PROBE_PX, _PROBE_PX))
    groups: Any = graph.get_all_groups(root_module_types=[nn.Conv2d])
    for group in list(groups):
        members: dict[Member, None] = {}
        channels = len(group[0].idxs)
        for dependency, rows in group:
            name = names.get(dependency.target.module)
            if name is None:
                continue  # an operation without weights
            is_out = dependency.handler.__name__ == 'prune_out_channels'
            among, first = widths[name][is_out], rows[0]
            if list(rows) != list(range(first, first + channels)) or name in (
                    member.layer for member in members if (member.side == 'out') == is_out):
                raise ModelError(f'the channels of {name} are not one to one those of the layers '
                                 'around it; this network cannot be pruned')
            members[Member(name, 'out' if is_out else 'in', first=first,
                           of=0 if among == channels else among)] = None
        if {member.layer for member in members} != {_READER} or len(members) > 1:
            yield channels, _in_order(members, names.values())


def _in_order(members: dict[Member, None], names: Any) -> tuple[Member, ...]:
    place = {name: i for i, name in enumerate(names)}
    return tuple(sorted(members, key=lambda member: place[member.layer]))


def _traceable(backbone: nn.Module) -> nn.Module:
    """Return a copy of which the whole graph of gradients can be seen.

    Torch-Pruning walks it: frozen weights would hide what is before them, and what is done in
    place hides the layer that it is done to.
    """
    copied = copy.deepcopy(backbone).cpu().float().eval()
    for module in copied.modules():
        if hasattr(module, 'inplace'):
            cast(Any, module).inplace = False
    return copied.requires_grad_(True)
