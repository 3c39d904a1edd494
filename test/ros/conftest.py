# SPDX-License-Identifier: Apache-2.0
"""Real nodes in processes of their own, each in a ROS domain of its own."""

from importlib.util import module_from_spec, spec_from_file_location
import os
from pathlib import Path
import sys

import pytest


@pytest.fixture(scope='session')
def stage():
    """The module beside this one, which needs ROS."""
    pytest.importorskip('rclpy', reason='rclpy is not installed')
    pytest.importorskip('onnx', reason='onnx is not installed')
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    spec = spec_from_file_location('stage', Path(__file__).with_name('stage.py'))
    module = sys.modules['stage'] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='session')
def model(stage, tmp_path_factory):
    """The folder of a tiny model."""
    folder = tmp_path_factory.mktemp('models') / 'tiny'
    stage.write_tiny_model(folder)
    return folder


@pytest.fixture(scope='session')
def describer(model):
    from vpr_ros.nets.model_folder import load_describer
    return load_describer(model, threads=1)


@pytest.fixture(scope='session')
def depot(stage, describer, tmp_path_factory):
    """The folder of the map of the corridor."""
    folder = tmp_path_factory.mktemp('maps') / 'depot.map'
    stage.place_map(describer).save(folder)
    return folder


@pytest.fixture(scope='module')
def start(stage, model, tmp_path_factory):
    """Start nodes, `start(parameters, ...) -> (Process, Robot)`; they end with the module.

    The robot is None when the node has ended at once. It comes second, since DDS is at its
    quickest when both ends do not appear in the same moment.
    """
    running = []

    def begin(parameters, arguments=(), namespace=''):
        domain = 1 + next(stage.domains) % 100
        log = tmp_path_factory.mktemp('log') / 'relocalizer.log'
        given = {'model': model, 'threads': 1, **parameters}
        process = stage.Process(domain, log, given, arguments, namespace)
        running.append(process)
        if given.get('autostart') != 'false' and not process.came_up():
            return process, None
        robot = stage.Robot(domain, namespace)
        running.append(robot)
        return process, robot

    yield begin
    for one in reversed(running):
        one.close()
