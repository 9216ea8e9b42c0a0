"""How Ray's gRPC proxy passes the protocol's messages on: as the bytes they are.

Named in ``grpc_options`` of the configuration. A replica is another process: what goes there is pickled, and the
classes of ``tritonclient``'s messages, made from a file of another name, cannot be. Bytes can, and are parsed once.
"""

from __future__ import annotations

from typing import Any

import grpc

from ecc_deploy import wire

METHODS = (
    "ModelInfer",
    "ModelConfig",
    "ModelReady",
    "ModelMetadata",
    "ServerLive",
    "ServerReady",
    "ServerMetadata",
)
"""What the replicas answer; each is a method of :class:`~ecc_deploy.scaling.ray_app.CloudHalves`."""


def add_to_server(servicer: Any, server: Any) -> None:
    """Register the methods with Ray's ``server``, which puts its own routing in the place of what they do."""
    handlers = {name: grpc.unary_unary_rpc_method_handler(_never) for name in METHODS}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(wire.SERVICE, handlers),))


def _never(request: bytes, context: Any) -> bytes:
    raise NotImplementedError("Ray routes this call to a replica")
