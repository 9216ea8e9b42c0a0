"""One thread that calls functions later; cheaper than a thread for each."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

from ecc_deploy.closing import Closing


class Timer(Closing):
    """Calls what it is given after some time, on a thread of its own that starts with the first. Thread-safe."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def after(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        """Call ``call``, which must be quick and not raise, in ``seconds``; the function returned calls that off."""
        with self._changed:
            number = next(self._numbers)
            if self._is_closed:
                return lambda: None
            heapq.heappush(self._due, (time.monotonic() + seconds, number, call))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            elif self._due[0][1] == number:
                self._changed.notify()
        return lambda: self._call_off(number)

    def _call_off(self, number: int) -> None:
        with self._changed:
            kept = [item for item in self._due if item[1] != number]
            if len(kept) < len(self._due):
                heapq.heapify(kept)
                self._due = kept

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._is_closed and (not self._due or self._due[0][0] > time.monotonic()):
                    self._changed.wait(self._due[0][0] - time.monotonic() if self._due else None)
                if self._is_closed:
                    return
                call = heapq.heappop(self._due)[2]
            call()

    def close(self) -> None:
        """Call nothing more, and end the thread. May be called twice."""
        with self._changed:
            self._is_closed = True
            self._due.clear()
            self._changed.notify()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
