"""One arm as LoadGen's system under test: threads that answer the queries it issues."""

from __future__ import annotations

import queue
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from ecc_deploy.bench.loop import OpenArm
from ecc_deploy.data import Samples

if TYPE_CHECKING:
    from typing_extensions import Self

_TRIAL_S = 0.5


class Queries:
    """A context manager; its threads end with it. ``chosen``: the samples that queries are about, ``[count]``.

    ``workers``: threads that answer; 0: the one that LoadGen issues in, each query before the next. So that no
    completion is under way while LoadGen ends, either one thread does both, or LoadGen is held up, when it flushes,
    until every completion has returned.

    What fails in a thread ends the run: what is still asked is answered at once, unmeasured, since LoadGen cannot be
    stopped, and the error is raised by :meth:`run`.
    """

    def __init__(self, arm: OpenArm, samples: Samples, chosen: np.ndarray, workers: int) -> None:
        self.arm = arm
        self.workers = workers
        self.count = len(chosen)
        self.values_ms: list[float] = []
        """From issue to answer, in the order of issue."""
        self.right = self.fallbacks = 0
        self._images = samples.images[chosen]
        self._labels = samples.labels[chosen]
        self._lock = threading.Lock()
        self._asked: queue.SimpleQueue[tuple[int, int, int, int] | None] = queue.SimpleQueue()
        self._taken: dict[int, float] = {}
        self._error: BaseException | None = None
        self._stop = False
        self._loadgen: Any = None
        self._issued = 0
        self._returned = threading.Semaphore(0)  # once for every completion
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _ in self._threads:
            self._asked.put(None)
        for thread in self._threads:
            thread.join()

    def trial_qps(self) -> float:
        """Samples per second with all threads at work, from a short trial."""
        answered = [0] * self.workers
        end = time.monotonic() + _TRIAL_S

        def work(number: int) -> None:
            while time.monotonic() < end:
                self.arm.runtime.predict(self._images[answered[number] % self.count])
                answered[number] += 1

        start = time.monotonic()
        threads = [threading.Thread(target=work, args=(number,)) for number in range(self.workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return max(sum(answered), 1) / (time.monotonic() - start)

    def run(self, loadgen: Any, settings: Any, log: Any, in_memory: int) -> None:
        """Let LoadGen run one test; blocks until it has ended.

        It runs in a thread, so that Ctrl-C reaches Python code that can do something about it: the rest of the test is
        then answered without work, and the interruption goes on.
        """
        self._loadgen = loadgen
        system = loadgen.ConstructSUT(self._issue, self._flush)
        library = loadgen.ConstructQSL(self.count, in_memory, lambda indices: None, lambda indices: None)
        ended = threading.Event()

        def test() -> None:
            try:
                loadgen.StartTestWithLogSettings(system, library, settings, log)
            finally:
                ended.set()

        threading.Thread(target=test, daemon=True).start()
        try:
            # Not Thread.join: interrupted once, it takes the thread for ended (CPython up to 3.12).
            ended.wait()
        except BaseException:
            self._stop = True
            ended.wait()
            raise
        finally:
            loadgen.DestroyQSL(library)
            loadgen.DestroySUT(system)
        self.values_ms = [self._taken[number] for number in sorted(self._taken)]
        if self._error is not None:
            raise self._error

    def _issue(self, samples: list[Any]) -> None:
        now = time.perf_counter_ns()
        for sample in samples:
            asked = (self._issued, sample.id, sample.index, now)
            self._issued += 1
            if self._threads:
                self._asked.put(asked)
            else:
                self._complete(*asked)

    def _flush(self) -> None:
        """Called by LoadGen once, after its last query."""
        for _ in range(self._issued):
            self._returned.acquire()

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            self._complete(*asked)

    def _complete(self, number: int, query: int, index: int, issued: int) -> None:
        if not self._stop:
            try:
                self._answer(number, index, issued)
            except BaseException as error:
                self._error, self._stop = error, True
        self._loadgen.QuerySamplesComplete([self._loadgen.QuerySampleResponse(query, 0, 0)])
        self._returned.release()

    def _answer(self, number: int, index: int, issued: int) -> None:
        prediction = self.arm.runtime.predict(self._images[index])
        taken = round((time.perf_counter_ns() - issued) / 1e6, 6)
        with self._lock:
            self._taken[number] = taken
            self.right += int(prediction.label == self._labels[index])
            self.fallbacks += prediction.reason.is_fallback
