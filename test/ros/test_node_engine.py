# SPDX-License-Identifier: Apache-2.0
"""What runs the network in a real node, and what is not loaded for it."""

from pathlib import Path

import pytest


@pytest.mark.parametrize(('engine', 'said'), [
    ('onnxruntime', 'network: onnxruntime fp32, as asked'), ('auto', 'network: ')])
def test_the_node_says_what_runs_its_network_and_loads_no_torch(start, depot, engine, said):
    process, _ = start({'map': depot, 'engine': engine})
    process.said(said)
    loaded = Path(f'/proc/{process.pid}/maps').read_text()
    assert 'numpy' in loaded
    assert 'libtorch' not in loaded


def test_an_engine_that_there_is_not_ends_the_node(start, depot):
    process, robot = start({'map': depot, 'engine': 'tflite'})
    assert robot is None
    process.said("engine is 'tflite'; choose one of auto, onnxruntime, openvino, torch")
