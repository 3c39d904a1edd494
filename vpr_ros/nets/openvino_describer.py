# SPDX-License-Identifier: Apache-2.0
"""OpenVINO describes images; the one file that imports it."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
import openvino

from vpr_ros.core.card import ModelCard
from vpr_ros.errors import ModelError
from vpr_ros.nets.engine_describer import EngineDescriber, refuse_size

_DEVICE = 'CPU'
_HINTS = {'fp32': 'f32', 'bf16': 'bf16', 'fp16': 'f16',
          'int8': 'f32'}  # what is not quantized stays as it was
_NATIVE = {'bf16': 'BF16', 'fp16': 'FP16'}  # under which names the processor's abilities are told


class OpenvinoDescriber(EngineDescriber):
    """A network as an ONNX graph or OpenVINO's own; (B, 3, H, W) float32 in, (B, dim) out."""

    reads_later = True  # once more for its first batch, and mapped in between

    def __init__(self, graph: Path, card: ModelCard, threads: int = 0,
                 precision: str = 'fp32') -> None:
        """Load and compile the graph; `threads` 0 leaves their number to the engine.

        Raises ModelError when it cannot be, when the processor lacks the precision, or when it
        does not do what the card says.
        """
        super().__init__(card, 'openvino', precision, threads)
        if precision in _NATIVE and precision not in float_precisions():
            raise ModelError(f'this processor has no {precision}; choose precision fp32')
        self._graph = graph
        self._core = openvino.Core()
        self._settings: dict[str, Any] = {'PERFORMANCE_HINT': 'LATENCY',
                                          'INFERENCE_PRECISION_HINT': _HINTS[precision]}
        if threads:
            self._settings['INFERENCE_NUM_THREADS'] = threads
        # One image has a network of its own: of a fixed batch it is up to a tenth faster.
        self._requests: dict[bool, Any] = {}
        self._busy = Lock()  # a request serves one caller at a time
        self._requests[True] = self._compiled(one=True)
        self.describe_nothing()

    def _compiled(self, one: bool) -> Any:
        try:
            model = self._core.read_model(str(self._graph))
            partial = model.input(0).partial_shape
            shape = [dim.get_length() if dim.is_static else None for dim in partial]
        except Exception as error:  # its exceptions are plain RuntimeErrors, with a trace inside
            raise ModelError(f'{self._graph} cannot be loaded ({_first_line(error)}); '
                             'export it again') from error
        refuse_size(shape, self._graph, self._card)
        if not _finite(model):
            raise ModelError(f'{self._graph} holds a weight that is not finite; its weights are '
                             'damaged, export it again')
        try:
            if one:
                model.reshape([1, *shape[1:]])
            return self._core.compile_model(model, _DEVICE, self._settings).create_infer_request()
        except Exception as error:
            raise ModelError(f'{self._graph} cannot be compiled ({_first_line(error)}); '
                             'export it again') from error

    def _run(self, batch: NDArray[np.float32]) -> Any:
        one = len(batch) == 1
        with self._busy:
            if one not in self._requests:
                self._requests[one] = self._compiled(one)
            try:
                return self._requests[one].infer([batch], share_inputs=True)[0].copy()
            except Exception as error:
                raise ModelError(f'{self._graph} failed to run ({_first_line(error)}); '
                                 'export it again') from error


def float_precisions() -> tuple[str, ...]:
    """Return the float precisions that this processor computes in, fp32 first."""
    abilities = openvino.Core().get_property(_DEVICE, 'OPTIMIZATION_CAPABILITIES')
    return ('fp32', *(name for name, told in _NATIVE.items() if told in abilities))


def _finite(model: Any) -> bool:
    """Tell whether every weight is finite: a NaN need not show, its ReLU6 makes a number of it."""
    weights = (op.data for op in model.get_ops() if op.get_type_name() == 'Constant')
    return all(bool(np.isfinite(each).all()) for each in weights
               if np.issubdtype(each.dtype, np.floating))


def _first_line(error: Exception) -> str:
    """Return the sentence of an OpenVINO error, which comes last, without its source lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
