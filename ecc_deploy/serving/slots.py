"""The queue in front of the engines: first come, first served, and never longer than agreed."""

from __future__ import annotations

import threading
from collections import deque


class QueueFullError(Exception):
    """All slots are taken and the queue is full."""


class Slots:
    """``count`` slots; at most ``max_queue`` threads wait for one.

    A freed slot is handed to the thread that has waited longest, so no newcomer overtakes it.
    """

    def __init__(self, count: int, max_queue: int) -> None:
        self._lock = threading.Lock()
        self._free = count
        self._max_queue = max_queue
        self._waiting: deque[threading.Event] = deque()

    def acquire(self, timeout: float | None = None) -> bool:
        """Take a slot; False where ``timeout`` seconds passed without one. Raises :class:`QueueFullError` at once."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            if len(self._waiting) >= self._max_queue:
                raise QueueFullError
            turn = threading.Event()
            self._waiting.append(turn)
        if turn.wait(None if timeout is None else min(timeout, threading.TIMEOUT_MAX)):
            return True
        with self._lock:
            if turn.is_set():  # handed over between the timeout and here
                return True
            self._waiting.remove(turn)
        return False

    def release(self) -> None:
        """Give a slot back."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1

    @property
    def waiting(self) -> int:
        """How many threads wait now."""
        with self._lock:
            return len(self._waiting)
