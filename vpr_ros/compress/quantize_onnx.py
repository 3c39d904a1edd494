# SPDX-License-Identifier: Apache-2.0
"""Int8 by ONNX Runtime: a graph of its own with scales measured on images (QDQ)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpr_ros.compress.float_nodes import float_nodes
from vpr_ros.errors import ModelError
from vpr_ros.nets.machine import this_machine

Batch = NDArray[np.float32]  # (1, 3, height, width), preprocessed

# Products and sums, and what lets int8 pass from one to the next.
_INT8 = ('Conv', 'Gemm', 'MatMul', 'Add', 'Relu', 'Clip', 'MaxPool', 'AveragePool',
         'GlobalAveragePool', 'Concat')


def quantize_onnx(graph: Path, out: Path, batches: Iterable[Batch]) -> str:
    """Write the int8 graph `out` of a float one; return how it was made.

    Weights are int8, a scale a channel; activations uint8 between the least and the largest value
    seen on `batches`.  `float_nodes` stay in float.  Raises ModelError when it cannot be made.
    """
    refuse_without_onnx()
    import onnx
    from onnxruntime import quantization as q
    from onnxruntime.quantization.shape_inference import quant_pre_process
    narrow = not this_machine().int8
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # it gives advice through the root logger
    try:
        with TemporaryDirectory() as scratch:
            ready = Path(scratch) / 'ready.onnx'
            # its symbolic shapes fail on graphs of the dynamo exporter
            quant_pre_process(str(graph), str(ready), skip_symbolic_shape=True)
            kept = float_nodes(onnx.load(ready))
            q.quantize_static(
                str(ready), str(out), _Reader(batches, _input_name(ready)),
                quant_format=q.QuantFormat.QDQ, op_types_to_quantize=list(_INT8),
                per_channel=True, reduce_range=narrow, activation_type=q.QuantType.QUInt8,
                weight_type=q.QuantType.QInt8, nodes_to_exclude=list(kept),
                calibrate_method=q.CalibrationMethod.MinMax)
    except Exception as error:  # it raises whatever it likes
        raise ModelError(f'{graph} cannot be quantized for ONNX Runtime ({error}); export it '
                         'again, or choose --format openvino') from error
    finally:
        logging.root.setLevel(level)
    bits = 'int7 (this processor lacks VNNI)' if narrow else 'int8'
    return (f'onnxruntime quantize_static, QDQ, uint8 activations (minimum to maximum), {bits} '
            f'weights per channel, {len(kept)} nodes in float')


def refuse_without_onnx() -> None:
    """Raise ModelError where graphs cannot be changed; asked before long work."""
    if missing := [name for name in ('onnx', 'onnxruntime') if find_spec(name) is None]:
        raise ModelError(f'{" and ".join(missing)} is not installed; pip install '
                         f'{" ".join(missing)}, or quantize on another machine and copy the '
                         'folder')


def _input_name(graph: Path) -> str:
    import onnx
    return str(onnx.load(graph, load_external_data=False).graph.input[0].name)


class _Reader:
    """Gives the batches one by one, None at the end, as ONNX Runtime's calibrators ask."""

    def __init__(self, batches: Iterable[Batch], name: str) -> None:
        self._batches: Iterator[Batch] = iter(batches)
        self._name = name

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}
