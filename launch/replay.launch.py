# SPDX-License-Identifier: Apache-2.0
"""
Play a bag to the relocalizer, by the time of the bag.

ros2 launch vpr_ros replay.launch.py bag:=run2 map:=depot.map image:=/front/image_raw odom:=/odom
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnProcessIO
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

SHARE = Path(get_package_share_directory('vpr_ros'))
READY = 'places in frame'   # what the node logs when it has read its map
CLOCK_HZ = '100'

ARGUMENTS = {
    'bag': ('', 'the recording: a rosbag2 folder'),
    'map': ('', 'folder of the map; empty: as in params'),
    'model': ('', 'folder or packed file of the model; empty: as in params'),
    'image': ('image', 'topic of the camera; with names: front=/front/image,rear=/rear/image'),
    'odom': ('odom', 'topic of the odometry, where there is any'),
    'topics': ('', 'further topics to play, by commas; all: everything that was recorded'),
    'rate': ('1.0', '1: real time; 2: twice as fast'),
    'loop': ('false', 'true: from the beginning again, for ever'),
    'params': (str(SHARE / 'config' / 'relocalize.yaml'),
               'parameter file; the arguments here win over it'),
    'remap': ('', 'further topics: amcl_pose=/pose,~/pose=/global_pose (docs/handoff.md)'),
    'rviz': ('false', 'true: show it in RViz, and stay when the bag has ended'),
    'namespace': ('', 'namespace of the node'),
}
FLAGS = ('loop', 'rviz')
PASSED_ON = ('map', 'model', 'image', 'odom', 'params', 'remap', 'namespace')


def start(context):
    """Return the actions; by now the arguments are known."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    stays = given['rviz'] == 'true'
    relocalizer = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / 'launch' / 'relocalize.launch.py')),
        launch_arguments={**{name: given[name] for name in PASSED_ON}, 'use_sim_time': 'true',
                          'rviz': 'false', 'autostart': 'true'}.items())
    once = Once(player(given))
    return [
        # First those who listen: what is played before the node hears is lost.
        RegisterEventHandler(OnProcessIO(on_stdout=once, on_stderr=once)),
        relocalizer,
        *([Node(package='rviz2', executable='rviz2', output='log',
                arguments=['-d', str(SHARE / 'config' / 'replay.rviz')],
                parameters=[{'use_sim_time': True}])] if stays else []),
    ]


def player(given):
    """Return what plays the bag; when that has ended all ends, unless somebody is looking."""
    if not given['bag'].strip():
        raise ValueError('which recording? give bag:=FOLDER')
    bag = Path(given['bag']).expanduser().resolve()
    if not bag.exists():
        raise ValueError(f'{bag} does not exist; check bag:=')
    return ExecuteProcess(
        cmd=['ros2', 'bag', 'play', str(bag), '--clock', CLOCK_HZ, '--rate', given['rate'],
             *(['--loop'] if given['loop'] == 'true' else []), *only(given)],
        output='screen',
        on_exit=None if given['rviz'] == 'true' else [Shutdown(reason='the bag has ended')])


class Once:
    """Starts an action when a process says that it is ready, and never again."""

    def __init__(self, action):
        """Keep the action until then."""
        self.action = action

    def __call__(self, event):
        """Return the action, or None."""
        if self.action is None or READY not in event.text.decode(errors='replace'):
            return None
        action, self.action = self.action, None
        return [action]


def only(given):
    """Return which topics are played: not what another relocalizer has once said."""
    further = [name for name in given['topics'].replace(' ', '').split(',') if name]
    if 'all' in further:
        return []
    images = [pair.split('=', 1)[-1] for pair in given['image'].replace(' ', '').split(',')]
    played = [name for image in images for name in around(image)]
    return ['--topics', *dict.fromkeys([*played, given['odom'], '/tf', '/tf_static', *further])]


def around(image):
    """Return the topics of a camera: raw, compressed, and its lens."""
    raw = image[:-len('/compressed')] if image.endswith('/compressed') else image
    return [raw, f'{raw}/compressed', f'{raw.rpartition("/")[0]}/camera_info']


def generate_launch_description():
    """Return what ros2 launch starts."""
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=text,
                                choices=['true', 'false'] if name in FLAGS else None)
          for name, (default, text) in ARGUMENTS.items()),
        OpaqueFunction(function=start),
    ])
