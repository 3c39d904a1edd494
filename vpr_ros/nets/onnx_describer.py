# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime describes images; the one file that imports it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
import onnxruntime

from vpr_ros.core.card import ModelCard
from vpr_ros.errors import ModelError
from vpr_ros.nets.engine_describer import EngineDescriber, refuse_size

_CPU, _CUDA, _TENSORRT = (f'{name}ExecutionProvider' for name in ('CPU', 'CUDA', 'Tensorrt'))


class OnnxDescriber(EngineDescriber):
    """A network as an ONNX graph; (B, 3, H, W) float32 in, (B, dim) float32 out.

    On the CPU; float graphs on CUDA where this onnxruntime has it; fp16 is TensorRT's.
    """

    def __init__(self, graph: Path, card: ModelCard, threads: int = 0,
                 precision: str = 'fp32') -> None:
        """Load the graph; `threads` 0 leaves their number to the engine.

        Raises ModelError when it cannot be loaded, or does not do what the card says.
        """
        super().__init__(card, 'onnxruntime', precision, threads)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Idle threads that spin take the cores from the rest of the robot.
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(graph), options, providers=providers(precision))
        except ModelError:
            raise
        except Exception as error:  # its exceptions share no base class of their own
            raise ModelError(f'{graph} cannot be loaded ({error}); export it again') from error
        self._graph = graph
        self._input = self._session.get_inputs()[0].name
        refuse_size(self._session.get_inputs()[0].shape, graph, card)
        self.describe_nothing()

    def _run(self, batch: NDArray[np.float32]) -> Any:
        try:
            (out,) = self._session.run(None, {self._input: batch})
        except Exception as error:
            raise ModelError(f'{self._graph} failed to run ({error}); '
                             'export it again') from error
        return out


def providers(precision: str) -> list[Any]:
    """Return where a graph of that precision runs, best first; raises ModelError.

    The ways through CUDA and TensorRT were written from their documentation and not run.
    """
    present = onnxruntime.get_available_providers()
    if precision == 'fp16':
        if _TENSORRT not in present:
            raise ModelError('onnxruntime runs fp16 by TensorRT only, which this one lacks; '
                             'install onnxruntime-gpu and TensorRT, or choose precision fp32')
        return [(_TENSORRT, {'trt_fp16_enable': True}), _CUDA, _CPU]
    if precision == 'fp32' and _CUDA in present:
        return [_CUDA, _CPU]
    return [_CPU]


def run_graph(graph: Path, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a graph makes of a batch, (B, 3, H, W); raises ModelError when it cannot run."""
    try:
        session = onnxruntime.InferenceSession(str(graph), providers=[_CPU])
        (out,) = session.run(None, {session.get_inputs()[0].name: batch})
    except Exception as error:  # its exceptions share no base class of their own
        raise ModelError(f'{graph} failed to run ({error}); export it again') from error
    return np.asarray(out, np.float32)
