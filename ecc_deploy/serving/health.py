"""Whether a server takes requests, as everybody who asks is told: KServe's health, ``grpc.health.v1``, HTTP."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from ecc_deploy.serving.loop import serving_loop

log = logging.getLogger("ecc_deploy.serving")

SERVICE = "grpc.health.v1.Health"


class Health:
    """Not ready until :meth:`begin`, and not any more after :meth:`end`."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._names: frozenset[str] = frozenset()
        self._changed = asyncio.Event()  # of the loop, where it is replaced whenever it was set

    @property
    def is_ready(self) -> bool:
        """Whether new requests are welcome."""
        return self._ready.is_set()

    def begin(self, names: Sequence[str]) -> None:
        """Requests are answered from now on: those of the services ``names``, and the server as a whole."""
        self._names = frozenset(names)
        self._ready.set()
        self._tell()

    def end(self) -> None:
        """New requests should go elsewhere; those who watch are told. May be called twice."""
        if self._ready.is_set():
            self._ready.clear()
            self._tell()

    def handler(self) -> grpc.GenericRpcHandler | None:
        """``grpc.health.v1`` for a server on the loop; ``None`` where ``grpcio-health-checking`` is not installed.

        Its messages are used and not its servicer for asyncio: there, when one of two who watch a service goes, the
        other is told nothing more.
        """
        try:
            from grpc_health.v1 import health_pb2
        except ImportError:
            log.info("grpc.health.v1 is not offered: pip install 'ecc-deploy[serve]'")
            return None
        answer = health_pb2.HealthCheckResponse

        def status(name: str) -> Any:
            if name and name not in self._names:
                return answer.SERVICE_UNKNOWN
            return answer.SERVING if self.is_ready else answer.NOT_SERVING

        async def check(request: Any, context: grpc.aio.ServicerContext) -> Any:
            if (found := status(request.service)) == answer.SERVICE_UNKNOWN:
                await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service")
            return answer(status=found)

        async def watch(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            told = None
            while True:
                changed = self._changed
                if (found := status(request.service)) != told:
                    yield answer(status=found)
                told = found
                await changed.wait()

        reading, writing = health_pb2.HealthCheckRequest.FromString, answer.SerializeToString
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Check": grpc.unary_unary_rpc_method_handler(check, reading, writing),
                "Watch": grpc.unary_stream_rpc_method_handler(watch, reading, writing),
            },
        )

    def _tell(self) -> None:
        serving_loop().call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
