# SPDX-License-Identifier: Apache-2.0
"""The node's parameter file, read for the offline commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from vpr_ros.core.knobs import build, knobs
from vpr_ros.core.localizer import LocalizerConfig
from vpr_ros.errors import VprError


def read_config(path: Path | None) -> LocalizerConfig:
    """Return the localizer's settings in a ROS parameter file; None gives the defaults.

    Parameters of the node that are none of the localizer's are left to the node.
    Raises VprError for a file that is not one, and for a value of the wrong type.
    """
    if path is None:
        return LocalizerConfig()
    given = _parameters(path)
    kinds = {knob.name: type(knob.default) for knob in knobs(LocalizerConfig)}
    values: dict[str, Any] = {}
    for name, kind in kinds.items():
        if name not in given:
            continue
        value = given[name]
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise VprError(f'{path}: {name} is {value!r}, but a {kind.__name__} is needed')
        values[name] = value
    return build(LocalizerConfig, values)


def node_parameters(path: Path) -> dict[str, Any]:
    """Return all parameters in a ROS parameter file by name, nested ones as `outer.inner`.

    Raises VprError for a file that is not one.
    """
    found: dict[str, Any] = {}
    waiting = list(_parameters(path).items())
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f'{name}.{inner}', item) for inner, item in value.items()]
        else:
            found[name] = value
    return found


def _parameters(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise VprError(f'{path} cannot be read ({error.strerror})') from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise VprError(f'{path} is not YAML: {error}') from error
    nodes = document if isinstance(document, dict) else {}
    found: dict[str, Any] = {}
    for block in nodes.values():
        if isinstance(block, dict) and isinstance(block.get('ros__parameters'), dict):
            found.update(block['ros__parameters'])
    if not found:
        raise VprError(f'{path} holds no ros__parameters; see config/relocalize.yaml')
    return found
