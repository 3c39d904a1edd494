# SPDX-License-Identifier: Apache-2.0
"""ROS parameters from frozen dataclasses: the names and the defaults are those of the fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from vpr_ros.core import pose as se3
from vpr_ros.core.knobs import build, knobs
from vpr_ros.core.types import Camera
from vpr_ros.errors import VprError

_MOUNT = 'base_from_camera'
_KINDS = {bool: 'true or false', int: 'a whole number', float: 'a number with a decimal point',
          str: 'text, in quotation marks if need be', tuple: 'a list of names'}


Config = TypeVar('Config')


def declare(node: Node, kind: type[Any]) -> None:
    """Declare a parameter for every field of the dataclass `kind` and of those inside it.

    Raises VprError, naming the parameter, when the user gave a value of another type.
    """
    for knob in knobs(kind):
        default = list(knob.default) if isinstance(knob.default, tuple) else knob.default
        text = ParameterDescriptor(description=knob.metadata.get('text', ''))
        try:
            node.declare_parameter(knob.name, default, text)
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise VprError(f'parameter {knob.name} is of the wrong type; it takes '
                           f'{_KINDS[type(knob.default)]}, such as {default!r}') from error


def read(node: Node, kind: type[Config]) -> Config:
    """Return the dataclass `kind` with the values that the parameters have now.

    Raises VprError (of the dataclass) when the values make no sense.
    """
    return changed(node, kind, {})


def declare_mounts(node: Node, cameras: Iterable[str]) -> tuple[Camera, ...]:
    """Declare `base_from_camera.<name>` for each camera, and return the cameras.

    Seven numbers x y z qx qy qz qw; not set, the mount is None: as the map has it.
    Raises VprError for what is no pose.
    """
    mounted = []
    for camera in cameras:
        name = f'{_MOUNT}.{camera}'
        if not node.has_parameter(name):
            # Typed by what is given, since `[0, 0, 1, 0, 0, 0, 1]` is a list of integers.
            text = ParameterDescriptor(
                description=f'mount of {camera}: x y z (m) qx qy qz qw; not set: as in the map',
                dynamic_typing=True)
            node.declare_parameter(name, None, text)
        mounted.append(Camera(camera, _mount(name, node.get_parameter(name).value)))
    return tuple(mounted)


def _mount(name: str, value: Any) -> se3.Array | None:
    if value is None or (not isinstance(value, str) and len(value) == 0):
        return None
    try:
        mount = se3.checked(value)
        if mount.shape != (7,):
            raise ValueError('it is not one pose')
    except (TypeError, ValueError) as error:
        raise VprError(f'{name} is no mount: {error}; give x y z qx qy qz qw, '
                       'such as [0.1, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0]') from error
    return mount


def refuse_unknown(node: Node) -> None:
    """Raise VprError when the user set a parameter that the node does not have.

    rclpy drops such values in silence, and a misspelt threshold would never be missed.
    """
    # There is no public way to ask what was given, in any release from Humble on.
    for name in sorted(node._parameter_overrides):
        if node.has_parameter(name) or name.startswith('qos_overrides.'):
            continue
        close = get_close_matches(name, node._parameters, n=1)
        advice = f'is {close[0]} meant?' if close else 'see config/relocalize.yaml'
        raise VprError(f'there is no parameter {name}; {advice}')


def changed(node: Node, kind: type[Config], changes: Mapping[str, Any]) -> Config:
    """Return the dataclass `kind` with the parameters as they are, but for `changes`.

    Raises VprError (of the dataclass) when the values make no sense.
    """
    return build(kind, {knob.name: changes.get(knob.name, node.get_parameter(knob.name).value)
                        for knob in knobs(kind)})


def refuse_frozen(before: Any, after: Any, names: Iterable[str]) -> None:
    """Raise VprError when a knob that is read only at configuration would change."""
    frozen = [knob.name for knob in knobs(type(before)) if not knob.metadata.get('live')
              and getattr(before, knob.name) != getattr(after, knob.name)]
    frozen += [name for name in names if name.startswith(f'{_MOUNT}.')]
    if 'map' in frozen:
        raise VprError('map cannot be set while the node is configured; call ~/load_map')
    if frozen:
        raise VprError(f'{", ".join(frozen)} cannot be set while the node is configured; '
                       'deactivate it and clean it up first')


def values_of(parameters: Iterable[Parameter[Any]]) -> dict[str, Any]:
    """Return parameters as name: value."""
    return {parameter.name: parameter.value for parameter in parameters}
