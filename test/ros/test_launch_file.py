# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
import runpy

import pytest

pytest.importorskip('launch_ros', reason='launch_ros is not installed; it comes with ROS 2 by apt')

from ament_index_python.packages import PackageNotFoundError
from launch import LaunchContext
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch_ros.actions import Node

FILE = Path(__file__).parents[2] / 'launch' / 'relocalize.launch.py'


@pytest.fixture
def launch_file(monkeypatch):
    for name in ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE'):
        monkeypatch.delenv(name, raising=False)
    try:
        return runpy.run_path(str(FILE))
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


def test_the_arguments_are_those_of_the_readme(launch_file):
    arguments = [entity.name for entity in launch_file['generate_launch_description']().entities
                 if isinstance(entity, DeclareLaunchArgument)]
    assert arguments == ['map', 'model', 'image', 'odom', 'remap', 'params', 'rviz',
                         'use_sim_time', 'autostart', 'namespace']


def test_further_topics_are_remapped(launch_file):
    given = 'amcl_pose=/localization_pose, ~/pose=/global_pose'
    assert launch_file['pairs'](given) == [('amcl_pose', '/localization_pose'),
                                           ('~/pose', '/global_pose')]
    assert launch_file['pairs']('') == []
    with pytest.raises(ValueError, match="'amcl_pose' is no pair such as name=topic"):
        launch_file['pairs']('amcl_pose')
    node = next(action for action in started(launch_file, remap=given)
                if isinstance(action, Node))
    assert len(node._Node__remappings) == 4


@pytest.mark.parametrize(('image', 'cameras', 'remaps'), [
    ('/front', [], [('image', '/front')]),
    ('front=/front', ['front'], [('image', '/front')]),
    ('front=/f, rear=/r', ['front', 'rear'], [('front/image', '/f'), ('rear/image', '/r')]),
])
def test_cameras_may_be_named(launch_file, image, cameras, remaps):
    assert launch_file['inputs'](image) == (cameras, remaps)


def test_the_profile_is_set_unless_the_user_set_one(launch_file, monkeypatch):
    def profiles():
        return [action for action in started(launch_file)
                if isinstance(action, SetEnvironmentVariable)
                and action.name[0].text.endswith('PROFILES_FILE')]

    assert len(profiles()) == 1
    monkeypatch.setenv('FASTRTPS_DEFAULT_PROFILES_FILE', '/mine.xml')
    assert profiles() == []


def test_the_node_is_started_and_rviz_only_when_asked_for(launch_file):
    nodes = [action for action in started(launch_file) if isinstance(action, Node)]
    assert [node.node_package for node in nodes] == ['vpr_ros', 'rviz2']
    assert [node.condition is None for node in nodes] == [True, False]
