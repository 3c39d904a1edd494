# SPDX-License-Identifier: Apache-2.0
"""The knobs of the node itself; those of the method are `core`'s."""

from __future__ import annotations

from dataclasses import dataclass, field
import math
import re
from typing import Any

from vpr_ros.errors import VprError
from vpr_ros.nets.engines import ENGINES

_CHOICES = {
    'engine': ENGINES,
    'image_transport': ('auto', 'raw', 'compressed'),
    'image_reliability': ('best_effort', 'reliable', 'system_default'),
    'image_decoder': ('builtin', 'cv_bridge'),
}
AS_IN_THE_MAP = ('',)  # ROS cannot tell the type of an empty list
_NOT_NEGATIVE = ('threads', 'max_rate_hz', 'odom_wait_s', 'trigger_max_age_s',
                 'initialpose_settle_s', 'initialpose_backoff_s', 'agree_m', 'agree_rad',
                 'external_max_age_s', 'transform_tolerance_s', 'tf_hold_s')
_POSITIVE = ('tf_rate_hz', 'mounts_timeout_s')
_AT_LEAST_ONE = ('debug_places', 'initialpose_tries', 'disagree_frames')


def _knob(default: Any, text: str, live: bool = False) -> Any:
    """Return a field with the text of its parameter; `live`: it may be set while running."""
    return field(default=default, metadata={'text': text, 'live': live})


@dataclass(frozen=True)
class NodeConfig:
    """What the node reads, hears and says. Raises VprError for values that make no sense."""

    map: str = _knob('', 'folder of the map, or its file:// URL')
    model: str = _knob('', 'folder of the model, or its packed file (.vprz); empty: the one that '
                       'ships with the package')
    engine: str = _knob('auto', 'what runs the network: onnxruntime, openvino, torch, or auto: '
                        'the fastest here, measured once')
    threads: int = _knob(0, 'threads of the network; 0: what its engine thinks best')
    cameras: tuple[str, ...] = _knob(
        AS_IN_THE_MAP, "names of the cameras, or ['']: those of the map; one listens to image, "
        'several to <name>/image each')
    image_transport: str = _knob(
        'auto', 'raw, compressed, or auto: both, until one of them has spoken')
    image_reliability: str = _knob(
        'best_effort', 'what to request of the cameras: best_effort, reliable, system_default')
    image_decoder: str = _knob('builtin', 'builtin, or cv_bridge where it is installed')
    max_rate_hz: float = _knob(
        0.0, 'images above this rate (by their stamps) are not decoded; 0: no limit', live=True)
    odom_wait_s: float = _knob(
        0.05, 'how long an image waits for the odometry of its moment, where there is odometry',
        live=True)
    trigger_max_age_s: float = _knob(
        2.0, '~/trigger refuses when the newest image is older', live=True)
    mounts_from_tf: bool = _knob(
        False, 'ask tf2 once for mounts that base_from_camera does not give')
    base_frame: str = _knob('base_link', 'the frame of the base, for mounts_from_tf')
    mounts_timeout_s: float = _knob(
        3.0, 'how long mounts_from_tf waits for an image of each camera and its transform')
    publish_initialpose: bool = _knob(
        False, 'send the first accepted pose to initialpose, as AMCL wants it, and watch '
        'amcl_pose', live=True)
    initialpose_settle_s: float = _knob(
        5.0, 'after this long amcl_pose has to be near what was sent', live=True)
    initialpose_tries: int = _knob(
        5, 'poses that are sent at most, until one settles', live=True)
    initialpose_backoff_s: float = _knob(
        2.0, 'wait before the second try; each wait is twice the one before', live=True)
    agree_m: float = _knob(
        3.0, 'amcl_pose and external_odom agree with an accepted pose within this distance',
        live=True)
    agree_rad: float = _knob(0.8, '... and this heading', live=True)
    disagree_frames: int = _knob(
        5, 'accepted frames in a row that it takes to say that an external pose disagrees, or '
        'agrees again', live=True)
    external_max_age_s: float = _knob(
        2.0, 'an external pose further from the image in time is not compared', live=True)
    publish_tf: bool = _knob(False, 'publish map -> odom on /tf; needs odometry and tf2_msgs')
    tf_rate_hz: float = _knob(20.0, 'how often map -> odom is sent')
    transform_tolerance_s: float = _knob(
        0.2, 'how far ahead map -> odom is dated', live=True)
    tf_hold_s: float = _knob(
        10.0, 'how long map -> odom is sent after the last accepted frame; 0: for ever', live=True)
    debug_places: int = _knob(
        3, 'best places beside the query in ~/debug_image', live=True)
    autostart: bool = _knob(
        True, 'configure and activate at start; false: a lifecycle manager does')

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise VprError(f'{name} is {getattr(self, name)!r}; '
                               f'choose one of {", ".join(choices)}')
        for name in _NOT_NEGATIVE:
            if not getattr(self, name) >= 0:  # also refuses NaN
                raise VprError(f'{name} is {getattr(self, name)}; it must not be negative')
        for name in _POSITIVE:
            if not 0.0 < getattr(self, name) < math.inf:
                raise VprError(f'{name} is {getattr(self, name)}; it must be positive')
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise VprError(f'{name} is {getattr(self, name)}; it must be at least 1')
        if self.mounts_from_tf and not self.base_frame:
            raise VprError('base_frame is empty, and mounts_from_tf needs it; give the frame of '
                           'the base, such as base_link')
        if not self.cameras:
            raise VprError("cameras is empty; name at least one, such as ['camera'], or give "
                           "[''] for those of the map")
        for name in self.cameras if self.cameras != AS_IN_THE_MAP else ():
            if not re.fullmatch('[A-Za-z_][A-Za-z0-9_]*', name):
                raise VprError(f'cameras: {name!r} cannot be part of a topic; use letters, '
                               'digits and underscores, and a letter first')
        if len(set(self.cameras)) != len(self.cameras):
            raise VprError(f'cameras names one twice: {", ".join(self.cameras)}')
