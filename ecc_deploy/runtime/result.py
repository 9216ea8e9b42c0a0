"""What the edge runtime answers: the prediction, the route it took and why, and where the time went."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np


class _Text(str, Enum):
    """A word that is its own text, as the standard library's ``StrEnum`` from Python 3.11 on."""

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, format_spec: str) -> str:
        return format(self.value, format_spec)


class Route(_Text):
    """Who gave the answer; where the deployment fuses, ``cloud`` means the cloud together with the edge."""

    EDGE = "edge"
    CLOUD = "cloud"


class Reason(_Text):
    """Why the answer came from there."""

    EDGE_ONLY = "edge-only"
    """The deployment has no cloud half."""
    CONFIDENT = "confident"
    """The gate let the edge answer."""
    OFFLOADED = "offloaded"
    """The cloud answered what the gate sent."""
    ALWAYS = "always"
    """The cloud answered; the deployment sends every sample."""
    LINK = "link"
    """The policy kept it on the edge: link or server are too slow for the budget now, or fail."""
    BUDGET = "budget"
    """The policy kept it on the edge: the byte budget goes to samples of which the edge is less sure."""
    DEADLINE = "deadline"
    """Fallback to the edge: the deadline passed before the cloud answered."""
    UNAVAILABLE = "unavailable"
    """Fallback to the edge: no connection to the cloud."""
    REFUSED = "refused"
    """Fallback to the edge: the server refused (overload, another pair, an invalid request) or failed."""
    BREAKER = "breaker"
    """Fallback to the edge: the cloud kept failing, and was not asked (see :mod:`ecc_deploy.runtime.breaker`)."""
    BUSY = "busy"
    """Fallback to the edge: as many requests as may be were under way, and the sample was not to wait for a place."""

    @property
    def is_fallback(self) -> bool:
        return self in (Reason.DEADLINE, Reason.UNAVAILABLE, Reason.REFUSED, Reason.BREAKER, Reason.BUSY)


STAGES = ("edge", "encode", "network", "server_queue", "cloud_decode", "cloud_compute", "fallback", "other")


@dataclass
class Timings:
    """Milliseconds of one sample, by stage; a stage that did not run is 0.

    ``edge``: preprocessing and edge half; ``encode``: payload codec; ``network``: the round trip less the server's own
    time, so link, protocol and both gRPC stacks, or the whole attempt where the cloud gave no answer; ``server_queue``:
    waiting for the cloud engine; ``cloud_decode``: payload codec and preprocessing in the cloud; ``cloud_compute``: the
    cloud engine; ``fallback``: the edge's own answer after the cloud gave none; ``other``: what of ``total`` is none of
    these (gate, fusion, waiting for a place in flight, bookkeeping on both sides).
    """

    edge: float = 0.0
    encode: float = 0.0
    network: float = 0.0
    server_queue: float = 0.0
    cloud_decode: float = 0.0
    cloud_compute: float = 0.0
    fallback: float = 0.0
    other: float = 0.0
    total: float = 0.0


@dataclass
class Prediction:
    """``logits``: float32 ``[classes]``; ``payload_bytes``: what was encoded to be sent, 0 where nothing was; twice
    that where it was sent twice.

    Where the deployment fuses, the logits of an answer by way of the cloud are the log-probabilities of both together.
    """

    logits: np.ndarray
    route: Route
    reason: Reason
    payload_bytes: int = 0
    timings: Timings = field(default_factory=Timings)
    detail: str = ""
    """For a fallback, what the client or server said."""

    @property
    def label(self) -> int:
        """The class with the highest logit."""
        return int(self.logits.argmax())
