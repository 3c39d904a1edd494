# SPDX-License-Identifier: Apache-2.0
"""When a pose goes to `initialpose`, and what became of it: a state machine without a clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """Where the hand-off stands; the value is what diagnostics call it."""

    DUE = 'due'                # goes out with the next accepted pose
    WATCHED = 'watched'        # was sent, and has time to settle
    SETTLED = 'settled'        # the receiver is near what was sent
    WAITING = 'waiting'        # it did not settle; the next try comes after a while
    UNANSWERED = 'unanswered'  # nobody is there to answer, so nothing is tried again
    GIVEN_UP = 'given up'      # as many tries as are allowed have failed


@dataclass(frozen=True)
class Patience:
    """How long a pose has to settle, how often one is sent, and how long the first wait is."""

    settle_s: float
    tries: int
    backoff_s: float


class InitialposeWatch:
    """Sends once, then watches; a pose that does not settle is sent again, ever more rarely.

    The receiver first echoes what it was sent, and only then its own sensors speak. So it is
    the last answer within `settle_s` that counts, not the first. Every `now_s` must come from
    one clock that never jumps back.
    """

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self.rearm()

    def rearm(self) -> None:
        """Begin anew: what was sent is of no matter any more."""
        self.state = State.DUE
        self.sends = 0
        self._next_s = 0.0        # of what comes next: the end of the time to settle, or a try
        self._near: bool | None = None  # what the last answer said; None: there was none

    def is_due(self, now_s: float) -> bool:
        """Say whether an accepted pose is to be sent now."""
        return self.state is State.DUE or (self.state is State.WAITING
                                           and now_s >= self._next_s)

    def sent(self, now_s: float) -> None:
        """Take note that a pose was sent."""
        self.sends += 1
        self.state, self._near = State.WATCHED, None
        self._next_s = now_s + self.patience.settle_s

    def answered(self, near: bool, now_s: float) -> None:
        """Take note of an answer that is newer than what was sent."""
        if self.state is State.WATCHED:
            self._near = near
        elif near and self.state is not State.DUE:
            self.state = State.SETTLED   # late, or by other means: all the better
        elif self.state is State.UNANSWERED:
            self._failed(now_s)

    def look(self, now_s: float, somebody_there: bool) -> None:
        """Judge what was sent, once its time is over.

        `somebody_there`: somebody could answer. A receiver that is there and silent may have
        dropped what was sent before it was ready; where nobody is, sending again is no use.
        """
        if self.state is State.UNANSWERED and somebody_there:
            self._failed(now_s)
        if self.state is not State.WATCHED or now_s < self._next_s:
            return
        if self._near:
            self.state = State.SETTLED
        elif self._near is None and not somebody_there:
            self.state = State.UNANSWERED
        else:
            self._failed(now_s)

    def wait_s(self, now_s: float) -> float:
        """Return how long it is until the time to settle is over, or the next try may be."""
        return max(0.0, self._next_s - now_s)

    def _failed(self, now_s: float) -> None:
        if self.sends >= self.patience.tries:
            self.state = State.GIVEN_UP
            return
        self.state = State.WAITING
        # The exponent is bounded, since a float is.
        self._next_s = now_s + self.patience.backoff_s * 2.0 ** min(self.sends - 1, 60)
