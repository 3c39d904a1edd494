# SPDX-License-Identifier: Apache-2.0
"""Which nodes of a network's graph are computed in float when the rest is computed in int8.

Eight bits are evenly spaced: enough for a sum of products, too coarse for what is then raised to a
power, made a distribution of, or divided by its own length.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

# What is not a plain sum or maximum: GeM's power, softmax of NetVLAD and BoQ, normalizations.
SENSITIVE = ('Pow', 'Softmax', 'LayerNormalization', 'ReduceL2', 'ReduceMean', 'ReduceSum', 'Div',
             'Sqrt')
_SHAPING = ('Clip', 'Concat', 'Expand', 'Flatten', 'Identity', 'Mul', 'Reshape', 'Shape',
            'Squeeze', 'Sub', 'Transpose', 'Unsqueeze')
_BIAS = 'Add of a constant'


def float_nodes(model: Any) -> tuple[str, ...]:
    """Return the names of the nodes of an ONNX model (ModelProto) that stay in float.

    The sensitive ones and what prepares them (the clamp before GeM's power, the product whose
    softmax is taken); products of two computed matrices (attention, NetVLAD's sums); averages
    over a grid, whose constant stands first; the last linear and what follows it.
    """
    graph = _Graph(model)
    kept = {node.name for node in graph.nodes if node.op_type in SENSITIVE}
    for node in graph.nodes:
        if node.op_type == 'MatMul' and (graph.is_constant(node.input[0])
                                         or not graph.is_constant(node.input[1])):
            kept.add(node.name)
        elif node.op_type == 'Pow':
            kept |= graph.behind(node.input[:1], ('Clip',))
        elif node.op_type == 'LayerNormalization':
            kept |= graph.behind(node.input[:1], ('Add', _BIAS))
        elif node.op_type == 'Softmax':
            kept |= graph.behind(node.input[:1], (*_SHAPING, 'Div', _BIAS),
                                 ('Conv', 'Gemm', 'MatMul'))
    kept |= graph.behind([each.name for each in model.graph.output],
                         (*_SHAPING, *SENSITIVE, _BIAS), ('Gemm', 'MatMul'))
    return tuple(node.name for node in graph.nodes if node.name in kept)


class _Graph:
    """The nodes of a model, and which of them makes a value."""

    def __init__(self, model: Any) -> None:
        self.nodes = list(model.graph.node)
        self._constants = {each.name for each in model.graph.initializer}
        self._constants |= {name for node in self.nodes if node.op_type == 'Constant'
                            for name in node.output}
        self._maker = {name: node for node in self.nodes for name in node.output}

    def is_constant(self, value: str) -> bool:
        return value in self._constants

    def behind(self, values: Iterable[str], through: Sequence[str],
               up_to: Sequence[str] = ()) -> set[str]:
        """Return the nodes from values back `through` some kinds, with those `up_to` at the end.

        A residual sum belongs to the backbone, the sum with a bias to the product before it.
        """
        found: set[str] = set()
        waiting = list(values)
        while waiting:
            node = self._maker.get(waiting.pop())
            if node is None or node.name in found:
                continue
            kind = _BIAS if node.op_type == 'Add' and any(map(self.is_constant, node.input)
                                                          ) else node.op_type
            if kind in up_to:
                found.add(node.name)
            elif kind in through:
                found.add(node.name)
                waiting.extend(node.input)
        return found
