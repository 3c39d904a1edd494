# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
import runpy
from types import SimpleNamespace

import pytest

pytest.importorskip('launch_ros', reason='launch_ros is not installed; it comes with ROS 2 by apt')

from ament_index_python.packages import PackageNotFoundError
from launch import LaunchContext
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch_ros.actions import Node

LAUNCH = Path(__file__).parents[2] / 'launch'


@pytest.fixture
def launch_file():
    try:
        return runpy.run_path(str(LAUNCH / 'replay.launch.py'))
    except PackageNotFoundError:
        pytest.skip('vpr_ros is not installed where ament looks')


def started(launch_file, **given):
    """The actions that the launch file starts with these arguments."""
    context = LaunchContext()
    (opaque,) = (entity for entity in launch_file['generate_launch_description']().entities
                 if isinstance(entity, OpaqueFunction))
    for name, (default, _) in launch_file['ARGUMENTS'].items():
        context.launch_configurations[name] = given.get(name, default)
    return opaque.execute(context)


def words(process):
    return [part[0].text for part in process.cmd]


def played(launch_file, **given):
    """The words of the command that plays."""
    defaults = {name: default for name, (default, _) in launch_file['ARGUMENTS'].items()}
    return words(launch_file['player']({**defaults, **given}))


def test_what_the_node_takes_is_passed_on(launch_file, tmp_path):
    relocalize = runpy.run_path(str(LAUNCH / 'relocalize.launch.py'))
    assert set(launch_file['PASSED_ON']) <= set(launch_file['ARGUMENTS'])
    assert {*launch_file['PASSED_ON'], 'use_sim_time', 'rviz', 'autostart'} == set(
        relocalize['ARGUMENTS'])
    (include,) = (action for action in started(launch_file, bag=str(tmp_path), map='/a.map',
                                               image='/front')
                  if isinstance(action, IncludeLaunchDescription))
    given = dict(include.launch_arguments)
    assert given['map'] == '/a.map'
    assert given['image'] == '/front'
    assert (given['use_sim_time'], given['rviz']) == ('true', 'false')


def test_the_arguments_are_those_of_the_docs(launch_file):
    names = [entity.name for entity in launch_file['generate_launch_description']().entities
             if isinstance(entity, DeclareLaunchArgument)]
    docs = (LAUNCH.parent / 'docs' / 'replay.md').read_text()
    assert [name for name in names if f'`{name}' not in docs] == []


def test_the_bag_is_played_by_its_clock(launch_file, tmp_path):
    assert played(launch_file, bag=str(tmp_path), image='/front/image_raw', odom='/odom',
                  rate='2.0', loop='true', topics='/scan') == [
        'ros2', 'bag', 'play', str(tmp_path), '--clock', '100', '--rate', '2.0', '--loop',
        '--topics', '/front/image_raw', '/front/image_raw/compressed', '/front/camera_info',
        '/odom', '/tf', '/tf_static', '/scan']
    assert played(launch_file, bag=str(tmp_path), topics='all')[-2:] == ['--rate', '1.0']


def test_it_waits_for_the_node(launch_file, tmp_path):
    actions = started(launch_file, bag=str(tmp_path))
    assert isinstance(actions[0], RegisterEventHandler)
    assert not any(isinstance(action, ExecuteProcess) for action in actions)
    once = launch_file['Once']('the player')
    ready = SimpleNamespace(text=b'map 12ab of 40 places in frame map; model')
    assert once(SimpleNamespace(text=b'reading the map')) is None
    assert once(ready) == ['the player']
    assert once(ready) is None


def test_rviz_comes_when_asked_for(launch_file, tmp_path):
    nodes = [[action.node_package for action in started(launch_file, bag=str(tmp_path), rviz=rviz)
              if isinstance(action, Node)] for rviz in ('true', 'false')]
    assert nodes == [['rviz2'], []]


def test_a_camera_has_three_topics(launch_file):
    assert launch_file['around']('/front/image_raw/compressed') == [
        '/front/image_raw', '/front/image_raw/compressed', '/front/camera_info']
    given = {'image': 'front=/f/image, rear=/r/image', 'odom': '/odom', 'topics': ''}
    assert launch_file['only'](given) == [
        '--topics', '/f/image', '/f/image/compressed', '/f/camera_info', '/r/image',
        '/r/image/compressed', '/r/camera_info', '/odom', '/tf', '/tf_static']


def test_a_bag_that_is_missing_is_named(launch_file):
    with pytest.raises(ValueError, match='which recording'):
        started(launch_file)
    with pytest.raises(ValueError, match='/nowhere does not exist'):
        started(launch_file, bag='/nowhere')
