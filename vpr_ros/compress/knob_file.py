# SPDX-License-Identifier: Apache-2.0
"""Knobs of a command: the defaults, changed by a YAML file, changed by flags."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import yaml

from vpr_ros.core import knobs
from vpr_ros.errors import ModelError

Config = TypeVar('Config')


def read_knobs(kind: type[Config], path: Path | None, given: Mapping[str, object]) -> Config:
    """Return the dataclass `kind` by a YAML file (None: the defaults), changed by those `given`.

    Raises ModelError for a file that cannot be read, unknown keys and wrong types.
    """
    known = {knob.name: knob for knob in knobs.knobs(kind)}
    values = {**({} if path is None else _read(path)), **given}
    where = 'the command' if path is None else str(path)
    if unknown := sorted(set(values) - set(known)):
        raise ModelError(f'{where} has unknown keys: {", ".join(unknown)}; there are '
                         f'{", ".join(known)}')
    for name, value in values.items():
        values[name] = _typed(name, value, known[name].default, where)
    return knobs.build(kind, values)


def _read(path: Path) -> dict[str, object]:
    try:
        record = yaml.safe_load(path.read_text(encoding='utf-8')) or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ModelError(f'{path} cannot be read as YAML ({error})') from error
    if not isinstance(record, dict):
        raise ModelError(f'{path} is no table of keys')
    return record


def _typed(name: str, value: object, default: object, where: str) -> object:
    wanted = type(default)
    if wanted is tuple and isinstance(value, list | tuple):
        return tuple(str(item) for item in value)
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise ModelError(f'{where}: {name} must be {wanted.__name__}, not {value!r}')
    return value
