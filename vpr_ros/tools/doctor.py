# SPDX-License-Identifier: Apache-2.0
"""What can be used on this computer, and what to do about what cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
import os
from pathlib import Path
import platform
from time import perf_counter

import numpy as np
from rich.console import Console

from vpr_ros import __version__
from vpr_ros.core.place_map import PlaceMap
from vpr_ros.core.querying import refuse_to_query
from vpr_ros.errors import VprError
from vpr_ros.nets.model_folder import load_describer

_TRIES = 10


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `needed` ones must be well for the package to be of use."""

    what: str
    well: bool
    said: str
    needed: bool = True


def examine(model: Path | None, map_path: Path | None) -> list[Finding]:
    """Return what was found, in the order in which it matters."""
    findings = [Finding('vpr_ros', True, f'{__version__}, Python {platform.python_version()}, '
                        f'{platform.machine()}, {os.cpu_count()} cores')]
    findings += [_module(name, why, needed, advice)
                 for name, why, needed, advice in _MODULES]
    findings.append(_tried('model', lambda: _model(model)))
    if map_path is not None:
        findings.append(_tried('map', lambda: _map(map_path, model)))
    findings.append(_fastdds())
    return findings


_MODULES = (
    ('onnxruntime', 'runs the networks', True, 'pip install onnxruntime'),
    ('openvino', 'runs the networks as well, often faster on x86', False,
     'pip install openvino'),
    ('faiss', 'searches the map', True, 'pip install faiss-cpu'),
    ('rosbags', 'reads recordings', True, 'pip install rosbags'),
    ('rclpy', 'runs the node', False, 'source the setup.bash of your ROS 2, or install the wheels '
     'in requirements/ros.txt'),
    ('launch_ros', 'starts the node by ros2 launch', False, 'comes with ROS 2 from apt'),
    ('cv_bridge', 'can decode images instead of our own decoder', False,
     'comes with ROS 2 from apt; not needed'),
    ('tf2_ros', 'lets the node ask /tf for the mounts of cameras (mounts_from_tf)', False,
     'comes with ROS 2 from apt (ros-<distro>-tf2-ros-py); base_from_camera does without'),
    ('tf2_msgs', 'lets the node publish map -> odom (publish_tf)', False,
     'comes with ROS 2 from apt; needed for that only'),
    ('torch', 'imports and trains networks; the robot does not need it', False,
     'pip install torch==2.13.0'),
)


def _module(name: str, why: str, needed: bool, advice: str) -> Finding:
    try:
        import_module(name)
    except Exception as error:  # a broken install raises whatever it likes
        problem = '' if isinstance(error, ModuleNotFoundError) else f' ({error})'
        return Finding(name, False, f'cannot be imported{problem}; it {why}. {advice}', needed)
    try:
        found = version({'faiss': 'faiss-cpu', 'rclpy': 'ros-rclpy'}.get(name, name))
    except PackageNotFoundError:
        found = 'version unknown'
    return Finding(name, True, f'{found}; {why}', needed)


def _tried(what: str, trial: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, trial())
    except VprError as error:
        return Finding(what, False, str(error))


def _model(path: Path | None) -> str:
    describer = load_describer(path)
    card = describer.card
    image = np.random.default_rng(0).integers(
        0, 255, (card.preprocessing.height_px, card.preprocessing.width_px, 3), dtype=np.uint8)
    describer.describe([image])
    started = perf_counter()
    for _ in range(_TRIES):
        describer.describe([image])
    spent_ms = (perf_counter() - started) * 1e3 / _TRIES
    return (f'{card.name}, {card.dim}-d, {spent_ms:.1f} ms an image here, by {describer.engine} '
            f'{describer.precision}')


def _map(path: Path, model: Path | None) -> str:
    place_map = PlaceMap.load(path)
    card = load_describer(model).card
    refuse_to_query(card, place_map.card, str(path))
    return f'{path}: {len(place_map)} places in frame {place_map.frame_id}'


def _fastdds() -> Finding:
    names = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
    profile = next((os.environ[name] for name in names if os.environ.get(name)), None)
    if profile is None:
        name = names[os.environ.get('ROS_DISTRO') in ('humble', 'iron', 'jazzy')]
        return Finding('DDS profile', False, 'none is set: raw images above 500 kB may not arrive '
                       'best-effort over FastDDS. It is the camera driver that needs one: start '
                       f'it with {name}=<share/vpr_ros>/config/fastdds.xml', needed=False)
    return Finding('DDS profile', Path(profile).is_file(), profile, needed=False)


def print_findings(findings: list[Finding], console: Console) -> bool:
    """Print the findings; return whether all that is needed is well."""
    for finding in findings:
        if finding.well:
            sign, style = 'ok', 'green'
        elif finding.needed:
            sign, style = 'missing', 'bold red'
        else:
            sign, style = 'absent', 'yellow'
        console.print(f'[{style}]{sign:>8}[/]  [bold]{finding.what}[/]  {finding.said}',
                      highlight=False, soft_wrap=True)
    return all(finding.well or not finding.needed for finding in findings)
