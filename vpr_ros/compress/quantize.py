# SPDX-License-Identifier: Apache-2.0
"""A model folder -> one whose network runs in int8, if it still recalls what its parent does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
import json
from pathlib import Path
import shutil
from typing import Any, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
import safetensors
import safetensors.numpy

from vpr_ros.compress.quantize_judge import compare, Seen, shared, Verdict
from vpr_ros.compress.quantize_onnx import quantize_onnx, refuse_without_onnx
from vpr_ros.compress.quantize_openvino import quantize_openvino, refuse_without_nncf
from vpr_ros.core.card import ModelCard, Preprocessing, weights_digest
from vpr_ros.core.folder import file_digest, new_folder, refuse_existing
from vpr_ros.core.types import Image
from vpr_ros.datasets.run import RunPair
from vpr_ros.errors import ModelError
from vpr_ros.nets.model_folder import (
    GRAPH,
    INT8_GRAPH,
    load_describer,
    OPENVINO_INT8,
    read_card,
    seal_model,
    WEIGHTS,
)
from vpr_ros.nets.opened_model import opened
from vpr_ros.nets.preprocess import preprocess

if TYPE_CHECKING:
    from vpr_ros.compress.quantize_aware import Learning

FORMATS = {'onnxruntime': ('onnxruntime',), 'openvino': ('openvino',),
           'both': ('onnxruntime', 'openvino')}
MAX_RECALL_DROP_POINTS = 1.0
FEWEST_IMAGES = 8   # to measure scales on; a few hundred are better


@dataclass(frozen=True)
class Judged:
    """An int8 network of one engine: how it was made, and how it does beside its parent."""

    engine: str
    method: str
    verdict: Verdict


@dataclass(frozen=True)
class Quantized:
    """What was made: the child's card, and each engine's verdict with the protocol behind it."""

    card: ModelCard
    judged: tuple[Judged, ...]
    protocol: str


def quantize(parent: Path, images: Sequence[Image], pair: RunPair, out: Path, *,
             form: str = 'both', max_drop_points: float = MAX_RECALL_DROP_POINTS,
             source: str = 'images', learning: Learning | None = None, force: bool = False,
             say: Callable[[str], object] = lambda text: None) -> Quantized:
    """Write the model folder `out`: the parent's network, and int8 graphs of it.

    Scales are measured on `images`; recall of parent and child on `pair`, by the engine that will
    run the graph. `source` says in the card where the images came from. With `learning` the
    network then learns, in int8, from views of the images to describe as its parent does; both
    engines run the graph that comes of it.
    Raises ModelError, and writes nothing, for a folder that is no float model, too few images, an
    unknown format, an engine or tool that is not installed, and, without `force`, when a child's
    recall@1 is lower than its parent's by more than `max_drop_points`.
    """
    refuse_existing(out, force, ModelError)
    engines = _engines(form)
    parent_card, parent = read_card(parent), opened(parent)
    if parent_card.precision == 'int8':
        raise ModelError(f'{parent} is int8 already; quantize the model that it was made from '
                         f'({(parent_card.parent or "unknown")[:12]})')
    if len(images) < FEWEST_IMAGES:
        raise ModelError(f'{len(images)} images are too few to measure an int8 network on; give '
                         f'{FEWEST_IMAGES} or more, a few hundred from where the robot will drive')
    if not max_drop_points >= 0.0:
        raise ModelError(f'--max-recall-drop must be 0 or more points, not {max_drop_points}')
    batches = Batches(images, parent_card.preprocessing)
    if all(image.min() == image.max() for image in images):
        raise ModelError('each of the images is of one color; give pictures that the robot takes')
    say(f'the parent on {pair.name}')
    before = Seen.by(load_describer(parent, 1, 'onnxruntime', 'fp32'), pair)
    protocol = _protocol(images, pair, source)
    with new_folder(out, force, ModelError) as new:
        if learning is None:
            weights, methods = _weights_of(parent), {}
            for engine in engines:
                say(f'int8 for {engine}, scales on {len(images)} images')
                make, file = _MAKERS[engine]
                methods[engine] = make(parent / GRAPH, new / file, batches)
            shutil.copyfile(parent / GRAPH, new / GRAPH)
        else:
            from vpr_ros.compress.quantize_aware import learn_int8  # takes torch
            learned = learn_int8(parent, parent_card, images, batches, learning, say)
            weights, methods = learned.write(new, parent_card.preprocessing, engines)
        card = _child(weights, parent_card, new)
        seal_model(new, card)
        judged = []
        for engine in engines:
            say(f'int8 by {engine} on {pair.name}')
            after = Seen.by(load_describer(new, 1, engine, 'int8'), pair)
            judged.append(Judged(engine, methods[engine], compare(before, after, pair)))
        worst = max(judged, key=lambda each: each.verdict.drop_points)
        too_low = worst.verdict.drop_points > max_drop_points + 1e-9
        if too_low and not force:
            raise ModelError(_refusal(worst, max_drop_points, pair))
        card = replace(card, notes={
            'made_by': 'vpr quantize', 'parent_name': parent_card.name, 'protocol': protocol,
            'images': {'count': len(images), 'source': source},
            'max_recall_drop_points': max_drop_points, 'forced': too_low,
            'int8': {each.engine: {'method': each.method, **each.verdict.record()}
                     for each in judged}})
        seal_model(new, card)
    return Quantized(card, tuple(judged), protocol)


class Batches(Sequence[NDArray[np.float32]]):
    """Images one by one as a network takes them, (1, 3, height, width); made when asked for."""

    def __init__(self, images: Sequence[Image], preprocessing: Preprocessing) -> None:
        self._images, self._preprocessing = images, preprocessing

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: Any) -> Any:
        return preprocess([self._images[index]], self._preprocessing)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return (self[index] for index in range(len(self)))


_MAKERS: dict[str, tuple[Callable[[Path, Path, Batches], str], str]] = {
    'onnxruntime': (quantize_onnx, INT8_GRAPH), 'openvino': (quantize_openvino, OPENVINO_INT8)}


def _engines(form: str) -> tuple[str, ...]:
    """Return the engines of a format; raises ModelError when it or a tool is not there."""
    if form not in FORMATS:
        raise ModelError(f'there is no format {form}; choose one of {", ".join(FORMATS)}')
    if 'onnxruntime' in FORMATS[form]:
        refuse_without_onnx()
    if 'openvino' in FORMATS[form]:
        refuse_without_nncf()
    return FORMATS[form]


def _child(weights: dict[str, NDArray[Any]], parent_card: ModelCard, new: Path) -> ModelCard:
    """Write the child's weights, those of a float network; return its card.

    In the file's notes are the digests of the int8 graphs: so the child's digest is another one
    than its parent's, and a map that the parent made is refused, as its vectors would differ.
    """
    graphs = {file.name: file_digest(file) for file in sorted(new.iterdir())
              if file.name != GRAPH}
    made = json.dumps({'parent': parent_card.digest, 'precision': 'int8', 'files': graphs},
                      sort_keys=True)
    content = safetensors.numpy.save(weights, {'vpr_ros': made})
    (new / WEIGHTS).write_bytes(content)
    return replace(parent_card, name=f'{parent_card.name}-int8', digest=weights_digest(content),
                   precision='int8', parent=parent_card.digest, notes={})


def _weights_of(parent: Path) -> dict[str, NDArray[Any]]:
    try:
        state = safetensors.numpy.load_file(parent / WEIGHTS)
    except (safetensors.SafetensorError, OSError) as error:
        raise ModelError(f'{parent / WEIGHTS} cannot be read ({error}); import the model '
                         'again') from error
    for name, tensor in state.items():
        if not np.isfinite(tensor).all():
            raise ModelError(f'{parent / WEIGHTS}: {name} is not finite; import the model again')
    return dict(state)


def _protocol(images: Sequence[Image], pair: RunPair, source: str) -> str:
    seen = shared(images, pair)
    return (f'{pair.name}: {pair.protocol}; map and query by the same network, exact search; '
            f'scales measured on {len(images)} images of {source}, '
            + (f'among them {seen} of the {len(pair.query.images)} queries' if seen
               else 'none of them a query'))


def _refusal(worst: Judged, max_drop_points: float, pair: RunPair) -> str:
    verdict = worst.verdict
    one = 100.0 / verdict.queries
    return (f'in int8 by {worst.engine}, recall@1 on {pair.name} falls from '
            f'{verdict.parent_at_1:.3f} to {verdict.at_1:.3f}, by {verdict.drop_points:.1f} '
            f'points (one of the {verdict.queries} queries is {one:.1f}); more than '
            f'{max_drop_points:g} is refused. '
            + ('So few queries cannot tell: judge on more. ' if one > max_drop_points else '')
            + 'Give more images of the kind that the robot sees, '
            'allow more by --max-recall-drop, or pass --force; nothing was written')
