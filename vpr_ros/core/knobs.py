# SPDX-License-Identifier: Apache-2.0
"""Frozen dataclasses of knobs by flat names, as a parameter file gives them.

A dataclass may hold others as parts; their fields are named beside its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import Field, fields, is_dataclass
from typing import Any, TypeVar

Config = TypeVar('Config')


def knobs(kind: type[Any]) -> Iterator[Field[Any]]:
    """Yield the plain fields of a dataclass and of its parts."""
    for knob in fields(kind):
        part = _part(knob)
        if part is None:
            yield knob
        else:
            yield from knobs(part)


def build(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """Return `kind` with those `values` that are fields of it or of its parts."""
    chosen: dict[str, Any] = {}
    for knob in fields(kind):  # type: ignore[arg-type]
        part = _part(knob)
        if part is not None:
            chosen[knob.name] = build(part, values)
        elif knob.name in values:
            value = values[knob.name]
            chosen[knob.name] = tuple(value) if isinstance(value, list) else value
    return kind(**chosen)


def flat(config: Any) -> dict[str, Any]:
    """Return the knobs of a dataclass and of its parts by name."""
    values: dict[str, Any] = {}
    for knob in fields(config):
        value = getattr(config, knob.name)
        values.update(flat(value) if is_dataclass(value) else {knob.name: value})
    return values


def _part(knob: Field[Any]) -> type[Any] | None:
    """Return the dataclass that a field holds, or None for a plain value."""
    factory = knob.default_factory
    return factory if isinstance(factory, type) and is_dataclass(factory) else None
