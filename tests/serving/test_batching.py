"""The queue without a network: who is answered with whom, in what order, and what ends a wait."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from itertools import pairwise

import numpy as np
import pytest

from ecc_deploy.serving.batching import Batcher, Done, QueueFullError, Ran
from ecc_deploy.serving.loop import serving_loop
from tests.serving.requests import wait_until


class Doubling:
    """Doubles what it is given. While ``gate`` is closed it does not answer; batches with -13 in them fail."""

    label = "doubling"

    def __init__(self, batch_limit: int = 64, seconds: float = 0.0) -> None:
        self.batch_limit = batch_limit
        self.seconds = seconds
        self.gate = threading.Event()
        self.gate.set()
        self.batches: list[list[float]] = []
        self.lock = threading.Lock()
        self.at_work = self.most_at_work = 0

    def run(self, inputs: np.ndarray) -> np.ndarray:
        with self.lock:
            self.batches.append(inputs.tolist())
            self.at_work += 1
            self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            assert self.gate.wait(20)
            time.sleep(self.seconds)
            if -13 in inputs:
                raise ArithmeticError("thirteen")
            return inputs * 2
        finally:
            with self.lock:
                self.at_work -= 1


class Asking:
    """A request on the loop."""

    def __init__(self, batcher: Batcher, engine: Doubling, values: list[float]) -> None:
        async def ask() -> Done:
            batcher.admit()
            return await batcher.run(engine, np.array(values))

        self.done: Done | None = None
        self._answer = asyncio.run_coroutine_threadsafe(ask(), serving_loop())

    def cancel(self) -> None:
        self._answer.cancel()

    def end(self) -> list[float]:
        self.done = self._answer.result(20)
        return self.done.outputs.tolist()


@pytest.fixture
def make_batcher() -> Iterator[Callable[..., Batcher]]:
    with ExitStack() as stack:
        yield lambda *given, **options: stack.enter_context(Batcher(*given, **options))


@contextmanager
def held(batcher: Batcher, engine: Doubling) -> Iterator[None]:
    """The one engine is at work for as long as this lasts; leaves the batch ``[0]``."""
    engine.gate.clear()
    first = Asking(batcher, engine, [0])
    wait_until(lambda: engine.at_work == 1)
    yield
    engine.gate.set()
    assert first.end() == [0]


def queued(batcher: Batcher, engine: Doubling, *requests: list[float]) -> list[Asking]:
    """Requests that wait, in this order."""
    asking = []
    for values in requests:
        before = queue_length(batcher)
        asking.append(Asking(batcher, engine, values))
        wait_until(lambda before=before: queue_length(batcher) == before + 1)
    return asking


def queue_length(batcher: Batcher) -> int:
    return sum(len(queue) for queue in batcher._queues.values())


def test_what_waits_is_run_together_and_everybody_has_their_own(make_batcher: Callable[..., Batcher]) -> None:
    ran: list[Ran] = []
    batcher, engine = make_batcher(1, 8, observe=ran.append), Doubling()
    with held(batcher, engine):
        asking = queued(batcher, engine, [1], [2, 3, 4], [5])
    assert [a.end() for a in asking] == [[2], [4, 6, 8], [10]]
    assert engine.batches == [[0], [1, 2, 3, 4, 5]]
    assert [(r.engine, r.requests, r.samples) for r in ran] == [(engine, 1, 1), (engine, 3, 5)]
    assert batcher.waiting == 0
    times = [a.done.queue_ns for a in asking if a.done]
    assert all(one > other > 0 for one, other in pairwise(times)), "who came first has waited longest"


def test_an_engine_keeps_nobody_from_the_loop(make_batcher: Callable[..., Batcher]) -> None:
    batcher, engine = make_batcher(1, 8), Doubling()
    with held(batcher, engine):
        assert asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "there"), serving_loop()).result(5) == "there"


@pytest.mark.parametrize(("concurrency", "seconds", "here"), [(1, 0.0, True), (1, 0.002, False), (2, 0.0, False)])
def test_the_only_engine_runs_on_the_loop_once_its_work_is_known_to_be_short(
    make_batcher: Callable[..., Batcher], concurrency: int, seconds: float, here: bool
) -> None:
    threads = []

    class Engine(Doubling):
        def run(self, inputs: np.ndarray) -> np.ndarray:
            threads.append(threading.current_thread().name)
            return super().run(inputs)

    batcher, engine = make_batcher(concurrency, 8), Engine(seconds=seconds)
    for number in range(40):  # many: one may be slow by chance
        assert Asking(batcher, engine, [number]).end() == [2 * number]
    assert threads[0] != "ecc-serve", "nothing is known of the first"
    assert ("ecc-serve" in threads) is here


def test_a_batch_is_no_larger_than_the_engine_takes_and_nobody_overtakes(make_batcher: Callable[..., Batcher]) -> None:
    batcher, engine = make_batcher(1, 8), Doubling(batch_limit=4)
    with held(batcher, engine):
        asking = queued(batcher, engine, [1, 1], [2], [3, 3], [4], [5, 5, 5, 5, 5, 5], [6])
    assert [a.end() for a in asking] == [[2, 2], [4], [6, 6], [8], [10] * 6, [12]]
    assert engine.batches[1:] == [[1, 1, 2], [3, 3, 4], [5] * 6, [6]]


def test_halves_take_turns_in_the_order_of_their_oldest_request(make_batcher: Callable[..., Batcher]) -> None:
    batcher, one, other = make_batcher(1, 8), Doubling(), Doubling()
    with held(batcher, one):
        asking = [queued(batcher, engine, [n])[0] for n, engine in enumerate((one, other, one, other), 1)]
    assert [a.end() for a in asking] == [[2], [4], [6], [8]]
    assert (one.batches, other.batches) == ([[0], [1, 3]], [[2, 4]])


def test_a_failing_request_does_not_take_the_others_along(make_batcher: Callable[..., Batcher]) -> None:
    batcher, engine = make_batcher(1, 8), Doubling()
    with held(batcher, engine):
        asking = queued(batcher, engine, [1], [-13], [3])
    assert asking[0].end() == [2]
    with pytest.raises(ArithmeticError):
        asking[1].end()
    assert asking[2].end() == [6]
    assert Asking(batcher, engine, [7]).end() == [14], "the engine was given back"


def test_no_more_engines_run_than_were_agreed_on(make_batcher: Callable[..., Batcher]) -> None:
    batcher, engine = make_batcher(3, 64), Doubling(batch_limit=1)
    asking = [Asking(batcher, engine, [n]) for n in range(60)]
    assert [a.end() for a in asking] == [[2 * n] for n in range(60)]
    assert 1 <= engine.most_at_work <= 3
    assert batcher.waiting == 0


def test_a_full_queue_refuses_at_once_and_a_freed_place_is_used_again(make_batcher: Callable[..., Batcher]) -> None:
    batcher, engine = make_batcher(1, 1), Doubling()
    with held(batcher, engine):
        (waiting,) = queued(batcher, engine, [1])
        with pytest.raises(QueueFullError):
            batcher.admit()
    assert waiting.end() == [2]
    batcher.admit()
    batcher.admit()  # one for the engine, one to wait
    with pytest.raises(QueueFullError):
        batcher.admit()
    batcher.dismiss()
    batcher.admit()


def test_who_gives_up_leaves_the_queue_and_is_not_computed(make_batcher: Callable[..., Batcher]) -> None:
    batcher, engine = make_batcher(1, 2), Doubling()
    with held(batcher, engine):
        gone, there = queued(batcher, engine, [2], [3])
        gone.cancel()
        wait_until(lambda: batcher.waiting == 1)
    with pytest.raises(CancelledError):
        gone.end()
    assert there.end() == [6]
    assert engine.batches == [[0], [3]]
    assert batcher.waiting == 0


def test_who_gives_up_while_the_engine_is_at_work_takes_nobody_along(make_batcher: Callable[..., Batcher]) -> None:
    batcher, engine = make_batcher(1, 3), Doubling()
    engine.gate.clear()
    alone = Asking(batcher, engine, [1])
    wait_until(lambda: engine.at_work == 1)
    asking = queued(batcher, engine, [2])
    alone.cancel()
    engine.gate.set()
    assert asking[0].end() == [4]
    assert engine.batches == [[1], [2]]


def test_a_free_engine_waits_for_a_full_batch_where_that_was_asked_for(make_batcher: Callable[..., Batcher]) -> None:
    batcher, engine = make_batcher(1, 8, max_delay_s=30), Doubling(batch_limit=3)
    start = time.monotonic()
    asking = [Asking(batcher, engine, [n]) for n in (1, 2, 3)]
    assert [a.end() for a in asking] == [[2], [4], [6]]
    assert [sorted(batch) for batch in engine.batches] == [[1, 2, 3]]
    assert time.monotonic() - start < 20, "a full batch does not wait for the delay to pass"


def test_the_delay_ends(make_batcher: Callable[..., Batcher]) -> None:
    batcher, engine = make_batcher(1, 8, max_delay_s=0.02), Doubling()
    assert Asking(batcher, engine, [1]).end() == [2]
    assert engine.batches == [[1]]


def test_many_requests_never_get_each_others_answers(make_batcher: Callable[..., Batcher]) -> None:
    batcher, engines = make_batcher(2, 64), [Doubling(5, seconds=0.001), Doubling(64, seconds=0.001)]
    wrong: list[object] = []

    async def ask(number: int) -> None:
        for turn in range(60):
            values = np.arange(1 + turn % 3) + 1000.0 * number + turn
            batcher.admit()
            done = await batcher.run(engines[(number + turn) % 2], values)
            if done.outputs.tolist() != (2 * values).tolist():
                wrong.append((values, done))

    async def all_of_them() -> None:
        await asyncio.gather(*(ask(number) for number in range(1, 17)))

    asyncio.run_coroutine_threadsafe(all_of_them(), serving_loop()).result(60)
    assert not wrong
    assert sum(len(e.batches) for e in engines) < 16 * 60, "some were run together"
    assert batcher.waiting == 0
