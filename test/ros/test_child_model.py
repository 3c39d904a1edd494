# SPDX-License-Identifier: Apache-2.0
"""A node whose network was taught to ask the maps of another, and maps in fewer bits."""

from dataclasses import replace
import shutil

import numpy as np
import pytest

from vpr_ros.core.card import weights_digest
from vpr_ros.core.place_index import PlaceIndex
from vpr_ros.core.precision import Precision
from vpr_ros.nets.model_folder import CARD, seal_model, WEIGHTS

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('onnx', reason='onnx is not installed')


@pytest.fixture(scope='module')
def child(model, describer, tmp_path_factory):
    """`child(digests) -> folder` of a model with that list of whose maps it may ask."""
    from safetensors.numpy import load_file, save

    def write(digests):
        folder = tmp_path_factory.mktemp('models') / 'child'
        shutil.copytree(model, folder)
        weights = save(load_file(model / WEIGHTS), {'of': ' '.join(digests)})
        (folder / WEIGHTS).write_bytes(weights)
        card = replace(describer.card, name='child', digest=weights_digest(weights),
                       queries_maps_of=digests)
        (folder / CARD).write_text(card.to_json())
        seal_model(folder, card)
        return folder
    return write


def test_a_child_that_was_not_taught_so_is_refused(start, child, depot):
    process, _ = start({'map': depot, 'model': child(('12' * 32,))})
    assert process.wait() == 2
    assert 'built by model tiny' in process.log
    assert 'which may also ask maps of 121212121212: use that model' in process.log
    assert len(process.log.splitlines()) == 1


def test_a_child_asks_the_map_of_its_parent_and_no_strange_one(start, stage, child, describer,
                                                              depot, tmp_path):
    _, robot = start({'map': depot, 'model': child((describer.card.digest,))})
    robot.ready()
    assert stage.values(robot.drive(range(5, 15))[-1])['reason'] == 'accepted'
    stage.place_map(stage.another(describer)).save(tmp_path / 'alien.map')
    assert robot.load_map(tmp_path / 'alien.map') == 3
    small = stage.place_map(describer).at(Precision.INT8)
    small.save(tmp_path / 'small.map')
    assert robot.load_map(tmp_path / 'small.map') == 0
    assert stage.values(robot.drive(range(15, 26))[-1])['reason'] == 'accepted'
    # What the node finds in int8 is what is found in this process.
    found = robot.newest('place_matches')
    best = PlaceIndex(small.descriptors).search(describer.describe([stage.view(25)])[0], 5)
    rows = np.frombuffer(bytes(found.data), np.uint8).reshape(-1, found.point_step)
    names = {field.name: field.offset for field in found.fields}
    similarity = rows[:5, names['similarity']:names['similarity'] + 4].copy().view(np.float32)
    assert similarity.ravel().tolist() == pytest.approx([m.similarity for m in best], abs=1e-5)
