"""Whether a server takes requests, as everybody who asks is told: KServe's health, ``grpc.health.v1``, HTTP."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

import grpc

log = logging.getLogger("ecc_deploy.serving")


class Health:
    """Not ready until :meth:`begin`, and not any more after :meth:`end`."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._servicer: Any = None

    @property
    def is_ready(self) -> bool:
        """Whether new requests are welcome."""
        return self._ready.is_set()

    def join(self, server: grpc.Server) -> None:
        """Offer ``grpc.health.v1`` on ``server`` too, where ``grpcio-health-checking`` is installed."""
        try:
            from grpc_health.v1 import health, health_pb2_grpc
        except ImportError:
            log.info("grpc.health.v1 is not offered: pip install 'ecc-deploy[serve]'")
            return
        # Without a thread for each client that watches.
        self._servicer = health.HealthServicer(experimental_non_blocking=True)
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)
        self._say([""], is_serving=False)

    def begin(self, names: Sequence[str]) -> None:
        """Requests are answered from now on: those of the services ``names``, and the server as a whole."""
        self._say(["", *names], is_serving=True)
        self._ready.set()

    def end(self) -> None:
        """New requests should go elsewhere. May be called twice."""
        self._ready.clear()
        if self._servicer is not None:
            self._servicer.enter_graceful_shutdown()  # every name, and those who watch are told

    def _say(self, names: Sequence[str], *, is_serving: bool) -> None:
        if self._servicer is None:
            return
        from grpc_health.v1 import health_pb2

        states = health_pb2.HealthCheckResponse
        for name in names:
            self._servicer.set(name, states.SERVING if is_serving else states.NOT_SERVING)
