# SPDX-License-Identifier: Apache-2.0
"""How the node is doing: counts, rates and times over windows that do not grow."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
import math

_GAPS = 64           # gaps between stamps that a camera is judged by
_FEWEST_GAPS = 8     # below this nothing is said
_PAUSE_NS = 2_000_000_000  # a camera that was silent for longer had stopped
_LATENCIES = 512     # frames that quantiles are taken over
_LOOKS = 5


@dataclass(frozen=True)
class Finding:
    """A part of the node as `/diagnostics` shows it; `trouble` is None when all is well."""

    part: str
    trouble: str | None
    fine: str
    values: Mapping[str, object]


class Latencies:
    """The latest durations in milliseconds."""

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=_LATENCIES)

    def add(self, value_ms: float) -> None:
        """Take one."""
        self._values.append(value_ms)

    def quantile(self, share: float) -> float:
        """Return the value that `share` of the latest do not exceed; NaN when there is none."""
        ordered = sorted(self._values.copy())  # copied at once: another thread appends
        if not ordered:
            return math.nan
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class Delivery:
    """How many of a camera's images arrive, judged by the gaps between their stamps.

    Nobody tells a subscriber the camera's rate, but a camera ticks: the short gaps are its
    period, and the long ones are that period times the images that were lost in between.
    """

    def __init__(self) -> None:
        self._gaps_ns: deque[int] = deque(maxlen=_GAPS)
        self._last_ns: int | None = None

    def add(self, stamp_ns: int) -> None:
        """Take the stamp of an image; a jump back and a pause begin anew."""
        if self._last_ns is not None:
            gap_ns = stamp_ns - self._last_ns
            if 0 < gap_ns < _PAUSE_NS:
                self._gaps_ns.append(gap_ns)
            else:
                self._gaps_ns.clear()
        self._last_ns = stamp_ns

    @property
    def camera_rate_hz(self) -> float | None:
        """The rate at which the camera seems to take images, or None when that is not clear."""
        if len(self._gaps_ns) < _FEWEST_GAPS:
            return None
        ordered = sorted(self._gaps_ns)
        return 1e9 / ordered[len(ordered) // 4]

    @property
    def share(self) -> float | None:
        """The share of the camera's images that arrive (0 to 1), or None when not clear."""
        rate_hz = self.camera_rate_hz
        if rate_hz is None:
            return None
        return min(1.0, len(self._gaps_ns) / (sum(self._gaps_ns) * 1e-9 * rate_hz))


@dataclass
class CameraCounts:
    """What became of a camera's messages, since the node was activated."""

    received: int = 0       # messages of either transport
    duplicates: int = 0     # the same image by the other transport
    unstamped: int = 0      # refused: no stamp
    gated: int = 0          # left out because of max_rate_hz
    dropped: int = 0        # replaced by a newer one before their turn came
    lost: int = 0           # the middleware says so
    heard_s: float = field(default=-math.inf)  # monotonic time of the last message


class Losses:
    """The share of messages that the middleware has lost over the last few looks."""

    def __init__(self) -> None:
        self._looks: deque[tuple[int, int]] = deque([(0, 0)], maxlen=_LOOKS)

    def look(self, received: int, lost: int) -> float:
        """Return the share (0 to 1) since a few looks ago; 0 when there was nothing to lose."""
        before_received, before_lost = self._looks[0]
        self._looks.append((received, lost))
        missing = lost - before_lost
        total = received - before_received + missing
        return missing / total if total > 0 else 0.0


class Rate:
    """Events a second between two looks at a counter."""

    def __init__(self) -> None:
        self._count, self._at_s = 0, math.nan

    def look(self, count: int, now_s: float) -> float:
        """Return the rate since the last look; NaN at the first."""
        elapsed_s = now_s - self._at_s
        rate = (count - self._count) / elapsed_s if elapsed_s > 0.0 else math.nan
        self._count, self._at_s = count, now_s
        return rate
