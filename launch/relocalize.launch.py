# SPDX-License-Identifier: Apache-2.0
"""
Start the relocalizer.

ros2 launch vpr_ros relocalize.launch.py map:=depot.map image:=/front/image_raw odom:=/odom
"""

import os
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

CONFIG = Path(get_package_share_directory('vpr_ros')) / 'config'
# The name changed with Kilted: older releases know only the old one, newer ones warn of it.
OLD, NEW = 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'
# Reading a map takes a decomposition, whose threads wait for one another where cores are shared.
THREADS = 'OPENBLAS_NUM_THREADS'
PROFILE = OLD if os.environ.get('ROS_DISTRO') in ('humble', 'iron', 'jazzy') else NEW

ARGUMENTS = {
    'map': ('', 'folder of the map; empty: as in params'),
    'model': ('', 'folder or packed file of the model; empty: as in params'),
    'image': ('image', 'topic of the camera; with names: front=/front/image,rear=/rear/image'),
    'odom': ('odom', 'topic of the odometry, where there is any'),
    'remap': ('', 'further topics: amcl_pose=/pose,~/pose=/global_pose (docs/handoff.md)'),
    'params': (str(CONFIG / 'relocalize.yaml'), 'parameter file; the arguments here win over it'),
    'rviz': ('false', 'true: show it in RViz'),
    'use_sim_time': ('', 'true: by /clock, as with ros2 bag play --clock; empty: as in params'),
    'autostart': ('', 'false: a lifecycle manager starts the node; empty: as in params'),
    'namespace': ('', 'namespace of the node'),
}
FLAGS = ('use_sim_time', 'autostart')


def start(context):
    """Return the actions; by now the arguments are known."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    overrides = {name: given[name] for name in ('map', 'model') if given[name]}
    overrides.update({name: given[name] == 'true' for name in FLAGS if given[name]})
    if 'map' in overrides and '://' not in given['map']:
        overrides['map'] = str(Path(given['map']).expanduser().resolve())
    cameras, remaps = inputs(given['image'])
    if cameras:
        overrides['cameras'] = cameras
    actions = [
        # With a namespace and a name the overrides are written under the node's own name, where
        # they beat whatever the file says; without, they would land under /** and lose.
        Node(package='vpr_ros', executable='relocalizer', name='relocalizer',
             namespace=given['namespace'], output='screen',
             parameters=[given['params'], overrides],
             remappings=[*remaps, ('odom', given['odom']), *pairs(given['remap'])]),
        Node(package='rviz2', executable='rviz2', output='log',
             arguments=['-d', str(CONFIG / 'relocalize.rviz')],
             condition=IfCondition(given['rviz'])),
    ]
    if OLD not in os.environ and NEW not in os.environ:
        actions.insert(0, SetEnvironmentVariable(PROFILE, str(CONFIG / 'fastdds.xml')))
    if THREADS not in os.environ:
        actions.insert(0, SetEnvironmentVariable(THREADS, '1'))
    return actions


def inputs(image):
    """Return the cameras' names and the remappings of `topic` or `name=topic,name=topic`."""
    if '=' not in image:
        return [], [('image', image)]
    topics = dict(pairs(image))
    if len(topics) == 1:  # one camera listens to image, whatever its name
        return list(topics), [('image', topic) for topic in topics.values()]
    return list(topics), [(f'{name}/image', topic) for name, topic in topics.items()]


def pairs(text):
    """Return the pairs of `name=topic,name=topic`."""
    given = [pair for pair in text.replace(' ', '').split(',') if pair]
    for pair in given:
        if '=' not in pair:
            raise ValueError(f'{pair!r} is no pair such as name=topic')
    return [tuple(pair.split('=', 1)) for pair in given]


def generate_launch_description():
    """Return what ros2 launch starts."""
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=text,
                                choices=['', 'true', 'false'] if name in FLAGS else None)
          for name, (default, text) in ARGUMENTS.items()),
        OpaqueFunction(function=start),
    ])
