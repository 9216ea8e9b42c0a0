"""The cloud side: a gRPC server for the cloud halves of any number of bundles."""

from __future__ import annotations

import logging
import queue
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

import grpc

from ecc_deploy import wire
from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import ServerError, UsageError
from ecc_deploy.serving.access import Access, RateLimit, Tokens, exposure
from ecc_deploy.serving.batching import Batcher, Ran
from ecc_deploy.serving.catalog import Catalog
from ecc_deploy.serving.figures import NoFigures, Prometheus
from ecc_deploy.serving.health import Health
from ecc_deploy.serving.http import WatchPort
from ecc_deploy.serving.loop import on_loop
from ecc_deploy.serving.model import CloudModel
from ecc_deploy.serving.options import ServerOptions
from ecc_deploy.serving.service import Service

if TYPE_CHECKING:
    from typing_extensions import Self

log = logging.getLogger("ecc_deploy.serving")

SPARE_REQUESTS = 8
"""Beyond those that compute and wait: health checks and refusals are answered although the queue is full."""


class Server:
    """Serves the cloud halves of ``bundles``. A context manager: started on enter, stopped on exit.

    ``given``: fields of :class:`~ecc_deploy.serving.options.ServerOptions`, in place of those of ``options``.

    Raises :class:`UsageError` for options out of range, certificates or tokens that cannot be used, or bundles without
    a cloud half.
    """

    def __init__(self, bundles: Sequence[Bundle], options: ServerOptions | None = None, **given: Any) -> None:
        self.options = replace(options or ServerOptions(), **given)
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
        tls, token_file, rate = self.options.tls, self.options.token_file, self.options.rate_limit
        self._credentials = None if tls is None else tls.credentials()
        self._access = Access(
            None if token_file is None else Tokens(token_file), None if rate is None else RateLimit(rate)
        )
        self.port = self.options.port
        self._batcher = Batcher(
            self.options.concurrency, self.options.max_queue, self.options.max_batch_delay_ms / 1e3, self._ran
        )
        self.health = Health()
        self._figures: Prometheus | NoFigures = NoFigures()
        if self.options.metrics_port is not None:
            self._figures = Prometheus(lambda: self.waiting, lambda: self.health.is_ready)
        self._open = ExitStack()
        self._grpc: grpc.aio.Server | None = None
        self.names: list[str] = []
        """The model names that it answers to, once started."""
        self.metrics_port: int | None = None
        """Where it is watched, once started."""

    def start(self) -> None:
        """Load every half, answer one sample with each, then listen. When this returns, requests are answered.

        Raises :class:`ServerError` where the port cannot be had, :class:`BundleError` where a half does not run.
        """
        if self._grpc is not None:
            raise ServerError("the server was started before", "Make a new Server.")
        try:
            models = []
            for bundle, key in self._keys:
                model = CloudModel(bundle, key, self.options.threads)
                self._open.callback(model.close)
                model.warm_up()
                models.append(model)
            self._open.callback(self._batcher.close)  # waits for engines at work, before they are closed
            self._watch()
            on_loop(self._listen(models))
        except BaseException:
            self._open.close()
            raise

    def _ran(self, ran: Ran) -> None:
        self._figures.batch(ran.engine.label, ran.requests, ran.samples, ran.compute_ns)

    def _watch(self) -> None:
        if self.options.metrics_port is None or not isinstance(self._figures, Prometheus):
            return
        watch = WatchPort(
            self.options.host, self.options.metrics_port, self._figures.text, lambda: self.health.is_ready
        )
        self._open.callback(watch.close)
        self.metrics_port = watch.port

    async def _listen(self, models: list[CloudModel]) -> None:
        options = self.options
        at_work = options.concurrency * min(options.max_queue + 1, max(model.batch_limit for model in models))
        requests = at_work + options.concurrency + options.max_queue + SPARE_REQUESTS
        largest = wire.MIN_MESSAGE_BYTES + max(model.max_batch * (model.max_payload_bytes + 4) for model in models)
        server = grpc.aio.server(
            maximum_concurrent_rpcs=requests,  # beyond, gRPC itself says RESOURCE_EXHAUSTED
            options=[
                ("grpc.so_reuseport", 0),  # a second server on the port is an error, not a coin toss
                ("grpc.max_receive_message_length", options.max_request_bytes or largest),
                ("grpc.max_metadata_size", 16 * 1024),
            ],
        )
        catalog = Catalog(models)
        service = Service(catalog, self._batcher, self._access, self._figures, lambda: self.health.is_ready)
        handlers = (service.handler(), self.health.handler())
        server.add_generic_rpc_handlers([handler for handler in handlers if handler is not None])
        try:
            if self._credentials is None:
                bound = server.add_insecure_port(options.address)
            else:
                bound = server.add_secure_port(options.address, self._credentials)
        except RuntimeError as error:
            raise ServerError(
                f"cannot listen on {options.address}: the port is taken, or the address is not this machine's",
                "Give another --port (0 takes a free one) or --host, or stop what listens there.",
            ) from error
        await server.start()
        self._grpc, self.port, self.names = server, bound, catalog.names
        self.health.begin([wire.SERVICE, *catalog.names])
        if warning := exposure(options.host, options.tls, knows_tokens=options.token_file is not None):
            log.warning("%s", warning)

    def drain(self) -> None:
        """Say that it is not ready, and go on answering for as long as was agreed: ``notice_s``."""
        self.health.end()
        time.sleep(self.options.notice_s)

    def stop(self, grace_s: float = 2.0) -> None:
        """Refuse new requests, give those at work ``grace_s`` seconds, free everything. May be called twice."""
        self.health.end()
        if self._grpc is not None:
            on_loop(self._grpc.stop(grace_s))
        self._open.close()

    @property
    def waiting(self) -> int:
        """Requests that wait for an engine now."""
        return self._batcher.waiting

    def wait(self) -> None:
        """Block until the server was stopped."""
        if self._grpc is not None:
            on_loop(self._grpc.wait_for_termination())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def serve(
    bundles: Sequence[Bundle],
    options: ServerOptions | None = None,
    *,
    ready: Callable[[int], None] = lambda port: None,
    **given: Any,
) -> None:
    """Serve ``bundles`` until SIGINT or SIGTERM; ``ready`` is called with the port once requests are answered.

    The other arguments and the errors are those of :class:`Server`. After a signal it says that it is not ready, for
    ``notice_s``; then new requests are refused and those at work finished. A second signal ends the process at once. To
    be called from the main thread.
    """
    # Not an Event: a signal that comes while the main thread holds its lock would wait for it in that same thread.
    asked_to_stop: queue.SimpleQueue[None] = queue.SimpleQueue()
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def stop(number: int, frame: FrameType | None) -> None:
        restore()
        asked_to_stop.put(None)

    for number in previous:
        signal.signal(number, stop)
    server = Server(bundles, options, **given)
    try:
        server.start()
        if asked_to_stop.empty():
            ready(server.port)
        asked_to_stop.get()
        server.drain()
    finally:
        server.stop(server.options.grace_s)
        restore()
