"""The fault run: many requests by several threads, a fault every second, and what became of each of them.

``python -m tests.faults.run --requests 10000`` (``make soak``) prints a table; the exit code is 1 where a sample has no
answer, or one that is wrong or attributed to the wrong side, where something leaked, or the cloud did not come back.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import Future, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ecc_deploy.bundle import Bundle
from ecc_deploy.runtime.breaker import Breaker
from ecc_deploy.runtime.client import CloudClient
from ecc_deploy.runtime.engine import EdgeRuntime
from ecc_deploy.runtime.pipeline import Pipeline
from ecc_deploy.runtime.result import Prediction, Route
from tests.faults import verdict
from tests.faults.children import Place, Usage, place, usage
from tests.faults.kinds import KILLED, round_of
from tests.faults.truth import DEPLOYMENTS, Truth, make_truth
from tests.toy import make_bundle

DEADLINE_MS = 250.0
_THREADS = 4
_IMAGES = 200
_WITH_BREAKER, _IN_FLIGHT = 2, 3
"""Of the threads, the one with a circuit breaker, and the one that has several requests under way."""
_AT_ONCE = 8
_WARM_UP = 200
_SETTLE_S = 1.0
_PATIENCE_S = 60.0
_GROWN_UP = 4
"""After so many faults of its own a server that was started anew is as warm as the first one was."""


@dataclass
class Result:
    """What happened; see :mod:`~tests.faults.verdict` for what of it is a failure."""

    requests: int
    seconds: float = 0.0
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By route and reason."""
    unanswered: int = 0
    wrong: list[str] = field(default_factory=list)
    """What was wrong with answers, and what was raised instead of one."""
    faults: Counter[str] = field(default_factory=Counter)
    recoveries: Counter[str] = field(default_factory=Counter)
    """Faults after which the cloud answered again before the end."""
    recovery_s: dict[str, float] = field(default_factory=dict)
    """The longest from the end of a fault of this kind to the next answer of the cloud, with the faults between."""
    gone: str = "the run did not come to its end"
    """Why the cloud did not answer every deployment at the end; empty where it did."""
    worst_ms: float = 0.0
    late: int = 0
    """Answers more than 100 ms after the deadline."""
    before: Usage | None = None
    halfway: Usage | None = None
    after: Usage | None = None
    closed: tuple[int, int] = (0, 0)
    """File descriptors before the first client was made, and after the last was closed."""
    servers: list[tuple[Usage, Usage]] = field(default_factory=list)
    """Of each server what it held warm, and at its end."""


class Run:
    """``requests`` samples through the runtimes of one bundle, ``rate`` a second, while faults happen at ``where``."""

    def __init__(self, bundle: Bundle, where: Place, truth: Truth, requests: int, rate: float, seed: int) -> None:
        self._bundle, self._place, self._truth = bundle, where, truth
        self._rate = rate
        self._rng = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._next = 0
        self._waiting: list[tuple[float, str]] = []
        """When the faults were over that no answer of the cloud has followed yet, and what they were."""
        self._done = threading.Event()
        self._open = ExitStack()
        self._runtimes: list[dict[str, EdgeRuntime]] = []
        self._pending: set[Future[Prediction]] = set()
        self._pipelines: dict[str, Pipeline] = {}
        """Of the worker that does not wait for an answer before it asks for the next."""
        self.result = Result(requests)

    def __call__(self) -> Result:
        result = self.result
        fds = usage().fds
        with self._open:
            self._connect()
            self._all(_WARM_UP)
            self._settle()
            result.before = usage()
            self._place.mark()
            start = time.monotonic()
            threads = [threading.Thread(target=self._work, args=(i, start), daemon=True) for i in range(_THREADS)]
            faults = threading.Thread(target=self._inject, args=(start,), daemon=True)
            for thread in (*threads, faults):
                thread.start()
            end = start + 10 * result.requests / self._rate + _PATIENCE_S
            for thread in threads:
                thread.join(max(end - time.monotonic(), 0))
            with self._lock:
                pending = list(self._pending)
            wait(pending, max(end - time.monotonic(), 0))
            del pending
            self._done.set()
            faults.join(_PATIENCE_S)
            result.seconds = time.monotonic() - start
            result.unanswered = max(result.requests - sum(result.answers.values()) - len(result.wrong), 0)
            result.gone = self._comes_back()
            self._settle()
            result.after = usage()
            self._place.end_of_life()
            result.servers = self._place.lives
        self._settle()
        result.closed = (fds, usage().fds)
        return result

    def _connect(self) -> None:
        clients = [self._open.enter_context(CloudClient(self._place.url, self._bundle.manifest)) for _ in range(2)]
        for client in clients:
            client.connect(_PATIENCE_S)
        for i in range(_THREADS):
            breaker = Breaker(backoff_s=0.2, max_backoff_s=1.0) if i == _WITH_BREAKER else None
            own = {
                name: EdgeRuntime(self._bundle, name, cloud=clients[i % 2], deadline_ms=DEADLINE_MS, breaker=breaker)
                for name in DEPLOYMENTS
            }
            for runtime in own.values():
                self._open.enter_context(runtime)
            self._runtimes.append(own)
        for name, runtime in self._runtimes[_IN_FLIGHT].items():
            pipeline = self._open.enter_context(Pipeline(runtime, in_flight=_AT_ONCE, when_full="edge"))
            sent = int(np.flatnonzero(self._truth.sent[name])[0])
            pipeline.submit(self._truth.images[sent]).result(_PATIENCE_S)  # so that its threads are there
            self._pipelines[name] = pipeline

    def _sample(self, number: int) -> tuple[str, int]:
        return DEPLOYMENTS[number % len(DEPLOYMENTS)], number // len(DEPLOYMENTS) % len(self._truth.images)

    def _predict(self, worker: int, number: int) -> tuple[Prediction, str | None]:
        deployment, index = self._sample(number)
        prediction = self._runtimes[worker][deployment].predict(self._truth.images[index])
        return prediction, self._truth.fault_of(deployment, index, prediction)

    def _all(self, count: int) -> None:
        """Answer samples by all workers at once, with no fault yet: what fails here fails without one."""
        found: list[str | None] = []

        def work(worker: int) -> None:
            found.extend(self._predict(worker, number)[1] for number in range(count))

        threads = [threading.Thread(target=work, args=(i,)) for i in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if len(found) < count * _THREADS or any(found):
            raise RuntimeError(f"wrong without any fault: {[text for text in found if text][:3]}")

    def _work(self, worker: int, start: float) -> None:
        while True:
            with self._lock:
                number, self._next = self._next, self._next + 1
                if number == self.result.requests // 2:
                    self.result.halfway = usage()
            if number >= self.result.requests:
                return
            time.sleep(max(start + number / self._rate - time.monotonic(), 0))
            try:
                self._ask(worker, number)
            except Exception as error:
                self._raised(number, error)

    def _ask(self, worker: int, number: int) -> None:
        asked = time.monotonic()
        if worker != _IN_FLIGHT:
            prediction, fault = self._predict(worker, number)
            self._note(asked, prediction, fault)
            return
        deployment, index = self._sample(number)
        future = self._pipelines[deployment].submit(self._truth.images[index])
        with self._lock:
            self._pending.add(future)

        def arrived(done: Future[Prediction]) -> None:
            with self._lock:
                self._pending.discard(done)
            try:
                prediction = done.result()
                self._note(asked, prediction, self._truth.fault_of(deployment, index, prediction))
            except Exception as error:
                self._raised(number, error)

        future.add_done_callback(arrived)

    def _raised(self, number: int, error: Exception) -> None:
        with self._lock:
            self.result.wrong.append(f"request {number}: {type(error).__name__}: {error}")

    def _note(self, asked: float, prediction: Prediction, fault: str | None) -> None:
        with self._lock:
            self._count(asked, prediction, fault)

    def _count(self, asked: float, prediction: Prediction, fault: str | None) -> None:
        result = self.result
        if fault is not None:
            result.wrong.append(fault)
        else:
            result.answers[prediction.route.value, prediction.reason.value] += 1
        result.worst_ms = max(result.worst_ms, prediction.timings.total)
        result.late += prediction.timings.total > DEADLINE_MS + 100
        if prediction.route == Route.CLOUD:
            now = time.monotonic()
            for over, name in self._waiting:
                if over <= asked:
                    result.recoveries[name] += 1
                    result.recovery_s[name] = max(result.recovery_s.get(name, 0.0), now - over)
            self._waiting = [item for item in self._waiting if item[0] > asked]

    def _inject(self, start: float) -> None:
        try:
            self._inject_all(start)
        except Exception as error:  # a run without its faults has shown nothing
            with self._lock:
                self.result.wrong.append(f"no more faults after {type(error).__name__}: {error}")

    def _inject_all(self, start: float) -> None:
        number, age = 0, 0
        while not self._done.is_set():
            for kind in round_of(self._rng):
                if self._done.wait(max(start + number - time.monotonic(), 0)):
                    return
                number = max(number + 1, int(time.monotonic() - start) + 1)
                kind.happen(self._place)
                with self._lock:
                    self.result.faults[kind.name] += 1
                    self._waiting.append((time.monotonic(), kind.name))
                age = 0 if kind is KILLED else age + kind.needs_server  # each of these waits until it is there
                if age == _GROWN_UP:
                    self._place.mark()

    def _comes_back(self) -> str:
        """Wait until the cloud answers every deployment and thread; empty, or the last word of one that it does not."""
        assert self._place.server.port  # a server that was just killed has its time to start
        end = time.monotonic() + _PATIENCE_S
        for worker in range(_THREADS):
            for number, name in enumerate(DEPLOYMENTS):
                while not self._truth.sent[name][self._sample(number)[1]]:
                    number += len(DEPLOYMENTS)
                while (prediction := self._predict(worker, number)[0]).route != Route.CLOUD:
                    if time.monotonic() > end:
                        return f"{name} of thread {worker}: {prediction.reason}: {prediction.detail}"
                    time.sleep(0.05)
        return ""

    def _settle(self) -> None:
        """Until threads and connections that are on their way out have gone."""
        time.sleep(_SETTLE_S)


def run(requests: int, rate: float, seed: int) -> Result:
    """Make a bundle and a place, and run."""
    truth = make_truth(_IMAGES)
    with tempfile.TemporaryDirectory() as folder:
        bundle = make_bundle(Path(folder) / "bundle", rich=True)
        with place(bundle.path) as where:
            return Run(bundle, where, truth, requests, rate, seed)()


def main() -> int:
    """Run, print, and judge."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.run", description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=80.0, help="requests a second, of all threads together")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    result = run(given.requests, given.rate, given.seed)
    print(verdict.table(result, DEADLINE_MS))
    failures = verdict.failures(result)
    for failure in failures:
        print(f"FAILED: {failure}")
    print("Failed." if failures else "Passed: every sample has an answer, and every answer is its own.")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
