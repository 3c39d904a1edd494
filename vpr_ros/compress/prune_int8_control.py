# SPDX-License-Identifier: Apache-2.0
"""The control that takes minutes: the dense network in int8, and nothing pruned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from vpr_ros.compress.finetune_data import Lessons
from vpr_ros.compress.prune_controls import Control, INT8_NETWORK
from vpr_ros.compress.prune_judge import Judge, medians_ms, search_among
from vpr_ros.compress.prune_points import Point, Speed
from vpr_ros.compress.quantize import quantize
from vpr_ros.compress.quantize_judge import Seen
from vpr_ros.core.map_memory import descriptor_bytes
from vpr_ros.core.precision import Precision, stored
from vpr_ros.core.types import Describer, Descriptors, Image
from vpr_ros.nets.model_folder import (
    INT8_GRAPH,
    load_describer,
    OPENVINO_BIN,
    OPENVINO_INT8,
    read_card,
)

_PICTURES = 200    # on which scales are measured
_BATCH = 16
_FILES = {'onnxruntime': (INT8_GRAPH,), 'openvino': (OPENVINO_INT8, OPENVINO_BIN)}


def int8_controls(parent: Path, lessons: Lessons, judge: Judge, dense: Point, places: int,
                  precision: Precision, say: Callable[[str], object] = print) -> list[Control]:
    """Return the dense network in int8 with the map in `precision`, and in int8 as well.

    Quantized for the engine on which the dense point was timed, or ONNX Runtime; its memory is
    that of the int8 graph's files. Raises ModelError when the tools for it are not installed.
    """
    engine, _, kind = dense.speed.engine.partition(' ') if dense.speed else ('onnxruntime', '', '')
    engine, kind = (engine, kind) if engine in _FILES else ('onnxruntime', 'fp32')
    card = read_card(parent)
    size = card.preprocessing.height_px, card.preprocessing.width_px
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / 'int8'
        quantize(parent, lessons.unchanged(_PICTURES, size), judge.pairs[0], folder, form=engine,
                 source=lessons.what, force=True, say=lambda text: say(f'control: {text}'))
        network = load_describer(folder, 1, engine, 'int8')
        seen = list(judge.seen(partial(_described, network)))
        model_bytes = sum((folder / name).stat().st_size for name in _FILES[engine])
        describe_ratio = 1.0
        if dense.speed is not None:
            picture = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
            beside = load_describer(parent, 1, engine, kind)
            of_dense_ms, ms = medians_ms([lambda: beside.describe([picture]),
                                          lambda: network.describe([picture])])
            describe_ratio = ms / of_dense_ms
    return [_control(each, seen, judge, dense, places, model_bytes, describe_ratio, engine)
            for each in dict.fromkeys((precision, Precision.INT8))]


def _control(precision: Precision, seen: Sequence[Seen], judge: Judge, dense: Point, places: int,
             model_bytes: int, describe_ratio: float, engine: str) -> Control:
    kept = [Seen(np.asarray(stored(one.places, precision)[:]), one.queries) for one in seen]
    speed = dense.speed
    if speed is not None:
        speed = _speed(speed, places, dense.dim, precision, describe_ratio, engine)
    label = 'int8 network' + ('' if precision is Precision.FLOAT32 else f', {precision.value} map')
    return Control(label, INT8_NETWORK, dense.dim, 8.0 * precision.bytes_each, dense.parameters,
                   model_bytes, descriptor_bytes(places, dense.dim, precision),
                   tuple(replace(each, on_parents_map_at_1=None)
                         for each in judge.recalled(kept)), speed)


def _speed(of_dense: Speed, places: int, dim: int, precision: Precision, describe_ratio: float,
           engine: str) -> Speed:
    exact_ms, ms = medians_ms([search_among(places, dim), search_among(places, dim, precision)])
    return replace(of_dense, engine=f'{engine} int8',
                   describe_ms=of_dense.parent_describe_ms * describe_ratio,
                   match_ms=of_dense.parent_match_ms * ms / exact_ms)


def _described(describer: Describer, images: Sequence[Image]) -> Descriptors:
    return np.concatenate([describer.describe(list(images[start:start + _BATCH]))
                           for start in range(0, len(images), _BATCH)])
