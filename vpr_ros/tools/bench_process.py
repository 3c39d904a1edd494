# SPDX-License-Identifier: Apache-2.0
"""The near side of `bench_worker`: a process that measures what it is told to."""

from __future__ import annotations

from contextlib import suppress
import json
import os
import subprocess
import sys
from typing import Any

from vpr_ros.errors import ModelError

_WAIT_S = 5
_THREADS = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS')


class Worker:
    """A process that runs one thing when it is told to; a context manager."""

    def __init__(self, told: dict[str, Any]) -> None:
        """Start it; raises ModelError when it cannot do what it is told."""
        threads = str(told['threads'])
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'vpr_ros.tools.bench_worker', json.dumps(told)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, **dict.fromkeys(_THREADS, threads)})
        try:
            self.tasks: list[str] = self._answer()['tasks']
        except BaseException:
            self._stop()
            raise

    def run(self, task: str) -> tuple[float, float]:
        """Return the (processor, wall) seconds that a task took."""
        answer = self._ask(task)
        return answer['cpu_s'], answer['wall_s']

    def value(self, task: str) -> float:
        """Return the number that a task gives."""
        return float(self._ask(task)['value'])

    def _ask(self, task: str) -> Any:
        assert self._process.stdin is not None
        with suppress(OSError):  # it is gone, and its answer says so
            self._process.stdin.write(task + '\n')
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise ModelError(f'a measuring process ended ({code}); is there memory enough?')
        answer = json.loads(line)
        if 'error' in answer:
            raise ModelError(answer['error'])
        return answer

    def _stop(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(_WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *problem: object) -> None:
        self._stop()
