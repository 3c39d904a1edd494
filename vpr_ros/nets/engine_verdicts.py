# SPDX-License-Identifier: Apache-2.0
"""Which engine was best on this computer, remembered beside the model or in the user's cache."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
import hashlib
import json
import os
from pathlib import Path
import platform
import tempfile
from typing import Any

from vpr_ros.core.card import ModelCard
from vpr_ros.core.folder import file_digest
from vpr_ros.nets.engines import Candidate, engine_versions, ENGINES, gpu_present, PRECISIONS
from vpr_ros.nets.model_folder import MANIFEST
from vpr_ros.nets.private_folder import is_private

NAME = '.engines.json'  # hidden: a copy of the folder or a package need not carry it
_SCHEMA = 1
_KEPT = 32              # verdicts in one file: a folder may be shared by several computers


@dataclass(frozen=True)
class Verdict:
    """What was chosen, the median milliseconds of each that ran, and what did not take part."""

    candidate: Candidate
    times_ms: Mapping[Candidate, float]
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        times = ', '.join(f'{each} {ms:.1f} ms' for each, ms in
                          sorted(self.times_ms.items(), key=lambda item: item[1]))
        return '; '.join((f'{self.candidate}: {times}', *self.remarks))

    def record(self) -> dict[str, Any]:
        """Return the verdict as JSON has it."""
        return {'chosen': str(self.candidate), 'remarks': list(self.remarks),
                'times_ms': {str(each): ms for each, ms in self.times_ms.items()}}

    @classmethod
    def of(cls, record: Any) -> Verdict:
        """Return the verdict of `record()`; raises ValueError, KeyError, TypeError for others."""
        times = {_candidate(name): float(ms) for name, ms in dict(record['times_ms']).items()}
        chosen = _candidate(record['chosen'])
        if chosen not in times:
            raise ValueError(f'{chosen} was not measured')
        return cls(chosen, times, tuple(str(remark) for remark in record['remarks']))


def verdict_key(folder: Path, threads: int, engine: str, precision: str) -> str:
    """Return what a verdict depends on: model, engines, processor, threads, and the question."""
    parts = [_SCHEMA, file_digest(folder / MANIFEST), threads, engine, precision, _processor(),
             gpu_present(), engine_versions()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def recall_verdict(folder: Path, card: ModelCard, key: str) -> Verdict | None:
    """Return what was remembered under a key; None for nothing, and for what is damaged."""
    for file in _files(folder, card):
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            return Verdict.of(_read(file)[key])
    return None


def remember_verdict(folder: Path, card: ModelCard, key: str, verdict: Verdict) -> str:
    """Write a verdict where it can be written, whole or not at all; return what became of it."""
    for file in _files(folder, card):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            kept = dict(list(_read(file).items())[-_KEPT + 1:])
            kept.pop(key, None)
            _replace(file, json.dumps({**kept, key: verdict.record()}, indent=1) + '\n')
        except OSError:
            continue
        return f'remembered in {file}'
    return 'remembered nowhere: neither the model folder nor the cache can be written'


def _files(folder: Path, card: ModelCard) -> tuple[Path, ...]:
    """Return where verdicts are kept; beside a packed model nothing is, its folder goes."""
    cache = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    shared = Path(cache).expanduser() / 'vpr_ros' / 'engines' / f'{card.digest}.json'
    return (shared,) if is_private(folder) else (folder / NAME, shared)


def _read(file: Path) -> dict[str, Any]:
    """Return a file's verdicts; none where it is absent or damaged."""
    try:
        record = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _replace(file: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(prefix=f'{file.name}.', dir=file.parent)
    try:
        with os.fdopen(handle, 'w', encoding='utf-8') as stream:
            stream.write(text)
        os.replace(name, file)
    except OSError:
        with suppress(OSError):
            os.unlink(name)
        raise


def _candidate(text: Any) -> Candidate:
    engine, precision = str(text).split()
    if engine not in ENGINES[1:] or precision not in PRECISIONS[1:]:
        raise ValueError(f'{text} is no engine and precision')
    return Candidate(engine, precision)


def _processor() -> str:
    """Return what tells one kind of processor from another, and how much of it is ours."""
    lines = []
    with suppress(OSError):
        text = Path('/proc/cpuinfo').read_text(encoding='utf-8', errors='replace')
        told = ('model name', 'flags', 'Features', 'CPU implementer', 'CPU part')
        lines = [line for line in text.partition('\n\n')[0].splitlines() if line.startswith(told)]
    affinity = getattr(os, 'sched_getaffinity', None)
    cores = len(affinity(0)) if affinity else os.cpu_count()
    return '\n'.join((platform.machine(), str(cores), *lines))
