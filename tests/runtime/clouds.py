"""Clouds without a network: one that answers when it is told to, and one that answers well, badly or late by chance."""

from __future__ import annotations

import random
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from ecc_deploy.bundle import Bundle
from ecc_deploy.payload import make_codec
from ecc_deploy.runtime.cloud import CloudAnswer, CloudError
from ecc_deploy.runtime.result import Reason
from tests import toy
from tests.serving.requests import BOUNDARY


def right_logits(payload: bytes) -> np.ndarray:
    """What the toy's tail answers to this payload (``int4``)."""
    codes = make_codec("int4", BOUNDARY).decode(payload)
    return (codes.reshape(1, 16) * toy.SCALE @ (6 * toy._quadrants(4)))[0].astype(np.float32)


def right_answer(payload: bytes, round_trip_ms: float = 1.0) -> CloudAnswer:
    return CloudAnswer(right_logits(payload), round_trip_ms, 0.5, 0.1, 0.1, 0.2)


class ManualCloud:
    """Keeps every request until :meth:`answer` is called."""

    def __init__(self, bundle: Bundle) -> None:
        self.pair_id = bundle.manifest.pair_id
        self.lock = threading.Condition()
        self.requests: list[tuple[bytes, Future[CloudAnswer], float]] = []
        """Payload, future, seconds that it was given."""
        self.most = 0
        """Requests that were under way at a time, at most."""

    @property
    def open(self) -> list[tuple[bytes, Future[CloudAnswer], float]]:
        return [request for request in self.requests if not request[1].done()]

    def submit(self, half: str, payload: bytes, codec: str, deadline_s: float) -> Future[CloudAnswer]:
        future: Future[CloudAnswer] = Future()
        with self.lock:
            self.requests.append((payload, future, deadline_s))
            self.most = max(self.most, len(self.open))
            self.lock.notify_all()
        return future

    def infer(self, half: str, payload: bytes, codec: str, deadline_s: float) -> CloudAnswer:
        return self.submit(half, payload, codec, deadline_s).result()

    def wait_for(self, open_requests: int) -> None:
        """Until that many are under way."""
        with self.lock:
            assert self.lock.wait_for(lambda: len(self.open) >= open_requests, 20), len(self.open)

    def answer(self, place: int = 0, error: CloudError | None = None) -> None:
        """Answer the open request in this place, rightly or with ``error``."""
        payload, future, _ = self.open[place]
        if error is None:
            future.set_result(right_answer(payload))
        else:
            future.set_exception(error)


class WildCloud(ManualCloud):
    """Answers in any order: rightly, or with a failure of its own, some at once; from several threads."""

    def __init__(self, bundle: Bundle, seed: int, failures: float = 0.3) -> None:
        super().__init__(bundle)
        self._random = random.Random(seed)
        self._failures = failures
        self._threads = ThreadPoolExecutor(3)

    def submit(self, half: str, payload: bytes, codec: str, deadline_s: float) -> Future[CloudAnswer]:
        future = super().submit(half, payload, codec, deadline_s)
        with self.lock:
            fails, at_once = self._random.random() < self._failures, self._random.random() < 0.2
            pause = self._random.random() / 500
        if at_once:
            self._end(future, payload, fails, 0)
        else:
            self._threads.submit(self._end, future, payload, fails, pause)
        return future

    def _end(self, future: Future[Any], payload: bytes, fails: bool, pause: float) -> None:
        threading.Event().wait(pause)
        if not future.set_running_or_notify_cancel():
            return
        if fails:
            future.set_exception(CloudError(Reason.UNAVAILABLE, "wild"))
        else:
            future.set_result(right_answer(payload))

    def close(self) -> None:
        self._threads.shutdown()
