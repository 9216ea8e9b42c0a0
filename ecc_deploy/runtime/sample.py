"""One sample between the edge's part and the last word on it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from ecc_deploy.runtime.breaker import Permit
from ecc_deploy.runtime.policy import Choice
from ecc_deploy.runtime.result import Prediction, Reason, Route, Timings


@dataclass
class Sample:
    """``image``: uint8 ``[H, W, C]``. Times are those of ``time.perf_counter_ns``."""

    image: np.ndarray
    start_ns: int
    deadline_ns: int
    timings: Timings = field(default_factory=Timings)
    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    """What the edge half gave, without batch."""
    payload: bytes = b""
    sent_ns: int = 0
    """When it was given to the cloud's client; 0 before."""
    codec: str = ""
    """Of the payload."""
    requests: int = 1
    """How often the payload was sent, where it was."""
    permit: Permit | None = None
    """Of the circuit breaker."""
    choice: Choice | None = None
    """Of the adaptive policy."""

    @property
    def own(self) -> np.ndarray:
        """The edge's own logits, float32 ``[classes]``; KeyError where the half that ran gives none."""
        return self.outputs["logits"]

    def remaining_s(self) -> float:
        """Seconds to the deadline; below 0 after it."""
        return (self.deadline_ns - time.perf_counter_ns()) / 1e9

    def answered(self, logits: np.ndarray, route: Route, reason: Reason, detail: str = "") -> Prediction:
        """The prediction, its times complete."""
        timings = self.timings
        timings.total = ms_since(self.start_ns)
        stages = (
            timings.edge, timings.encode, timings.network, timings.server_queue, timings.cloud_decode,
            timings.cloud_compute, timings.fallback,
        )  # fmt: skip
        timings.other = max(timings.total - sum(stages), 0.0)
        return Prediction(logits, route, reason, len(self.payload) * self.requests, timings, detail)


def ms_since(start_ns: int) -> float:
    """Milliseconds since a time of ``time.perf_counter_ns``."""
    return (time.perf_counter_ns() - start_ns) / 1e6
