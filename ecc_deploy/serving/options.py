"""How a server is to be: its address, how much it does at a time, whom it lets in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ecc_deploy.errors import UsageError
from ecc_deploy.serving.access import ServerTls


@dataclass(frozen=True)
class ServerOptions:
    """Raises :class:`UsageError` for a value out of range."""

    host: str = "127.0.0.1"
    """Address to listen on: this machine alone, unless told else."""
    port: int = 0
    """0: a free one; :attr:`Server.port` says which."""
    threads: int = 1
    """CPU threads of one inference."""
    concurrency: int = 1
    """Inferences at a time."""
    max_queue: int = 64
    """Requests that wait for an inference; beyond, they are refused at once."""
    max_batch_delay_ms: float = 0.0
    """How long a free engine waits for more requests; what waits anyway is always run together, as one batch."""
    max_request_bytes: int | None = None
    """Of one message; ``None``: as much as the largest batch of the served halves may take."""
    tls: ServerTls | None = None
    """Encrypt, and let in only clients with a certificate where it has a ``client_ca``; ``None``: readable by all."""
    token_file: str | Path | None = None
    """Let in only requests with one of these tokens; ``None``: all."""
    rate_limit: float | None = None
    """Requests per second of one client (a token, else an address); ``None``: any number."""
    metrics_port: int | None = None
    """HTTP port on the same host for ``/metrics`` (Prometheus), ``/healthz`` and ``/readyz``; ``None``: none."""
    notice_s: float = 0.0
    """After the signal to stop: how long the server says that it is not ready, before it refuses new requests."""
    grace_s: float = 10.0
    """After that: how long the requests at work may take."""

    def __post_init__(self) -> None:
        limits: tuple[tuple[str, float | None, float, float], ...] = (
            ("port", self.port, 0, 65535),
            ("threads", self.threads, 1, 1024),
            ("concurrency", self.concurrency, 1, 1024),
            ("max_queue", self.max_queue, 0, 4096),
            ("max_batch_delay_ms", self.max_batch_delay_ms, 0, 1000),
            ("max_request_bytes", self.max_request_bytes, 1024, 1 << 30),
            ("rate_limit", self.rate_limit, 0.001, 1e6),
            ("metrics_port", self.metrics_port, 0, 65535),
            ("notice_s", self.notice_s, 0, 3600),
            ("grace_s", self.grace_s, 0, 3600),
        )
        for name, value, least, most in limits:
            if value is not None and not least <= value <= most:
                raise UsageError(f"{name} is {value}; it must be from {least:.15g} to {most:.15g}")

    @property
    def address(self) -> str:
        """``host:port``, as gRPC wants it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
