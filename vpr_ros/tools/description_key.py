# SPDX-License-Identifier: Apache-2.0
"""What the description of a recording depends on: when one of it changes, it is made anew."""

from __future__ import annotations

from dataclasses import dataclass
import hashlib
import json
from pathlib import Path
import platform
from typing import Any

from vpr_ros import __version__
from vpr_ros.bags.recording import Recording
from vpr_ros.core.card import ModelCard
from vpr_ros.core.folder import file_digest
from vpr_ros.nets.engines import engine_versions

_SCHEMA = 1
_HASHED_WHOLE_BYTES = 1 << 30   # about two seconds of hashing
_END_BYTES = 1 << 20


@dataclass(frozen=True)
class DescriptionSource:
    """Which pictures, by which network, run how: all that a descriptor and its cost depend on."""

    recording: Recording
    topic: str
    card: ModelCard
    run_by: str         # engine, precision and threads

    def record(self) -> dict[str, Any]:
        """Return it in words that a person can read, too."""
        return {
            'schema': _SCHEMA, 'version': __version__, 'computer': platform.node(),
            'bags': [{'path': str(path), 'files': bag_identity(path)}
                     for path in self.recording.paths],
            'salvage': self.recording.salvage, 'topic': self.topic, 'model': self.card.name,
            'card': hashlib.sha256(self.card.to_json().encode()).hexdigest(),
            'model_digest': self.card.digest, 'run_by': self.run_by,
            'engines': engine_versions()}

    @staticmethod
    def key(record: dict[str, Any]) -> str:
        """Return the digest of a record; where the bags lie does not matter."""
        plain = {**record, 'bags': [bag['files'] for bag in record['bags']]}
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def bag_identity(path: Path) -> dict[str, str]:
    """Return what tells one recording from another, by file.

    The SHA-256 of each file; of recordings above 1 GiB in all, whose hashing would take longer
    than it saves, each file's size, time of change and the digest of its first and last MiB.
    """
    files = [path] if path.is_file() else sorted(file for file in path.rglob('*')
                                                 if file.is_file())
    whole = sum(file.stat().st_size for file in files) <= _HASHED_WHOLE_BYTES
    root = path.parent if path.is_file() else path
    return {str(file.relative_to(root)): file_digest(file) if whole else _ends(file)
            for file in files}


def _ends(file: Path) -> str:
    status = file.stat()
    digest = hashlib.sha256()
    with file.open('rb') as stream:
        digest.update(stream.read(_END_BYTES))
        stream.seek(max(status.st_size - _END_BYTES, 0))
        digest.update(stream.read(_END_BYTES))
    return f'{status.st_size} bytes, {status.st_mtime_ns} ns, ends {digest.hexdigest()}'
