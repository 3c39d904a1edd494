# SPDX-License-Identifier: Apache-2.0
"""How the node starts, fails to start, and ends."""

import signal

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')


@pytest.fixture(scope='module')
def maps(depot, describer, stage, tmp_path_factory):
    """Folders of maps, by what is wrong with them."""
    folder = tmp_path_factory.mktemp('bad_maps')
    stage.place_map(describer).save(folder / 'damaged.map')
    with (folder / 'damaged.map' / 'places.npz').open('r+b') as file:
        file.truncate(1000)
    stage.place_map(stage.another(describer)).save(folder / 'alien.map')
    stage.place_map(describer, ('my camera', 'rear')).save(folder / 'odd.map')
    bad = {name: folder / f'{name}.map' for name in ('absent', 'damaged', 'alien', 'odd')}
    return {'good': depot, **bad}


def cv_bridge_is_here():
    try:
        import cv_bridge  # noqa: F401
    except Exception:
        return False
    return True


@pytest.mark.parametrize(('which', 'parameters', 'message'), [
    (None, {}, 'no map was given'),
    ('absent', {}, 'build one with: vpr map build'),
    ('damaged', {}, 'the map is damaged; restore it from a copy or build the map again'),
    ('alien', {}, 'was built by model other'),
    ('good', {'model': '/nowhere'}, '/nowhere'),
    ('good', {'acept_probability': 0.9},
     'there is no parameter acept_probability; is accept_probability meant?'),
    ('good', {'accept_probability': 'high'},
     'parameter accept_probability is of the wrong type; it takes a number with a decimal point'),
    ('good', {'image_reliability': 'good'}, 'choose one of best_effort, reliable'),
    ('good', {'accept_probability': 1.2}, 'accept_probability must be at least 0 and below 1'),
    ('good', {'verify': 'always'}, 'the map holds no local features'),
    ('good', {'verify': 'sometimes'}, 'choose one of off, ambiguous, always'),
    ('good', {'cameras': '[rear]'}, 'camera rear is not among those of the map (camera)'),
    ('odd', {}, "cameras: 'my camera' cannot be part of a topic"),
    ('good', {'cameras': '[a-b]'}, "cameras: 'a-b' cannot be part of a topic"),
    ('good', {'base_from_camera.camera': '[1.0, 2.0]'}, 'base_from_camera.camera is no mount'),
    ('good', {'base_from_camera.front': '[0, 0, 0, 0, 0, 0, 1]'},
     'there is no parameter base_from_camera.front'),
    pytest.param('good', {'image_decoder': 'cv_bridge'}, 'set image_decoder to builtin',
                 marks=pytest.mark.skipif(cv_bridge_is_here(), reason='cv_bridge is here')),
])
def test_what_keeps_it_from_starting_is_said_in_one_line(start, maps, which, parameters, message):
    given = {'map': maps[which], **parameters} if which else parameters
    process, _ = start(given)
    assert process.wait() == 2
    assert message in process.log
    assert len(process.log.splitlines()) == 1
    assert 'Traceback' not in process.log


def test_a_parameter_file_that_is_none_is_no_reason_for_a_traceback(start, maps, tmp_path):
    file = tmp_path / 'broken.yaml'
    file.write_text('relocalizer: [')
    process, _ = start({'map': maps['good']}, ['--params-file', str(file)])
    assert process.wait() == 2
    assert 'broken.yaml' in process.log
    assert 'Traceback' not in process.log


def test_a_lifecycle_manager_leads_it_through_all_states(start, maps):
    process, robot = start({'map': maps['damaged'], 'autostart': 'false'})
    assert robot.state() == 'unconfigured'
    assert not robot.transit('configure')
    assert robot.state() == 'unconfigured'
    assert 'the map is damaged' in process.log
    assert robot.set(map=str(maps['good'])) == []
    assert robot.transit('configure')
    assert robot.node.count_subscribers('image') == 0
    assert robot.trigger().message == 'the node is not active; activate it first'
    assert robot.load_map(maps['good']) == 255
    for _ in range(2):
        assert robot.transit('activate')
        robot.ready()
        assert robot.drive(range(5, 15))[-1].level == b'\x00'
        assert robot.transit('deactivate')
        robot.until(lambda: robot.node.count_subscribers('image') == 0, 'silence')
    assert robot.transit('cleanup')
    robot.until(lambda: robot.node.count_publishers('relocalizer/pose') == 0, 'no topics')
    assert robot.transit('configure')
    assert robot.transit('activate')
    robot.ready()
    assert robot.transit('shutdown')
    assert robot.state() == 'finalized'
    assert process.interrupt() == 0, process.log
    assert 'Traceback' not in process.log


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_while_images_come(start, maps, stage, number):
    process, robot = start({'map': maps['good']})
    robot.ready()
    for _ in range(20):
        robot.publisher('image').publish(stage.raw(stage.view(3), robot.tick()))
    assert process.interrupt(number) == 0, process.log
    assert 'Traceback' not in process.log


def test_a_second_signal_does_no_harm(start, maps):
    process, robot = start({'map': maps['good']})
    robot.ready()
    process.send(signal.SIGINT)
    process.send(signal.SIGINT)
    assert process.interrupt() == 0, process.log
    assert 'Traceback' not in process.log


def test_a_namespace_and_simulated_time_do_no_harm(start, maps, stage):
    _, robot = start({'map': maps['good'], 'use_sim_time': 'true'}, namespace='/robot1')
    robot.ready()
    assert robot.drive(range(5, 15))[-1].level == b'\x00'
    assert robot.node.count_publishers('/robot1/relocalizer/pose') == 1
    status = robot.diagnosis('map')
    assert status.hardware_id == '/robot1/relocalizer'
