# SPDX-License-Identifier: Apache-2.0
"""The operators that exported graphs are made of, in torch, so that a graph can learn.

As https://onnx.ai/onnx/operators says them; shapes are int64 tensors on the processor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
import torch.nn.functional as F

from vpr_ros.errors import ModelError

Inputs = Sequence[Any]            # tensors; None where an optional one is left out
Attributes = Mapping[str, Any]
Operator = Callable[[Inputs, Attributes], Tensor]


def operator(kind: str) -> Operator:
    """Return what a node does; raises ModelError for a kind that no exported network has."""
    if kind not in _OPERATORS:
        raise ModelError(f'a graph with {kind} cannot learn in int8; quantize it without --learn')
    return _OPERATORS[kind]


def _conv(x: Inputs, said: Attributes) -> Tensor:
    image, padding = _padded(x[0], said.get('pads', (0, 0, 0, 0)), 0.0)
    return F.conv2d(image, x[1], x[2] if len(x) > 2 else None, said.get('strides', (1, 1)),
                    padding, said.get('dilations', (1, 1)), said.get('group', 1))


def _max_pool(x: Inputs, said: Attributes) -> Tensor:
    image, padding = _padded(x[0], said.get('pads', (0, 0, 0, 0)), -torch.inf)
    return F.max_pool2d(image, said['kernel_shape'], said.get('strides', (1, 1)), padding,
                        said.get('dilations', (1, 1)), bool(said.get('ceil_mode', 0)))


def _padded(image: Tensor, pads: Sequence[int], by: float) -> tuple[Tensor, tuple[int, int]]:
    """Return an image and what is still to be padded on either side: (rows, columns)."""
    top, left, bottom, right = pads
    if (top, left) == (bottom, right):
        return image, (top, left)
    return F.pad(image, (left, right, top, bottom), value=by), (0, 0)


def _gemm(x: Inputs, said: Attributes) -> Tensor:
    a = x[0].T if said.get('transA', 0) else x[0]
    b = x[1].T if said.get('transB', 0) else x[1]
    product: Tensor = said.get('alpha', 1.0) * (a @ b)
    return product + said.get('beta', 1.0) * x[2] if len(x) > 2 else product


def _clip(x: Inputs, said: Attributes) -> Tensor:
    image: Tensor = x[0]
    low, high = (*x[1:], None, None)[:2]
    return image if low is None and high is None else torch.clamp(image, low, high)


def _reduced(how: Callable[[Tensor, list[int], bool], Tensor]) -> Operator:
    def reduce(x: Inputs, said: Attributes) -> Tensor:
        axes = x[1].tolist() if len(x) > 1 and x[1] is not None else list(said.get('axes', ()))
        return how(x[0], axes or list(range(x[0].ndim)), bool(said.get('keepdims', 1)))
    return reduce


def _reshape(x: Inputs, said: Attributes) -> Tensor:
    image: Tensor = x[0]
    sizes = x[1].tolist()
    if not said.get('allowzero', 0):   # a 0 stands for the size that is there
        sizes = [image.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
    return image.reshape(sizes)


def _expand(x: Inputs, said: Attributes) -> Tensor:
    image: Tensor = x[0]
    shape = torch.broadcast_shapes(  # type: ignore[no-untyped-call]
        image.shape, tuple(x[1].tolist()))
    return image.expand(shape)


def _shape(x: Inputs, said: Attributes) -> Tensor:
    return torch.tensor(x[0].shape[said.get('start', 0):said.get('end')], dtype=torch.int64)


def _layer_norm(x: Inputs, said: Attributes) -> Tensor:
    axis = said.get('axis', -1)
    return F.layer_norm(x[0], x[0].shape[axis:], x[1], x[2] if len(x) > 2 else None,
                        said.get('epsilon', 1e-5))


_OPERATORS: Mapping[str, Operator] = {
    'Conv': _conv, 'MaxPool': _max_pool, 'Gemm': _gemm, 'Clip': _clip, 'Reshape': _reshape,
    'Expand': _expand, 'Shape': _shape, 'LayerNormalization': _layer_norm,
    'MatMul': lambda x, said: x[0] @ x[1],
    'Add': lambda x, said: x[0] + x[1],
    'Sub': lambda x, said: x[0] - x[1],
    'Mul': lambda x, said: x[0] * x[1],
    'Div': lambda x, said: x[0] / x[1],
    'Pow': lambda x, said: x[0] ** x[1],
    'Relu': lambda x, said: F.relu(x[0]),
    'Sigmoid': lambda x, said: torch.sigmoid(x[0]),
    'HardSigmoid': lambda x, said: torch.clamp(
        said.get('alpha', 0.2) * x[0] + said.get('beta', 0.5), 0.0, 1.0),
    'HardSwish': lambda x, said: F.hardswish(x[0]),
    'Softmax': lambda x, said: F.softmax(x[0], said.get('axis', -1)),
    'Concat': lambda x, said: torch.cat(list(x), said['axis']),
    'Transpose': lambda x, said: x[0].permute(said['perm']),
    'Identity': lambda x, said: x[0],
    'GlobalAveragePool': lambda x, said: x[0].mean((2, 3), keepdim=True),
    'ReduceMean': _reduced(lambda x, axes, keep: x.mean(axes, keep)),
    'ReduceSum': _reduced(lambda x, axes, keep: x.sum(axes, keep)),
    'ReduceL2': _reduced(lambda x, axes, keep: torch.linalg.vector_norm(x, 2, axes, keep)),
}
