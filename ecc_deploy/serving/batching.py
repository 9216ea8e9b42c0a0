"""The queue in front of the engines: first come, first served, what waits for one engine together, never too long.

No thread is kept for the engines. Who finds an engine free runs it in its own thread, at once, so that a request alone
pays for no hand-over. Whoever comes meanwhile waits; when the engine is free, the first of those who wait runs it for
all who wait for the same half, up to the largest batch of that half. Nothing is delayed to make a batch larger, unless
that was asked for.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class QueueFullError(Exception):
    """As many requests wait as may."""


class LateError(Exception):
    """The time of a request passed while it waited."""


class GoneError(Exception):
    """Whoever asked has gone; nothing was computed."""


class Engine(Protocol):
    """What runs batches: ``[n, ...]`` to ``[n, ...]``. It may be called from several threads."""

    @property
    def label(self) -> str:
        """Its name in the figures."""
        ...

    @property
    def batch_limit(self) -> int:
        """Samples that requests are put together to, at most; one larger request may bring more."""
        ...

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """Answer a batch."""
        ...


@dataclass(frozen=True)
class Done:
    """An answered request: ``outputs`` ``[n, ...]`` of its own ``n`` samples; times in nanoseconds."""

    outputs: np.ndarray
    queue_ns: int
    compute_ns: int
    """Of the whole batch that it was a part of."""


@dataclass(frozen=True)
class Ran:
    """One call of an engine, for the figures."""

    engine: Engine
    requests: int
    samples: int
    compute_ns: int


class _Job:
    """A request in the queue. Whoever waits for it waits for ``turn``: then it is answered, or has to run ``batch``."""

    __slots__ = ("batch", "compute_ns", "engine", "failure", "inputs", "is_wanted", "outputs", "queued", "since",
                 "started", "turn")  # fmt: skip

    def __init__(self, engine: Engine, inputs: np.ndarray, is_wanted: Callable[[], bool]) -> None:
        self.engine = engine
        self.inputs = inputs
        self.is_wanted = is_wanted
        self.since = time.perf_counter_ns()
        self.started = 0
        self.compute_ns = 0
        self.queued = False
        self.batch: list[_Job] | None = None
        self.outputs: np.ndarray | None = None
        self.failure: Exception | None = None
        # A bare lock: an Event costs five times as much to make and to wait for.
        self.turn = threading.Lock()
        self.turn.acquire()


class Batcher:
    """``concurrency`` engines run at a time; ``max_queue`` requests wait, beyond which :meth:`admit` refuses.

    ``max_delay_s``: how long a free engine waits for more requests, counted from the arrival of the oldest, before it
    runs less than a full batch. ``observe`` is told of every run, in the thread that ran it.
    """

    def __init__(
        self,
        concurrency: int,
        max_queue: int,
        max_delay_s: float = 0.0,
        observe: Callable[[Ran], None] = lambda ran: None,
    ) -> None:
        self._lock = threading.Lock()
        self._more = threading.Condition(self._lock)
        self._free = concurrency
        self._max_queue = max_queue
        self._max_delay_ns = int(max_delay_s * 1e9)
        self._observe = observe
        self._admitted = 0  # admitted and at no engine yet: being decoded, or in a queue
        self._queues: dict[int, deque[_Job]] = {}

    @property
    def waiting(self) -> int:
        """How many requests wait for an engine now; those that are being decoded count too."""
        return self._admitted

    def admit(self) -> None:
        """Take a place for a request, before it is decoded; :meth:`run` or :meth:`dismiss` gives it back.

        Raises :class:`QueueFullError`.
        """
        with self._lock:
            if self._admitted >= self._max_queue + self._free:
                raise QueueFullError
            self._admitted += 1

    def dismiss(self) -> None:
        """Give back the place of a request that will not be run."""
        with self._lock:
            self._admitted -= 1

    def run(
        self,
        engine: Engine,
        inputs: np.ndarray,
        timeout: float | None = None,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> Done:
        """Answer one admitted request: ``inputs`` ``[n, ...]`` of the engine's own dtype and shape.

        Raises :class:`LateError` after ``timeout`` seconds in the queue, :class:`GoneError` where ``is_wanted`` says
        so when the engine is free, and whatever the engine raises.
        """
        job = _Job(engine, inputs, is_wanted)
        with self._lock:
            if self._free:  # then nobody waits
                self._free -= 1
                self._admitted -= 1
                job.batch = [job]
            else:
                self._queues.setdefault(id(engine), deque()).append(job)
                job.queued = True
                if self._max_delay_ns:
                    self._more.notify_all()
        if job.batch is None:
            self._wait(job, timeout)
        if job.batch is not None:
            self._lead(job.batch)
        if job.failure is not None:
            raise job.failure
        assert job.outputs is not None
        return Done(job.outputs, job.started - job.since, job.compute_ns)

    def _wait(self, job: _Job, timeout: float | None) -> None:
        if job.turn.acquire(timeout=-1 if timeout is None else max(0.0, min(timeout, threading.TIMEOUT_MAX))):
            return
        with self._lock:
            if job.queued:
                self._queues[id(job.engine)].remove(job)
                self._admitted -= 1
            elif job.batch is not None:  # it was chosen between the timeout and here; others count on it
                return
        raise LateError

    def _lead(self, batch: list[_Job]) -> None:
        """Run ``batch``, hand the engine over, then wake those who were answered."""
        leader = batch[0]
        try:
            if self._max_delay_ns:
                self._gather(batch)
            self._answer(batch)
        except Exception as error:
            for job in batch:
                if job.outputs is None and job.failure is None:
                    job.failure = error
        finally:
            self._hand_over()
            for job in batch:
                if job is not leader:
                    job.turn.release()

    def _gather(self, batch: list[_Job]) -> None:
        end = batch[0].since + self._max_delay_ns
        with self._lock:
            while (left := end - time.perf_counter_ns()) > 0 and _samples(batch) < batch[0].engine.batch_limit:
                self._more.wait(left / 1e9)
                if not self._fill(batch):
                    break

    def _fill(self, batch: list[_Job]) -> bool:
        """Take from the queue what fits into ``batch``; False where somebody waits who does not. Under the lock."""
        engine = batch[0].engine
        queue = self._queues.get(id(engine))
        room = engine.batch_limit - _samples(batch)
        while queue and len(queue[0].inputs) <= room:
            job = queue.popleft()
            job.queued = False
            self._admitted -= 1
            room -= len(job.inputs)
            batch.append(job)
        return not queue

    def _hand_over(self) -> None:
        with self._lock:
            waiting = [queue for queue in self._queues.values() if queue]
            if not waiting:
                self._free += 1
                return
            queue = min(waiting, key=lambda queue: queue[0].since)
            first = queue.popleft()
            first.queued = False
            self._admitted -= 1
            first.batch = [first]
            self._fill(first.batch)
        first.turn.release()

    def _answer(self, batch: Sequence[_Job]) -> None:
        wanted = []
        for job in batch:
            if job.is_wanted():
                wanted.append(job)
            else:
                job.failure = GoneError()
        if not wanted:
            return
        try:
            self._run(wanted)
        except Exception:
            if len(wanted) == 1:
                raise
            for job in wanted:  # one of them may be the cause: the others have their answer
                try:
                    self._run([job])
                except Exception as error:
                    job.failure = error

    def _run(self, jobs: Sequence[_Job]) -> None:
        engine = jobs[0].engine
        started = time.perf_counter_ns()
        inputs = jobs[0].inputs if len(jobs) == 1 else np.concatenate([job.inputs for job in jobs])
        outputs = engine.run(inputs)
        compute_ns = time.perf_counter_ns() - started
        if len(outputs) != len(inputs):
            raise RuntimeError(f"the engine gave {len(outputs)} answers to {len(inputs)} samples")
        at = 0
        for job in jobs:
            job.started, job.compute_ns = started, compute_ns
            job.outputs = outputs[at : at + len(job.inputs)]
            at += len(job.inputs)
        self._observe(Ran(engine, len(jobs), len(inputs), compute_ns))


def _samples(batch: Sequence[_Job]) -> int:
    return sum(len(job.inputs) for job in batch)
