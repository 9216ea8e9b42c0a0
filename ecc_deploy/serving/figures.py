"""What a server counts while it works: requests, batches, times and bytes, in Prometheus' form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ecc_deploy.errors import BackendMissingError

UNKNOWN = "unknown"
"""The model of a request that names none that is served: what a stranger writes does not become a label."""
_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_SAMPLES = (1, 2, 4, 8, 16, 32, 64)


@dataclass
class Infer:
    """One inference request, as far as it came."""

    bytes_in: int
    model: str = UNKNOWN
    code: str = "OK"
    bytes_out: int = 0
    queue_ns: int = 0
    decode_ns: int = 0
    server_ns: int = 0


class Figures(Protocol):
    """Where the figures go. Called on the event loop; read from other threads."""

    def infer(self, request: Infer) -> None:
        """A request has ended."""

    def batch(self, model: str, requests: int, samples: int, compute_ns: int) -> None:
        """An engine has run."""


class NoFigures:
    """Counts nothing."""

    def infer(self, request: Infer) -> None:
        pass

    def batch(self, model: str, requests: int, samples: int, compute_ns: int) -> None:
        pass


class Prometheus:
    """Figures in a registry of their own; ``waiting`` and ``is_ready`` are asked when they are read.

    Raises :class:`BackendMissingError` where ``prometheus-client`` is not installed.
    """

    def __init__(self, waiting: Callable[[], int], is_ready: Callable[[], bool]) -> None:
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
        except ImportError as error:
            raise BackendMissingError(
                "prometheus-client is not installed, and a port for metrics was asked for",
                "Run: pip install 'ecc-deploy[serve]'",
            ) from error
        self.registry = CollectorRegistry()

        def histogram(name: str, help_: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, help_, ["model"], registry=self.registry, buckets=buckets)

        self._requests = Counter(
            "ecc_requests", "Inference requests, by what they were answered.", ["model", "code"], registry=self.registry
        )
        self._bytes_in = Counter("ecc_request_bytes", "Bytes of inference requests.", ["model"], registry=self.registry)
        self._bytes_out = Counter("ecc_response_bytes", "Bytes of answers.", ["model"], registry=self.registry)
        self._total = histogram("ecc_request_seconds", "From the message to the answer, in the handler.", _SECONDS)
        self._queue = histogram("ecc_queue_seconds", "A request's wait for an engine.", _SECONDS)
        self._decode = histogram("ecc_decode_seconds", "Decoding and preprocessing of a request.", _SECONDS)
        self._compute = histogram("ecc_compute_seconds", "The engine, per batch.", _SECONDS)
        self._batch_requests = histogram("ecc_batch_requests", "Requests in a batch.", _SAMPLES)
        self._batch_samples = histogram("ecc_batch_samples", "Samples in a batch.", _SAMPLES)
        Gauge("ecc_waiting_requests", "Requests that wait for an engine.", registry=self.registry).set_function(waiting)
        Gauge("ecc_ready", "1 while requests are answered.", registry=self.registry).set_function(
            lambda: float(is_ready())
        )

    def infer(self, request: Infer) -> None:
        """Count it; times only of what was answered."""
        self._requests.labels(request.model, request.code).inc()
        self._bytes_in.labels(request.model).inc(request.bytes_in)
        if request.code == "OK":
            self._bytes_out.labels(request.model).inc(request.bytes_out)
            self._total.labels(request.model).observe(request.server_ns / 1e9)
            self._queue.labels(request.model).observe(request.queue_ns / 1e9)
            self._decode.labels(request.model).observe(request.decode_ns / 1e9)

    def batch(self, model: str, requests: int, samples: int, compute_ns: int) -> None:
        """Count it."""
        self._compute.labels(model).observe(compute_ns / 1e9)
        self._batch_requests.labels(model).observe(requests)
        self._batch_samples.labels(model).observe(samples)

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)
