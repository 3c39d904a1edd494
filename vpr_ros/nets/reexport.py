# SPDX-License-Identifier: Apache-2.0
"""A model folder exported anew, for another input size or by a newer exporter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
import json
from pathlib import Path

from vpr_ros.core.card import ModelCard, weights_digest
from vpr_ros.core.folder import new_folder, refuse_existing
from vpr_ros.core.types import Image
from vpr_ros.errors import ModelError
from vpr_ros.nets.engines import candidates, installed, open_describer
from vpr_ros.nets.export import export_onnx, weights_of
from vpr_ros.nets.model_folder import GRAPH, read_card, seal_model, WEIGHTS
from vpr_ros.nets.network import map_shape, Network
from vpr_ros.nets.opened_model import opened
from vpr_ros.nets.torch_describer import load_network, TorchDescriber

MIN_COSINE = 0.999  # of an engine's descriptors of pictures with torch's, both in fp32


def export_again(parent: Path, out: Path, images: Sequence[Image], *,
                 size: tuple[int, int] | None = None, shown: str = 'pictures',
                 force: bool = False) -> ModelCard:
    """Write the model folder `out`: the network of `parent`, exported anew; return its card.

    The graph takes any batch and one input `size` (height, width), the parent's unless given. With
    the parent's size the model is the same one, and its maps stay good; with another, the
    descriptors differ, and so does the digest. Each float engine here is compared with torch fp32
    on `images`, of which the card speaks as `shown`.
    Raises ModelError, and writes nothing, for a parent that cannot be read or is int8, a size that
    the architecture was not trained for, and an engine that gives other descriptors in fp32.
    """
    refuse_existing(out, force, ModelError)
    card, parent = read_card(parent), opened(parent)
    if card.precision == 'int8':
        raise ModelError(f'{parent} is int8, measured for the input that it has; export the model '
                         f'that it was made from, and quantize that')
    network = load_network(parent, card)
    weights = (parent / WEIGHTS).read_bytes()
    pre = card.preprocessing
    if size is not None and size != (pre.height_px, pre.width_px):
        pre = replace(pre, height_px=size[0], width_px=size[1])
        refuse_other_map(network, card, size)
        weights = weights_of(network, json.dumps({'parent': card.digest, 'size': size}))
        # What it was taught, it was taught in its own size.
        card = replace(card, preprocessing=pre, parent=card.digest, queries_maps_of=(),
                       digest=weights_digest(weights), notes={
                           'made_by': 'vpr export', 'parent_notes': dict(card.notes),
                           'size': f'{size[0]}x{size[1]}, not the size of the parent: what it '
                                   'recalls was not measured'})
    with new_folder(out, force, ModelError) as new:
        (new / WEIGHTS).write_bytes(weights)
        export_onnx(network, pre, new / GRAPH)
        parity = _parity(new, network, card, images)
        card = replace(card, notes={**card.notes, 'parity': {
            'with': f'torch fp32 on {len(images)} {shown}', 'least_cosine': parity}})
        seal_model(new, card)
    return card


def refuse_other_map(network: Network, card: ModelCard, size: tuple[int, int]) -> None:
    """Raise ModelError when an aggregator cannot take the map of another input size.

    GeM, NetVLAD and BoQ take any; ConvAP and the grid any with a position for each cell (their
    graph is fixed to one size, so it is exported for that); MixVPR has learnt one map.
    """
    args, pre = card.aggregator_args, card.preprocessing
    height, width = map_shape(network.backbone, *size)[1:]
    asked = f'an input of {size[0]}x{size[1]} gives a map of {height}x{width}'
    if card.aggregator == 'mixvpr' and (height, width) != (args['height'], args['width']):
        raise ModelError(
            f'{card.name}: {asked}, and the mixers of MixVPR have learnt weights for each '
            f'position of {args["height"]:.0f}x{args["width"]:.0f}; keep {pre.height_px}x'
            f'{pre.width_px}, or train it for the other size')
    if min(height, width) < args.get('grid', 1):
        raise ModelError(f'{card.name}: {asked}, too small for the {args["grid"]:.0f} cells on a '
                         f'side of {card.aggregator}; choose a larger size')


def _parity(folder: Path, network: Network, card: ModelCard, images: Sequence[Image]
            ) -> dict[str, float]:
    """Return the least cosine of each float engine; raises ModelError where fp32 differs."""
    wanted = TorchDescriber(network, card, 1).describe(images)
    found = {}
    for engine in installed():
        if engine == 'torch':
            continue
        for each in candidates(folder, card, engine, 'auto'):
            got = open_describer(folder, card, 1, each).describe(images)
            found[str(each)] = round(float((wanted * got).sum(axis=1).min()), 6)
            if each.precision == 'fp32' and not found[str(each)] >= MIN_COSINE:
                raise ModelError(f'{each} does not do what torch does: cosine '
                                 f'{found[str(each)]:.5f}, below {MIN_COSINE}; report it with the '
                                 'card')
    return found
