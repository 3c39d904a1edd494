# SPDX-License-Identifier: Apache-2.0
"""The knobs of the node itself; those of the method are `core`'s."""

from __future__ import annotations

from dataclasses import dataclass, field
import re
from typing import Any

from vpr_ros.errors import VprError

_CHOICES = {
    'image_transport': ('auto', 'raw', 'compressed'),
    'image_reliability': ('best_effort', 'reliable', 'system_default'),
    'image_decoder': ('builtin', 'cv_bridge'),
}
AS_IN_THE_MAP = ('',)  # ROS cannot tell the type of an empty list
_NOT_NEGATIVE = ('threads', 'max_rate_hz', 'odom_wait_s', 'trigger_max_age_s')


def _knob(default: Any, text: str, live: bool = False) -> Any:
    """Return a field with the text of its parameter; `live`: it may be set while running."""
    return field(default=default, metadata={'text': text, 'live': live})


@dataclass(frozen=True)
class NodeConfig:
    """What the node reads, hears and says. Raises VprError for values that make no sense."""

    map: str = _knob('', 'folder of the map, or its file:// URL')
    model: str = _knob('', 'folder of the model; empty: the one that ships with the package')
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
    publish_initialpose: bool = _knob(
        False, 'send the first accepted pose to initialpose, as AMCL wants it', live=True)
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
        if self.debug_places < 1:
            raise VprError(f'debug_places is {self.debug_places}; it must be at least 1')
        if not self.cameras:
            raise VprError("cameras is empty; name at least one, such as ['camera'], or give "
                           "[''] for those of the map")
        for name in self.cameras if self.cameras != AS_IN_THE_MAP else ():
            if not re.fullmatch('[A-Za-z_][A-Za-z0-9_]*', name):
                raise VprError(f'cameras: {name!r} cannot be part of a topic; use letters, '
                               'digits and underscores, and a letter first')
        if len(set(self.cameras)) != len(self.cameras):
            raise VprError(f'cameras names one twice: {", ".join(self.cameras)}')
