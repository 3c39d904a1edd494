# SPDX-License-Identifier: Apache-2.0
"""The thread that does the work, and the slots where the newest images wait for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, wait
from dataclasses import dataclass
import threading
from typing import Any, TypeVar

Result = TypeVar('Result')

_NAP_S = 0.002


@dataclass(frozen=True)
class Arrival:
    """An image message as it came: of which camera, with which stamp, when (monotonic)."""

    camera: str
    stamp_ns: int
    message: Any
    received_s: float


class Worker:
    """Works through images and jobs, one at a time, in a thread of its own.

    rclpy's single-threaded executor takes one message of each subscription per wait. With a
    network of 100 ms in the image callback, odometry of 50 Hz would fall further behind with
    every image, and the pose of the image's moment would never be known in time. So the
    executor only receives, and everything that touches the localizer happens here.
    """

    def __init__(self, judge: Callable[[Arrival], object],
                 failed: Callable[[Exception], None]) -> None:
        self._judge = judge
        self._failed = failed
        self._wake = threading.Condition()
        self._slots: dict[str, Arrival] = {}  # in the order in which the cameras fell due
        self._jobs: deque[Callable[[], None]] = deque()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name='relocalizer', daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def put(self, arrival: Arrival) -> bool:
        """Leave the newest image of a camera; True when it replaced one that was not used."""
        with self._wake:
            replaced = arrival.camera in self._slots
            self._slots[arrival.camera] = arrival  # keeps its turn: no camera starves another
            self._wake.notify()
        return replaced

    def submit(self, job: Callable[[], Result]) -> Future[Result]:
        """Have `job` done between two images; it comes before those that wait."""
        future: Future[Result] = Future()

        def run() -> None:
            try:
                future.set_result(job())
            except Exception as error:
                future.set_exception(error)

        with self._wake:
            if self._stopping:
                future.set_exception(RuntimeError('the worker has stopped'))
            else:
                self._jobs.append(run)
                self._wake.notify()
        return future

    def stop(self) -> None:
        """Finish the image at hand and the jobs that wait, and end; images that wait are left."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while (task := self._next()) is not None:
            try:
                task()
            except Exception as error:  # one bad image must not end the node
                self._failed(error)

    def _next(self) -> Callable[[], object] | None:
        with self._wake:
            self._wake.wait_for(lambda: self._jobs or self._stopping or self._slots)
            if self._jobs:
                return self._jobs.popleft()
            if self._stopping:
                return None
            arrival = self._slots.pop(next(iter(self._slots)))
        return lambda: self._judge(arrival)


class _Turn:
    """Awaited once, gives the executor a turn."""

    def __await__(self) -> Generator[None, None, None]:
        yield


async def finished(future: Future[Result]) -> Result:
    """Return the result of a job, or raise what it raised; the executor goes on meanwhile.

    rclpy resumes a waiting callback at every turn, without a pause, so this naps in between.
    """
    while not future.done():
        wait([future], timeout=_NAP_S)
        await _Turn()
    return future.result()
