# SPDX-License-Identifier: Apache-2.0
"""An int8 graph (QDQ) that torch runs as an engine does, and that can learn.

The graph itself is run, node by node, so numbers are rounded just where the engine rounds them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import math
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
import torch
from torch import nn, Tensor

from vpr_ros.compress.fake_quant import as_activation, as_weight, weight_scale
from vpr_ros.compress.graph_owners import Owners
from vpr_ros.compress.graph_steps import Attributes, Operator, operator
from vpr_ros.errors import ModelError
from vpr_ros.nets.network import Network

_INTEGERS = '_quantized'   # stands behind the name of a weight, in ONNX Runtime's graphs
_LOW, _HIGH = {np.uint8: 0, np.int8: -128}, {np.uint8: 255, np.int8: 127}


@dataclass(frozen=True)
class _Node:
    """What is computed of which values."""

    output: str
    inputs: tuple[str, ...]
    does: Operator
    said: Attributes


@dataclass(frozen=True)
class _Point:
    """Where a value is rounded to integers, by scale number `at`."""

    output: str
    value: str
    at: int
    zero: int
    low: int
    high: int


@dataclass(frozen=True)
class _Weight:
    """A value that is number `at` of what learns, times `unit`, in integers or not.

    `array` and `scale` name what the graph holds of it; '' as scale: floats. Its largest is `most`
    along `axis`. A bias has the scale of its image, `image`, times that of its weight, `by`.
    """

    at: int
    unit: float
    flipped: bool
    array: str
    scale: str = ''
    axis: int | None = None
    most: int = 0
    image: str = ''
    by: str = ''


class QdqGraph(nn.Module):
    """(B, 3, H, W) preprocessed images -> (B, dim), rounded as the int8 graph rounds.

    What learns are the float weights behind the integers, each divided by a power of two near its
    spread so that one learning rate suits all, and the logarithms of the scales of activations.
    Zero points stay. Weights get the scale of their largest at every step.
    """

    def __init__(self, model: Any, network: Network) -> None:
        """Take an int8 model (ModelProto), and the network with folded norms that it was made of.

        Raises ModelError for a graph that is not of this network, or in another form.
        """
        super().__init__()
        from onnx import numpy_helper
        self._model: bytes = model.SerializeToString()
        self._input, self._output = model.graph.input[0].name, model.graph.output[0].name
        self._arrays = {each.name: np.array(numpy_helper.to_array(each))
                        for each in model.graph.initializer}
        self._names: list[str] = []              # of what learns, in the network; '': nowhere
        self._scales: dict[str, int] = {}
        self._weights: dict[str, _Weight] = {}   # by the name that nodes read
        self._steps: list[_Node | _Point] = []
        self.learnt = nn.ParameterList()
        self._same: dict[str, str] = {}
        self._read(model.graph, Owners(network))
        self.register_buffer('measured', torch.tensor(
            [float(self._arrays[name]) for name in self._scales]))
        self.log_scales = nn.Parameter(torch.zeros(len(self._scales)))   # beside those measured
        self._constants: dict[str, Tensor] = {}   # shapes: these stay on the processor
        self._buffer: dict[str, str] = {}
        for number, (name, array) in enumerate(self._arrays.items()):
            if array.dtype == np.int64:
                self._constants[name] = torch.from_numpy(array)
            elif array.dtype == np.float32 and name not in self._weights:
                self._buffer[name] = f'constant_{number}'
                self.register_buffer(self._buffer[name], torch.from_numpy(array), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, dim)."""
        scales = self._by()
        values: dict[str, Any] = {self._input: x, '': None, **self._constants}
        values |= {name: getattr(self, buffer) for name, buffer in self._buffer.items()}
        for name, _, value, scale in self._valued(scales):
            values[name] = value if scale is None else as_weight(value, scale)
        for step in self._steps:
            if isinstance(step, _Point):
                values[step.output] = as_activation(values[step.value], scales[step.at], step.zero,
                                                    step.low, step.high)
            else:
                values[step.output] = step.does([values[name] for name in step.inputs], step.said)
        descriptors: Tensor = values[self._output]
        return descriptors

    def exported(self) -> bytes:
        """Return the int8 graph with what was learnt, a file of the form that it came in."""
        from onnx import ModelProto, numpy_helper
        found: dict[str, NDArray[Any]] = {}
        with torch.no_grad():
            scales = self._by()
            found |= {name: scales[at].cpu().numpy() for name, at in self._scales.items()}
            for _, weight, value, scale in self._valued(scales):
                if scale is not None:
                    limits = np.iinfo(self._arrays[weight.array].dtype)
                    value = torch.round(value / scale).clamp(limits.min, limits.max)
                    found[weight.scale] = scale.cpu().numpy()
                found[weight.array] = value.cpu().numpy()
        model = ModelProto.FromString(self._model)
        for each in model.graph.initializer:
            if each.name in found:
                old = self._arrays[each.name]
                each.CopyFrom(numpy_helper.from_array(
                    found[each.name].astype(old.dtype).reshape(old.shape), each.name))
        return bytes(model.SerializeToString())

    def into(self, network: Network) -> None:
        """Give a network, of the same layers, the float weights that were learnt."""
        with torch.no_grad():
            for weight in self._weights.values():
                if name := self._names[weight.at]:
                    network.get_parameter(name).copy_(self.learnt[weight.at] * weight.unit)

    @property
    def learns(self) -> frozenset[str]:
        """Return the names, in the network, of the weights that learn."""
        return frozenset(self._names) - {''}

    def _by(self) -> Tensor:
        """Return the scales of activations."""
        return cast(Tensor, self.measured) * self.log_scales.exp()

    def _valued(self, scales: Tensor) -> Iterator[tuple[str, _Weight, Tensor, Tensor | None]]:
        """Yield each weight, its name, its float values, and by which scale these are rounded."""
        of_weights: dict[str, Tensor] = {}
        for name, weight in self._weights.items():
            value = self.learnt[weight.at] * weight.unit
            value = value.T if weight.flipped else value
            scale = None
            if weight.image:
                image = scales[self._scales[weight.image]].detach()
                scale = image * of_weights[weight.by].flatten()
            elif weight.scale:
                scale = of_weights[weight.scale] = weight_scale(value, weight.axis, weight.most)
            yield name, weight, value, scale

    def _read(self, graph: Any, owners: Owners) -> None:
        maker: dict[str, Any] = {name: node for node in graph.node for name in node.output}
        biases: dict[str, tuple[str, str]] = {}   # by their integers: scales of image and weight
        for node in graph.node:
            parts: list[Any] = [maker.get(name) for name in node.input]
            if node.op_type in ('Conv', 'Gemm') and len(parts) > 2 and parts[2] is not None:
                biases[parts[2].input[0]] = parts[0].input[1], parts[1].input[1]
        held = [node for node in graph.node if node.op_type == 'DequantizeLinear'
                and node.input[0] in self._arrays]
        for node in sorted(held, key=lambda node: node.input[0] in biases):   # weights come first
            self._add_integers(node, owners, biases.get(node.input[0]))
        for name, array in self._arrays.items():
            if array.dtype == np.float32 and (owner := owners.of(name, array)):
                self._add(name, owner, owners.value(owner[0]), array=name)
        if not self.learns:
            raise ModelError('the int8 graph has no weight of the network; export it again')
        for node in graph.node:
            if node.op_type == 'QuantizeLinear':
                self._add_point(node)
            elif node.op_type != 'DequantizeLinear':
                self._steps.append(_Node(
                    node.output[0], tuple(self._same.get(name, name) for name in node.input),
                    operator(node.op_type), _said(node)))
            elif node.input[0] not in self._arrays:
                if maker[node.input[0]].input[1:] != node.input[1:]:
                    raise ModelError(f'{node.name} reads integers by another scale than they were '
                                     'made by; quantize the model again')
                self._same[node.output[0]] = node.input[0]

    def _add_point(self, node: Any) -> None:
        value, scale, zero = node.input
        at = self._scales.setdefault(scale, len(self._scales))
        kind = self._arrays[zero].dtype.type
        self._steps.append(_Point(node.output[0], self._same.get(value, value), at,
                                  int(self._arrays[zero]), _LOW[kind], _HIGH[kind]))

    def _add_integers(self, node: Any, owners: Owners, bias: tuple[str, str] | None) -> None:
        """Take up a weight or bias that the graph holds in integers."""
        array, scale, zero = node.input
        integers, axis = self._arrays[array], _said(node).get('axis', 1)
        by = self._arrays[scale]
        if by.ndim and not bias:
            by = by.reshape([-1 if i == axis else 1 for i in range(integers.ndim)])
        floats = (integers.astype(np.float32) - self._arrays[zero].astype(np.float32)
                  .reshape(by.shape)) * by
        if self._arrays[zero].any():   # of no product: an even range about zero is all that learns
            self._arrays[node.output[0]] = floats
            return
        owner = owners.of(array.removesuffix(_INTEGERS), floats, 0.51 * by + 1e-12)
        floats = floats if owner is None else owners.value(owner[0])
        image, weight = bias or ('', '')
        self._add(node.output[0], owner, floats, array=array, scale=scale,
                  axis=axis if self._arrays[scale].size > 1 else None,
                  most=int(np.abs(integers.astype(np.int64)).max()) or 127, image=image, by=weight)

    def _add(self, name: str, owner: tuple[str, bool] | None, floats: NDArray[np.float32],
             **said: Any) -> None:
        """Let a weight learn that is the network's; others are held as they are."""
        known, flipped = owner or ('', False)
        spread = float(np.sqrt(np.square(floats, dtype=np.float64).mean()))
        unit = 2.0 ** math.floor(math.log2(spread)) if spread > 0.0 else 1.0
        if known not in self.learns:
            self._names.append(known)
            self.learnt.append(nn.Parameter(torch.tensor(floats / np.float32(unit)),
                                            requires_grad=bool(known)))
            at = len(self._names) - 1
        else:
            at = self._names.index(known)
        self._weights[name] = _Weight(at, unit, flipped, **said)


def _said(node: Any) -> dict[str, Any]:
    """Return the attributes of a node by name."""
    from onnx import helper
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}
