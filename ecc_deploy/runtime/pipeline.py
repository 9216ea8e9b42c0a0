"""Several requests under way on one connection: throughput over a long link is not bound by its delay.

The edge half runs in the thread that submits, one sample after the other; what is sent is answered in the background.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from ecc_deploy.closing import Closing
from ecc_deploy.errors import UsageError
from ecc_deploy.runtime.cloud import CloudAnswer, CloudError, outcome_of
from ecc_deploy.runtime.result import Prediction, Reason
from ecc_deploy.runtime.sample import Sample

if TYPE_CHECKING:
    from ecc_deploy.runtime.engine import EdgeRuntime

WhenFull = Literal["wait", "edge"]
MAX_IN_FLIGHT = 4096
_AHEAD = 16
_CLOSED = CloudError(Reason.UNAVAILABLE, "the pipeline was closed", is_fault=False)


class Pipeline(Closing):
    """Answers samples of ``runtime`` with at most ``in_flight`` requests under way. A context manager; thread-safe.

    ``when_full`` says what happens to a sample that is to be sent while that many are under way. ``wait``: whoever
    submits it waits for a place, no longer than to the sample's deadline. ``edge``: the edge answers it at once
    (``Reason.BUSY``). What the edge answers needs no place.

    Every sample that was submitted gets one answer: its deadline counts from the moment that the edge began with it,
    and what is under way when the pipeline is closed is answered by the edge. A sample that its caller cancels gets
    none, and its request ends, at the server too.

    Raises :class:`UsageError` for options out of range.
    """

    def __init__(self, runtime: EdgeRuntime, *, in_flight: int = 8, when_full: WhenFull = "wait") -> None:
        if not 1 <= in_flight <= MAX_IN_FLIGHT:
            raise UsageError(f"in_flight is {in_flight}; it must be from 1 to {MAX_IN_FLIGHT}")
        if when_full not in get_args(WhenFull):
            raise UsageError(f"when_full is {when_full!r}", f"Give one of: {', '.join(get_args(WhenFull))}.")
        self.in_flight = in_flight
        self._runtime = runtime
        self._when_full = when_full
        self._places = threading.BoundedSemaphore(in_flight)
        # Answers are finished here and not on gRPC's thread, which brings those of all other requests.
        self._finisher = ThreadPoolExecutor(1, thread_name_prefix="ecc-finish")
        self._edge = ThreadPoolExecutor(1, thread_name_prefix="ecc-edge")
        self._lock = threading.Lock()
        self._under_way: set[Future[CloudAnswer]] = set()
        self._is_closed = False

    def submit(self, image: np.ndarray) -> Future[Prediction]:
        """Run the edge's part on ``image``, uint8 ``[H, W, C]``, and send it if it is to be sent.

        The future is done already where the edge answers. Its callbacks must not block: they run on the one thread that
        finishes answers. Raises :class:`UsageError` for what :meth:`EdgeRuntime.predict` does not take, and for a
        pipeline that was closed.
        """
        if self._is_closed:
            raise UsageError("the pipeline was closed", "Make a new Pipeline.")
        future: Future[Prediction] = Future()
        sample = self._runtime.begin(image)
        if isinstance(sample, Prediction):
            future.set_result(sample)
            return future
        refusal = self._take_place(sample)
        if refusal is not None:
            future.set_result(self._runtime.conclude(sample, refusal))
            return future
        try:
            refusal = self._runtime.admit(sample)
            if refusal is None:
                call = self._runtime.send(sample)
        except BaseException:
            self._runtime.forget(sample)
            self._places.release()
            raise
        if refusal is not None:
            self._places.release()
            future.set_result(self._runtime.conclude(sample, refusal))
            return future
        with self._lock:
            self._under_way.add(call)
            is_closed = self._is_closed
        if is_closed:  # meanwhile, by another thread
            call.cancel()
        call.add_done_callback(lambda done: self._arrived(sample, done, future))
        future.add_done_callback(lambda given: call.cancel() if given.cancelled() else None)
        return future

    async def predict(self, image: np.ndarray) -> Prediction:
        """Classify one image in asyncio; the edge's part runs in a thread. Cancelling it ends the request."""
        begun = self._edge.submit(self.submit, image)
        try:
            future = await asyncio.wrap_future(begun)
        except asyncio.CancelledError:
            begun.add_done_callback(_cancel_result)
            raise
        return await asyncio.wrap_future(future)

    def predict_many(self, images: Iterable[np.ndarray]) -> Iterator[Prediction]:
        """Answer ``images`` in their order.

        ``images`` is read as answers are taken: at most 16 samples for each place in flight are begun and not yet
        given out, so that a series without end needs bounded memory. An answer waits for those before it;
        :meth:`predict_unordered` does not. An error of ``images``, or an image that is refused, is raised after the
        answers to the samples before it. Who stops early leaves nothing behind: the rest is cancelled.
        """
        pending: deque[Future[Prediction]] = deque()
        source = iter(images)
        trouble: Exception | None = None
        try:
            while True:
                try:
                    pending.append(self.submit(next(source)))
                except StopIteration:
                    break
                except Exception as error:
                    trouble = error
                    break
                while pending and (pending[0].done() or len(pending) >= _AHEAD * self.in_flight):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
            if trouble is not None:
                raise trouble
        finally:
            for future in pending:
                future.cancel()

    def predict_unordered(self, images: Iterable[np.ndarray]) -> Iterator[tuple[int, Prediction]]:
        """As :meth:`predict_many`, in the order in which answers are there: the image's place in ``images``, answer."""
        answered: SimpleQueue[tuple[int, Future[Prediction]]] = SimpleQueue()
        pending: dict[int, Future[Prediction]] = {}
        source = enumerate(images)
        trouble: Exception | None = None

        def told(index: int) -> Callable[[Future[Prediction]], None]:
            return lambda future: answered.put((index, future))

        try:
            while True:
                try:
                    index, image = next(source)
                    pending[index] = self.submit(image)
                except StopIteration:
                    break
                except Exception as error:
                    trouble = error
                    break
                pending[index].add_done_callback(told(index))
                while not answered.empty():
                    index, future = answered.get()
                    del pending[index]
                    yield index, future.result()
            while pending:
                index, future = answered.get()
                del pending[index]
                yield index, future.result()
            if trouble is not None:
                raise trouble
        finally:
            for future in pending.values():
                future.cancel()

    def _take_place(self, sample: Sample) -> CloudError | None:
        """Take one of the places in flight; what to tell of the sample where there is none."""
        if self._when_full == "edge":
            if self._places.acquire(blocking=False):
                return None
            return CloudError(
                Reason.BUSY, f"{self.in_flight} requests are under way, as many as may be", is_fault=False
            )
        if self._places.acquire(timeout=max(sample.remaining_s(), 0)):
            return None
        return CloudError(
            Reason.DEADLINE, f"the deadline passed while {self.in_flight} requests were under way", is_fault=False
        )

    def _arrived(self, sample: Sample, call: Future[CloudAnswer], future: Future[Prediction]) -> None:
        with self._lock:
            self._under_way.discard(call)
        try:
            self._finisher.submit(self._finish, sample, call, future)
        except RuntimeError:  # submitted while another thread closed the pipeline
            self._finish(sample, call, future)

    def _finish(self, sample: Sample, call: Future[CloudAnswer], future: Future[Prediction]) -> None:
        if not future.set_running_or_notify_cancel():
            self._runtime.forget(sample)
            self._places.release()
            return
        try:
            prediction = self._runtime.conclude(sample, outcome_of(call) or _CLOSED)
        except Exception as error:
            self._places.release()
            future.set_exception(error)
        else:
            self._places.release()
            future.set_result(prediction)

    def close(self) -> None:
        """End what is under way: the edge answers it. May be called twice. The runtime stays open."""
        with self._lock:
            self._is_closed = True
            calls = list(self._under_way)
        for call in calls:
            call.cancel()
        self._edge.shutdown()
        self._finisher.shutdown()


def _cancel_result(begun: Future[Future[Prediction]]) -> None:
    if not begun.cancelled() and begun.exception() is None:
        begun.result().cancel()
