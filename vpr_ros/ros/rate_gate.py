# SPDX-License-Identifier: Apache-2.0
"""Lets through no more frames a second than asked for, by their stamps."""

from __future__ import annotations


class RateGate:
    """A gate for one camera; `max_rate_hz` 0 lets every frame through.

    The next frame is due one period after the last one was *due*, not after it came: otherwise
    the jitter of a 10 Hz camera would turn a limit of 10 Hz into 5.
    """

    def __init__(self, max_rate_hz: float = 0.0) -> None:
        self.max_rate_hz = max_rate_hz
        self._last_ns: int | None = None
        self._due_ns = 0

    def admits(self, stamp_ns: int) -> bool:
        """Say whether the frame of `stamp_ns` may pass; time that jumps back opens the gate."""
        if self.max_rate_hz <= 0.0:
            return True
        period_ns = int(1e9 / self.max_rate_hz)
        if self._last_ns is None or stamp_ns < self._last_ns:
            self._due_ns = stamp_ns
        self._last_ns = stamp_ns
        # A tenth of a period early is on time: stamps jitter to both sides.
        if stamp_ns < self._due_ns - period_ns // 10:
            return False
        late = stamp_ns - self._due_ns > period_ns
        self._due_ns = (stamp_ns if late else self._due_ns) + period_ns
        return True
