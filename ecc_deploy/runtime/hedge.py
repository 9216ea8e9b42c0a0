"""Hedging: a request that takes unusually long is sent a second time, elsewhere; the first answer wins.

J. Dean and L. A. Barroso, The Tail at Scale, Communications of the ACM 56(2), 2013: deferring the second request to the
95th percentile of the usual time bounds the extra load to about 5 %; here a budget bounds it whatever happens.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ecc_deploy.closing import Closing
from ecc_deploy.errors import UsageError
from ecc_deploy.runtime.cloud import Cloud, CloudAnswer, CloudError
from ecc_deploy.runtime.result import Reason
from ecc_deploy.runtime.timer import Timer

_WINDOW, _LEAST = 256, 20


@dataclass
class HedgeCounts:
    """``requests``: that were asked for; ``hedges``: sent a second time; ``won``: answered by the second first."""

    requests: int = 0
    hedges: int = 0
    won: int = 0
    payload_bytes: int = 0
    """Of all that was sent, second requests included."""


class Hedge(Closing):
    """Two clouds behind the face of one: ``second`` is asked where ``first`` takes longer than usual, or fails.

    The second is asked after ``after_ms``; ``None``: after the ``quantile`` of the last 256 round trips, and not before
    20 are known. It is asked at once where the first fails by itself before that. The first answer wins, and the other
    request is cancelled; where both fail, the first failure is told. Second requests are at most a ``budget`` of all,
    over time; ten in a row at most. An answer says how often its payload was sent (``CloudAnswer.requests``).

    Both may be clients of one server: a second connection helps where the first one lost a packet. The clients are
    closed by whoever made them. Raises :class:`UsageError` for options out of range.
    """

    def __init__(
        self,
        first: Cloud,
        second: Cloud,
        *,
        after_ms: float | None = None,
        quantile: float = 0.95,
        budget: float = 0.05,
        timer: Timer | None = None,
    ) -> None:
        if first.pair_id != second.pair_id:
            raise UsageError(f"the clients are of two bundles, {first.pair_id} and {second.pair_id}")
        if (after_ms is not None and not 0 <= after_ms < float("inf")) or not 0 < quantile < 1 or not 0 < budget <= 1:
            raise UsageError(
                f"hedging after {after_ms} ms, quantile {quantile}, budget {budget} cannot be",
                "Times are not negative; shares are above 0 and at most 1.",
            )
        self._first, self._second = first, second
        self._after_ms, self._quantile, self._budget = after_ms, quantile, budget
        self._timer = timer or Timer("ecc-hedge")
        self._lock = threading.Lock()
        self._round_trips: deque[float] = deque(maxlen=_WINDOW)
        self._tokens = 1.0
        self.counts = HedgeCounts()

    @property
    def pair_id(self) -> str:
        return self._first.pair_id

    def infer(self, half: str, payload: bytes, codec: str, deadline_s: float) -> CloudAnswer:
        """As :meth:`CloudClient.infer <ecc_deploy.runtime.client.CloudClient.infer>`."""
        return self.submit(half, payload, codec, deadline_s).result()

    def submit(self, half: str, payload: bytes, codec: str, deadline_s: float) -> Future[CloudAnswer]:
        """As :meth:`CloudClient.submit <ecc_deploy.runtime.client.CloudClient.submit>`."""
        with self._lock:
            self.counts.requests += 1
            self.counts.payload_bytes += len(payload)
            self._tokens = min(self._tokens + self._budget, 10.0)
            after_s = self._after_s()
        end = time.monotonic() + deadline_s

        def again() -> Future[CloudAnswer]:
            return self._second.submit(half, payload, codec, end - time.monotonic())

        first = self._first.submit(half, payload, codec, deadline_s)
        race = _Race(first, lambda: time.monotonic() < end and self._take(len(payload)), again, self._won)
        if after_s is not None and after_s < deadline_s and not race.future.done():
            cancel = self._timer.after(after_s, race.send_again)
            race.future.add_done_callback(lambda done: cancel())
        return race.future

    def _after_s(self) -> float | None:
        if self._after_ms is not None:
            return self._after_ms / 1e3
        if len(self._round_trips) < _LEAST:
            return None
        return float(np.quantile(self._round_trips, self._quantile)) / 1e3

    def _take(self, payload_bytes: int) -> bool:
        with self._lock:
            if self._tokens < 1:
                return False
            self._tokens -= 1
            self.counts.hedges += 1
            self.counts.payload_bytes += payload_bytes
            return True

    def _won(self, answer: CloudAnswer, by_second: bool) -> None:
        with self._lock:
            self._round_trips.append(answer.round_trip_ms)
            self.counts.won += by_second

    def close(self) -> None:
        """End the thread that waits. May be called twice; the clients stay open."""
        self._timer.close()


class _Race:
    """One payload, sent once or twice; :attr:`future` is settled by the first answer, or when nobody can win."""

    def __init__(
        self,
        first: Future[CloudAnswer],
        may_send_again: Callable[[], bool],
        again: Callable[[], Future[CloudAnswer]],
        won: Callable[[CloudAnswer, bool], None],
    ) -> None:
        self.future: Future[CloudAnswer] = Future()
        self._may_send_again, self._again, self._won = may_send_again, again, won
        self._lock = threading.Lock()
        self._calls = [first]
        self._is_settled = False
        self._open = self._sent = 1
        self._error: BaseException | None = None
        self.future.add_done_callback(self._end)
        first.add_done_callback(partial(self._ended, 0))

    def send_again(self) -> None:
        with self._lock:
            if self._sent > 1 or self._is_settled or self.future.done() or not self._may_send_again():
                return
            self._open += 1  # before it is sent: the first may end meanwhile
            self._sent += 1
        call = self._again()
        with self._lock:
            self._calls.append(call)
        if self.future.done():
            call.cancel()
        call.add_done_callback(partial(self._ended, 1))

    def _ended(self, place: int, call: Future[CloudAnswer]) -> None:
        if call.cancelled():
            self._lost(CloudError(Reason.UNAVAILABLE, "the request was cancelled", is_fault=False))
            return
        error = call.exception()
        if error is None:
            if self._claim():
                self._won(call.result(), place == 1)
                self.future.set_result(replace(call.result(), requests=self._sent))
            return
        if isinstance(error, CloudError) and error.reason != Reason.DEADLINE and error.is_fault:
            self.send_again()
        self._lost(error)

    def _lost(self, error: BaseException) -> None:
        with self._lock:
            self._open -= 1
            told = self._error = self._error or error
            is_over = self._open == 0
        if is_over and self._claim():
            if isinstance(told, CloudError):
                told = CloudError(told.reason, told.detail, is_fault=told.is_fault, requests=self._sent)
            self.future.set_exception(told)

    def _claim(self) -> bool:
        """Whether this thread is the one that settles the future; nothing is sent after that."""
        with self._lock:
            if self._is_settled:
                return False
            self._is_settled = True
            return self.future.set_running_or_notify_cancel()

    def _end(self, future: Future[CloudAnswer]) -> None:
        with self._lock:
            calls = list(self._calls)
        for call in calls:
            call.cancel()
