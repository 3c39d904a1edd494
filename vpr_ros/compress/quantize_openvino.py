# SPDX-License-Identifier: Apache-2.0
"""Int8 for OpenVINO by NNCF: a network of its own with scales measured on images."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpr_ros.compress.float_nodes import float_nodes
from vpr_ros.errors import ModelError

Batch = NDArray[np.float32]  # (1, 3, height, width), preprocessed

# OpenVINO's names of what `float_nodes` calls sensitive.
_SENSITIVE = ['Power', 'SoftMax', 'Softmax', 'MVN', 'NormalizeL2', 'ReduceL2', 'ReduceMean',
              'ReduceSum', 'Divide', 'Sqrt']


def quantize_openvino(graph: Path, out: Path, batches: Sequence[Batch]) -> str:
    """Write the int8 network `out` (.xml, weights beside it) of a float graph; return how.

    Raises ModelError when it cannot be made.
    """
    refuse_without_nncf()
    import onnx
    with redirect_stdout(io.StringIO()):  # it greets
        import nncf
        import openvino
    nncf.set_log_level(40)
    try:
        kept = float_nodes(onnx.load(graph))
        model = openvino.Core().read_model(str(graph))
        scope = nncf.IgnoredScope(names=_named(model, kept), types=_SENSITIVE, validate=False)
        with redirect_stdout(io.StringIO()):  # and draws bars
            small = nncf.quantize(model, nncf.Dataset(batches), subset_size=len(batches),
                                  preset=nncf.QuantizationPreset.MIXED, ignored_scope=scope)
        openvino.save_model(small, str(out), compress_to_fp16=False)
    except Exception as error:  # it raises whatever it likes
        raise ModelError(f'{graph} cannot be quantized for OpenVINO ({error}); export it again, '
                         'or choose --format onnxruntime') from error
    return f'nncf quantize, preset mixed, int8 weights per channel, {len(kept)} nodes in float'


def reread_openvino(graph: Path, out: Path) -> str:
    """Write an int8 graph of ONNX Runtime (QDQ) as OpenVINO's network `out`; return how.

    Raises ModelError when it cannot be read.
    """
    import openvino
    try:
        openvino.save_model(openvino.Core().read_model(str(graph)), str(out),
                            compress_to_fp16=False)
    except Exception as error:  # it raises whatever it likes
        raise ModelError(f'OpenVINO cannot read the int8 graph ({error}); choose --format '
                         'onnxruntime') from error
    return 'the same graph'


def refuse_without_nncf() -> None:
    """Raise ModelError where OpenVINO's networks cannot be quantized; asked before long work."""
    if missing := [name for name in ('nncf', 'onnx', 'openvino') if find_spec(name) is None]:
        raise ModelError(f'{" and ".join(missing)} is not installed; pip install '
                         f'{" ".join(missing)}, or choose --format onnxruntime')


def _named(model: Any, nodes: Sequence[str]) -> list[str]:
    """Return OpenVINO's names of ONNX nodes: the same, or with what was made of them behind."""
    wanted = set(nodes)
    return [name for name in (op.get_friendly_name() for op in model.get_ordered_ops()
                              if op.get_type_name() not in ('Constant', 'Parameter', 'Result'))
            if name.partition('/')[0] in wanted]
