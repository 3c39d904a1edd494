# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime describes images; the one file that imports it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
import onnxruntime

from vpr_ros.core.card import ModelCard
from vpr_ros.core.types import Descriptors, Image
from vpr_ros.errors import ModelError
from vpr_ros.nets.checked import checked_descriptors
from vpr_ros.nets.preprocess import preprocess

_BATCH = 16  # images a run: more gain nothing on a CPU and cost memory


class OnnxDescriber:
    """A network as an ONNX graph; (B, 3, H, W) float32 in, (B, dim) float32 out."""

    def __init__(self, graph: Path, card: ModelCard, threads: int = 0) -> None:
        """Load the graph; `threads` 0 leaves their number to the engine.

        Raises ModelError when it cannot be loaded, or does not do what the card says.
        """
        if threads < 0:
            raise ModelError(f'threads must be 0 (the engine chooses) or more, not {threads}')
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Idle threads that spin take the cores from the rest of the robot.
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(graph), options, providers=['CPUExecutionProvider'])
        except Exception as error:  # its exceptions share no base class of their own
            raise ModelError(f'{graph} cannot be loaded ({error}); export it again') from error
        self._graph, self._card = graph, card
        pre = card.preprocessing
        shape = self._session.get_inputs()[0].shape[1:]
        if shape != [3, pre.height_px, pre.width_px]:
            raise ModelError(f'{graph} takes {shape}, its card says {pre.height_px}x'
                             f'{pre.width_px}; export it again')
        # A first image: a broken graph shows here, and the engine lays out its memory.
        self.describe([np.zeros((pre.height_px, pre.width_px, 3), np.uint8)])

    @property
    def card(self) -> ModelCard:
        """The card of the network that this runs."""
        return self._card

    def describe(self, images: Sequence[Image]) -> Descriptors:
        """Return one unit descriptor for each image, (B, dim).

        Raises FrameError for an image that is not (H, W, 3) uint8, ModelError when the graph
        fails or its output is not finite and of unit length.
        """
        name = self._session.get_inputs()[0].name
        rows = [np.empty((0, self._card.dim), np.float32)]
        for start in range(0, len(images), _BATCH):
            batch = preprocess(images[start:start + _BATCH], self._card.preprocessing)
            try:
                (out,) = self._session.run(None, {name: batch})
            except Exception as error:
                raise ModelError(f'{self._graph} failed to run ({error}); '
                                 'export it again') from error
            rows.append(checked_descriptors(out, len(batch), self._card))
        return np.concatenate(rows)


def run_graph(graph: Path, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a graph makes of a batch, (B, 3, H, W); raises ModelError when it cannot run."""
    try:
        session = onnxruntime.InferenceSession(str(graph), providers=['CPUExecutionProvider'])
        (out,) = session.run(None, {session.get_inputs()[0].name: batch})
    except Exception as error:  # its exceptions share no base class of their own
        raise ModelError(f'{graph} failed to run ({error}); export it again') from error
    return np.asarray(out, np.float32)
