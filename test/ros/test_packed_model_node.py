# SPDX-License-Identifier: Apache-2.0
"""A real node whose parameter model names a packed file."""

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('onnx', reason='onnx is not installed')

from vpr_ros.nets.pack import pack


@pytest.fixture(scope='module')
def packed(model, tmp_path_factory):
    file = tmp_path_factory.mktemp('packed') / 'tiny.vprz'
    pack(model, file)
    return file


def test_the_node_runs_a_packed_model(start, stage, packed, depot):
    process, robot = start({'map': depot, 'model': packed, 'engine': 'onnxruntime'})
    process.said('network: onnxruntime fp32, as asked')
    robot.ready()
    assert stage.values(robot.drive(range(5, 15))[-1])['reason'] == 'accepted'


def test_a_damaged_packed_model_ends_the_node_with_a_line(start, packed, depot, tmp_path):
    content = bytearray(packed.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / 'tiny.vprz').write_bytes(content)
    process, _ = start({'map': depot, 'model': tmp_path / 'tiny.vprz'})
    assert process.wait() == 2
    assert 'tiny.vprz is damaged (its digest does not agree); copy it again' in process.log
    assert len(process.log.splitlines()) == 1
