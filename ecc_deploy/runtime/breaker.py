"""A circuit breaker: while the cloud keeps failing, the edge answers at once instead of waiting for another failure.

The pattern is M. Nygard's (Release It!, 2007); the probe's backoff grows exponentially with random jitter (M. Brooker,
Exponential Backoff And Jitter, 2015), so that many edges do not come back to a recovered server at the same moment.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from ecc_deploy.errors import UsageError

BreakerState = Literal["closed", "open", "half-open"]


class Permit:
    """Leave to send one request. Exactly one of its methods is called when it has ended; further calls do nothing."""

    def __init__(self, breaker: Breaker, era: int) -> None:
        self._breaker = breaker
        self._era = era
        self._is_open = True

    def succeeded(self) -> None:
        """The cloud answered."""
        self._end("success", "")

    def failed(self, detail: str) -> None:
        """The cloud did not answer; ``detail`` says why."""
        self._end("failure", detail)

    def forgotten(self) -> None:
        """The request says nothing of the cloud: it was cancelled, or never sent."""
        self._end("nothing", "")

    def _end(self, outcome: Literal["success", "failure", "nothing"], detail: str) -> None:
        if self._is_open:
            self._is_open = False
            self._breaker._ended(self._era, outcome, detail)


class Breaker:
    """Closed, it lets every request through; open, none; half-open, one, whose end decides. Thread-safe.

    It opens after ``failures`` in a row, or where of the last ``window`` requests a ``share`` or more failed. After
    ``backoff_s`` one request goes as a probe: if it succeeds, the breaker closes; if it fails, the next one goes after
    twice the time, up to ``max_backoff_s``. Each time is shortened by a random part of up to ``jitter``. Requests that
    were sent before it opened, and end after, change nothing.

    ``clock``: seconds, monotonic; ``chance``: 0 to 1. Raises :class:`UsageError` for options out of range.
    """

    def __init__(
        self,
        *,
        failures: int = 5,
        window: int = 20,
        share: float = 0.5,
        backoff_s: float = 0.5,
        max_backoff_s: float = 30.0,
        jitter: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        if failures < 1 or window < 1:
            raise UsageError("a breaker opens after one failure at least, in a window of one request at least")
        if not (0 < share <= 1 and 0 <= jitter <= 1 and 0 < backoff_s <= max_backoff_s < float("inf")):
            raise UsageError(
                f"share {share}, jitter {jitter}, backoff {backoff_s} to {max_backoff_s} s is no breaker",
                "Shares are from 0 to 1; a backoff is above 0 s.",
            )
        self._failures, self._share, self._jitter = failures, share, jitter
        self._backoff_s, self._max_backoff_s = backoff_s, max_backoff_s
        self._clock, self._chance = clock, chance
        self._lock = threading.Lock()
        self._recent: deque[bool] = deque(maxlen=window)
        self._in_a_row = 0
        self._tries = 0
        """Probes that failed since it opened."""
        self._era = 0
        """Grows with every change of state: permits of another era say nothing of this one."""
        self._state: BreakerState = "closed"
        self._until = 0.0
        self._last = ""

    @property
    def state(self) -> BreakerState:
        """As it is; an open one whose backoff has passed is open until somebody asks."""
        return self._state

    def ask(self) -> Permit | None:
        """Leave to send one request; ``None`` where the edge has to answer."""
        with self._lock:
            if self._state == "half-open" or (self._state == "open" and self._clock() < self._until):
                return None
            if self._state == "open":
                self._change("half-open")
            return Permit(self, self._era)

    def refuses(self) -> bool:
        """Whether :meth:`ask` would give nothing now; takes no permit."""
        with self._lock:
            return self._state == "half-open" or (self._state == "open" and self._clock() < self._until)

    def why(self) -> str:
        """Why it lets nothing through, in words that are the same until it changes its mind."""
        return f"the circuit breaker is open; the last failure: {self._last}"

    def _ended(self, era: int, outcome: str, detail: str) -> None:
        with self._lock:
            if era != self._era:
                return
            if self._state == "half-open":
                if outcome == "success":
                    self._close()
                elif outcome == "failure":
                    self._tries += 1
                    self._open(detail)
                else:
                    self._change("open")
                    self._until = self._clock()
            elif outcome != "nothing":
                self._count(outcome == "failure", detail)

    def _count(self, is_failure: bool, detail: str) -> None:
        self._recent.append(is_failure)
        self._in_a_row = self._in_a_row + 1 if is_failure else 0
        is_full = len(self._recent) == self._recent.maxlen
        if self._in_a_row >= self._failures or (is_full and sum(self._recent) >= self._share * len(self._recent)):
            self._tries = 0
            self._open(detail)

    def _open(self, detail: str) -> None:
        self._change("open")
        self._last = detail
        longest = min(self._backoff_s * 2 ** min(self._tries, 62), self._max_backoff_s)
        self._until = self._clock() + longest * (1 - self._jitter * self._chance())

    def _close(self) -> None:
        self._change("closed")
        self._recent.clear()
        self._in_a_row = 0

    def _change(self, state: BreakerState) -> None:
        self._state = state
        self._era += 1
