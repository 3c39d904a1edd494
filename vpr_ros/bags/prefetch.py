# SPDX-License-Identifier: Apache-2.0
"""Work ahead of the consumer, so that decoding overlaps inference."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar('T')

_POLL_S = 0.1


class _End:
    """The last thing in the queue: how the iteration ended."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def prefetch(items: Iterable[T], depth: int = 8) -> Iterator[T]:
    """Yield `items`, made in one other thread and at most `depth` ahead.

    Order is kept, an exception in `items` is raised here at its place, and the thread is gone when
    this ends: with the last item, or when the consumer closes it or drops it.
    """
    if depth < 1:
        raise ValueError(f'cannot work {depth} items ahead; give 1 or more')
    return _prefetched(items, depth)


def _prefetched(items: Iterable[T], depth: int) -> Iterator[T]:
    queue: Queue[T | _End] = Queue(depth)
    stopped = Event()

    def put(item: T | _End) -> None:
        while not stopped.is_set():
            with suppress(Full):
                queue.put(item, timeout=_POLL_S)
                return

    def produce() -> None:
        error = None
        try:
            iterator = iter(items)
            for item in iterator:
                put(item)
                if stopped.is_set():
                    break
            if isinstance(iterator, Generator):  # it may hold files: end it here and now
                iterator.close()
        except BaseException as raised:
            error = raised
        put(_End(error))

    thread = Thread(target=produce, name='prefetch', daemon=True)
    thread.start()
    try:
        while True:
            item = queue.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stopped.set()
        with suppress(Empty):  # wakes a producer that waits for room
            queue.get_nowait()
        thread.join()
