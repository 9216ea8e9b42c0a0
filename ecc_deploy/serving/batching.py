"""The queue in front of the engines: first come, first served, what waits for one engine together, never too long.

All of it happens on one event loop, so nothing needs a lock; the engines alone run in threads, as many as there may be
at work. Where there is but one and its work is short, it is done on the loop: to hand it over and back would take as
long. While engines are at work, requests wait; when one is free, it runs for the first of those who wait and for all
others who wait for the same half, up to the largest batch of that half. Nothing is delayed to make a batch larger,
unless that was asked for.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ecc_deploy.closing import Closing

SHORT_NS = 500_000
"""What an engine does in less keeps nobody waiting for the loop."""


class QueueFullError(Exception):
    """As many requests wait as may."""


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
    """A request on its way; ``answer`` is cancelled where nobody waits for it any more."""

    __slots__ = ("answer", "engine", "inputs", "is_queued", "since")

    def __init__(self, engine: Engine, inputs: np.ndarray) -> None:
        self.engine = engine
        self.inputs = inputs
        self.since = time.perf_counter_ns()
        self.is_queued = True
        self.answer: asyncio.Future[Done] = asyncio.get_running_loop().create_future()


class Batcher(Closing):
    """``concurrency`` engines run at a time; ``max_queue`` requests wait, beyond which :meth:`admit` refuses.

    ``max_delay_s``: how long a free engine waits for more requests, counted from the arrival of the oldest, before it
    runs less than a full batch. ``observe`` is told of every run. All methods but :meth:`close` belong to one event
    loop.
    """

    def __init__(
        self,
        concurrency: int,
        max_queue: int,
        max_delay_s: float = 0.0,
        observe: Callable[[Ran], None] = lambda ran: None,
    ) -> None:
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="ecc-engine")
        self._free = concurrency
        self._max_queue = max_queue
        self._max_delay_ns = int(max_delay_s * 1e9)
        self._observe = observe
        self._admitted = 0  # admitted and at no engine yet: being decoded, or in a queue
        self._queues: dict[int, deque[_Job]] = {}
        self._has_one_engine = concurrency == 1
        self._ns_per_sample: dict[int, float] = {}
        self._at_work: set[asyncio.Task[None]] = set()  # the loop itself remembers no task
        self._gathering: set[asyncio.Event] = set()

    @property
    def waiting(self) -> int:
        """How many requests wait for an engine now; those that are being decoded count too."""
        return self._admitted

    def admit(self) -> None:
        """Take a place for a request, before it is decoded; :meth:`run` or :meth:`dismiss` gives it back.

        Raises :class:`QueueFullError`.
        """
        if self._admitted >= self._max_queue + self._free:
            raise QueueFullError
        self._admitted += 1

    def dismiss(self) -> None:
        """Give back the place of a request that will not be run."""
        self._admitted -= 1

    async def run(self, engine: Engine, inputs: np.ndarray) -> Done:
        """Answer one admitted request: ``inputs`` ``[n, ...]`` of the engine's own dtype and shape.

        Cancelled while it waits, it leaves the queue and is not computed. Raises whatever the engine raises.
        """
        job = _Job(engine, inputs)
        queue = self._queues.setdefault(id(engine), deque())
        queue.append(job)
        self._begin()
        for more in self._gathering:
            more.set()
        try:
            return await job.answer
        finally:
            if job.is_queued:
                queue.remove(job)
                self._admitted -= 1

    def close(self) -> None:
        """Wait for the engines at work and end their threads. May be called twice, from any thread but the loop's."""
        self._threads.shutdown()

    def _begin(self) -> None:
        """Have a free engine take its batch, when all have come who are on their way through the loop now."""
        if self._free and self._first() is not None:
            self._free -= 1
            task = asyncio.get_running_loop().create_task(self._work())
            self._at_work.add(task)
            task.add_done_callback(self._at_work.discard)

    def _first(self) -> deque[_Job] | None:
        """The queue of the request that has waited longest."""
        waiting = [queue for queue in self._queues.values() if queue]
        return min(waiting, key=lambda queue: queue[0].since) if waiting else None

    def _take(self, batch: list[_Job], queue: deque[_Job]) -> bool:
        """Move from ``queue`` what fits into ``batch``; False where somebody waits who does not."""
        room = None if not batch else batch[0].engine.batch_limit - _samples(batch)
        while queue and (room is None or len(queue[0].inputs) <= room):
            job = queue.popleft()
            job.is_queued = False
            self._admitted -= 1
            batch.append(job)
            room = job.engine.batch_limit - _samples(batch)
        return not queue

    async def _work(self) -> None:
        """One engine's turn."""
        try:
            batch: list[_Job] = []
            if (queue := self._first()) is None:  # another engine took it, or nobody waits any more
                return
            self._take(batch, queue)
            self._begin()
            if self._max_delay_ns:
                await self._gather(batch)
            await self._answer(batch)
        finally:
            self._free += 1
            self._begin()

    async def _gather(self, batch: list[_Job]) -> None:
        end = batch[0].since + self._max_delay_ns
        queue, more = self._queues[id(batch[0].engine)], asyncio.Event()
        self._gathering.add(more)
        try:
            while self._take(batch, queue) and _samples(batch) < batch[0].engine.batch_limit:
                left = end - time.perf_counter_ns()
                await asyncio.wait_for(more.wait(), max(0.0, left / 1e9))
                more.clear()
        except asyncio.TimeoutError:  # of Python 3.10, where it is not yet the builtin one
            pass
        finally:
            self._gathering.discard(more)

    async def _answer(self, batch: Sequence[_Job]) -> None:
        wanted = [job for job in batch if not job.answer.done()]
        if not wanted:
            return
        try:
            await self._run(wanted)
        except Exception as error:
            if len(wanted) > 1:  # one of them may be the cause: the others have their answer
                for job in wanted:
                    await self._answer([job])
            elif not wanted[0].answer.done():
                wanted[0].answer.set_exception(error)

    async def _run(self, jobs: Sequence[_Job]) -> None:
        engine, inputs = jobs[0].engine, [job.inputs for job in jobs]
        samples, loop = _samples(jobs), asyncio.get_running_loop()
        if self._is_short(engine, samples):
            outputs, started, compute_ns = _timed(engine, inputs)
        else:
            outputs, started, compute_ns = await loop.run_in_executor(self._threads, _timed, engine, inputs)
        self._remember(engine, compute_ns / samples)
        at = 0
        for job in jobs:
            own = outputs[at : at + len(job.inputs)]
            at += len(job.inputs)
            if not job.answer.done():
                job.answer.set_result(Done(own, started - job.since, compute_ns))
        self._observe(Ran(engine, len(jobs), samples, compute_ns))

    def _is_short(self, engine: Engine, samples: int) -> bool:
        return self._has_one_engine and samples * self._ns_per_sample.get(id(engine), SHORT_NS) < SHORT_NS

    def _remember(self, engine: Engine, ns_per_sample: float) -> None:
        before = self._ns_per_sample.get(id(engine), ns_per_sample)
        self._ns_per_sample[id(engine)] = 0.8 * before + 0.2 * ns_per_sample


def _timed(engine: Engine, inputs: Sequence[np.ndarray]) -> tuple[np.ndarray, int, int]:
    """Run one batch, in a thread: its outputs, when it was begun, and how long it took, in nanoseconds."""
    started = time.perf_counter_ns()
    batch = inputs[0] if len(inputs) == 1 else np.concatenate(inputs)
    outputs = engine.run(batch)
    compute_ns = time.perf_counter_ns() - started
    if len(outputs) != len(batch):
        raise RuntimeError(f"the engine gave {len(outputs)} answers to {len(batch)} samples")
    return outputs, started, compute_ns


def _samples(batch: Sequence[_Job]) -> int:
    return sum(len(job.inputs) for job in batch)
