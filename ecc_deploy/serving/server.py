"""The cloud side: a gRPC server for the cloud halves of any number of bundles."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

import grpc

from ecc_deploy import wire
from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import ServerError, UsageError
from ecc_deploy.serving.batching import Batcher
from ecc_deploy.serving.catalog import Catalog
from ecc_deploy.serving.model import CloudModel
from ecc_deploy.serving.service import Service

if TYPE_CHECKING:
    from typing_extensions import Self

log = logging.getLogger("ecc_deploy.serving")

SPARE_THREADS = 8
"""Beyond those that compute and wait: health checks and refusals are answered although the queue is full."""


class Server:
    """Serves the cloud halves of ``bundles``. A context manager: started on enter, stopped on exit.

    ``threads``: CPU threads of one inference; ``concurrency``: inferences at a time; ``max_queue``: requests that wait
    for one, beyond which they are refused at once. Requests for one half that wait are run together, as one batch;
    ``max_batch_delay_ms``: how long a free engine waits for more of them. With ``port`` 0 a free port is taken;
    :attr:`port` says which.

    Whoever can reach the port can use the server: it knows no users. It binds to this machine alone unless told else.

    Raises :class:`UsageError` for arguments out of range, or bundles without a cloud half.
    """

    def __init__(
        self,
        bundles: Sequence[Bundle],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        threads: int = 1,
        concurrency: int = 1,
        max_queue: int = 64,
        max_batch_delay_ms: float = 0.0,
    ) -> None:
        limits: tuple[tuple[str, float, int, int], ...] = (
            ("port", port, 0, 65535),
            ("threads", threads, 1, 1024),
            ("concurrency", concurrency, 1, 1024),
            ("max_queue", max_queue, 0, 4096),
            ("max_batch_delay_ms", max_batch_delay_ms, 0, 1000),
        )
        for name, value, least, most in limits:
            if not least <= value <= most:
                raise UsageError(f"{name} is {value}; it must be from {least} to {most}")
        pairs = [bundle.manifest.pair_id for bundle in bundles]
        for bundle, pair_id in zip(bundles, pairs, strict=True):
            if pairs.count(pair_id) > 1:
                raise UsageError(f"{bundle.path} is given twice", "Give every bundle once.")
        self._keys = [
            (bundle, key)
            for bundle in bundles
            for key, half in sorted(bundle.manifest.halves.items())
            if half.side == "cloud"
        ]
        if not self._keys:
            raise UsageError(
                f"there is no cloud half in {', '.join(str(b.path) for b in bundles) or 'no bundle'}",
                "Export a bundle with a deployment that has one.",
            )
        self.host = host
        self.port = port
        self._threads = threads
        self._concurrency = concurrency
        self._max_queue = max_queue
        self._batcher = Batcher(concurrency, max_queue, max_batch_delay_ms / 1e3)
        self._open = ExitStack()
        self._grpc: grpc.Server | None = None
        self.names: list[str] = []
        """The model names that it answers to, once started."""

    def start(self) -> None:
        """Load every half, answer one sample with each, then listen. When this returns, requests are answered.

        Raises :class:`ServerError` where the port cannot be had, :class:`BundleError` where a half does not run.
        """
        if self._grpc is not None:
            raise ServerError("the server was started before", "Make a new Server.")
        try:
            models = []
            for bundle, key in self._keys:
                model = CloudModel(bundle, key, self._threads)
                self._open.callback(model.close)
                model.warm_up()
                models.append(model)
            self._listen(models)
        except BaseException:
            self._open.close()
            raise

    def _listen(self, models: list[CloudModel]) -> None:
        # Every request at work or waiting has a thread: those of full batches, those in the queue.
        at_work = self._concurrency * min(self._max_queue + 1, max(model.batch_limit for model in models))
        workers = at_work + self._concurrency + self._max_queue + SPARE_THREADS
        largest = max(model.max_batch * (model.max_payload_bytes + 4) for model in models)
        pool = ThreadPoolExecutor(workers, thread_name_prefix="ecc-serve")
        server = grpc.server(
            pool,
            maximum_concurrent_rpcs=workers,  # beyond, gRPC itself says RESOURCE_EXHAUSTED
            options=[
                ("grpc.so_reuseport", 0),  # a second server on the port is an error, not a coin toss
                ("grpc.max_receive_message_length", wire.MIN_MESSAGE_BYTES + largest),
                ("grpc.max_metadata_size", 16 * 1024),
            ],
        )
        catalog = Catalog(models)
        server.add_generic_rpc_handlers((Service(catalog, self._batcher).handler(),))
        address = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        try:
            bound = server.add_insecure_port(address)
        except RuntimeError as error:
            pool.shutdown()
            raise ServerError(
                f"cannot listen on {address}: the port is taken, or the address is not this machine's",
                "Give another --port (0 takes a free one) or --host, or stop what listens there.",
            ) from error
        server.start()
        self._open.callback(pool.shutdown)  # waits for handlers, which use the models that are closed after it
        self._grpc, self.port, self.names = server, bound, catalog.names

    def stop(self, grace_s: float = 2.0) -> None:
        """Refuse new requests, give those at work ``grace_s`` seconds, free everything. May be called twice."""
        if self._grpc is not None:
            self._grpc.stop(grace_s).wait()
        self._open.close()

    @property
    def waiting(self) -> int:
        """Requests that wait for an engine now."""
        return self._batcher.waiting

    def wait(self) -> None:
        """Block until the server was stopped."""
        if self._grpc is not None:
            self._grpc.wait_for_termination()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def serve(
    bundles: Sequence[Bundle],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    threads: int = 1,
    concurrency: int = 1,
    max_queue: int = 64,
    max_batch_delay_ms: float = 0.0,
    grace_s: float = 2.0,
    ready: Callable[[int], None] = lambda port: None,
) -> None:
    """Serve ``bundles`` until SIGINT or SIGTERM; ``ready`` is called with the port once requests are answered.

    The arguments and errors are those of :class:`Server`. After a signal the requests at work have ``grace_s`` seconds;
    a second signal ends the process at once. To be called from the main thread.
    """
    asked_to_stop = threading.Event()
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def stop(number: int, frame: FrameType | None) -> None:
        restore()
        asked_to_stop.set()

    for number in previous:
        signal.signal(number, stop)
    server = Server(
        bundles,
        host=host,
        port=port,
        threads=threads,
        concurrency=concurrency,
        max_queue=max_queue,
        max_batch_delay_ms=max_batch_delay_ms,
    )
    try:
        server.start()
        if not asked_to_stop.is_set():
            ready(server.port)
        asked_to_stop.wait()
    finally:
        server.stop(grace_s)
        restore()
