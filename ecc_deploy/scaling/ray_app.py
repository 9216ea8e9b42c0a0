"""The cloud halves of a bundle as an application of Ray Serve, ``ecc_deploy.scaling.ray_app:application``.

Ray's gRPC proxy answers the same protocol as our server; each replica holds every cloud half of the bundle and does
what our server does behind its port: it checks, decodes, gathers batches, refuses. Ray scales the replicas.
"""

from __future__ import annotations

from typing import Any

import grpc
from pydantic import BaseModel, ConfigDict, Field
from ray import serve

from ecc_deploy import wire
from ecc_deploy.bundle import open_bundle
from ecc_deploy.scaling.ray_messages import METHODS
from ecc_deploy.scaling.rayserve import MAX_ONGOING, MAX_QUEUED
from ecc_deploy.serving.batching import Batcher
from ecc_deploy.serving.catalog import Catalog
from ecc_deploy.serving.model import CloudModel
from ecc_deploy.serving.service import Service


class Arguments(BaseModel):
    """What the configuration says under ``args``. ``bundle``: its folder, on every node."""

    model_config = ConfigDict(extra="forbid")
    bundle: str
    threads: int = Field(default=1, ge=1, le=1024)


class _EndedError(Exception):
    """What ``abort`` raises: the status is in the context, where Ray looks for it."""


class _Context:
    """As much of a ``grpc.ServicerContext`` as the service uses, on Ray's, which knows no deadline of the caller."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def time_remaining(self) -> float | None:
        return None

    async def abort(self, code: grpc.StatusCode, message: str) -> None:
        self._context.set_code(code)
        self._context.set_details(message)
        raise _EndedError(message)


class _Details:
    """Names a method, as gRPC does when it looks for its handler."""

    invocation_metadata = ()

    def __init__(self, name: str) -> None:
        self.method = f"/{wire.SERVICE}/{name}"


@serve.deployment(name="CloudHalves", max_ongoing_requests=MAX_ONGOING, max_queued_requests=MAX_QUEUED)
class CloudHalves:
    """One replica. The methods are the remote procedures of the protocol; Ray runs them all on one event loop."""

    def __init__(self, bundle: str, threads: int) -> None:
        opened = open_bundle(bundle)
        models = [
            CloudModel(opened, key, threads)
            for key, half in sorted(opened.manifest.halves.items())
            if half.side == "cloud"
        ]
        for model in models:
            model.warm_up()
        handler = Service(Catalog(models), Batcher(1, MAX_ONGOING)).handler()
        self._methods = {name: handler.service(_Details(name)) for name in METHODS}

    async def _answer(self, name: str, message: bytes, context: Any) -> Any:
        method = self._methods[name]
        parse = method.request_deserializer  # none for ModelInfer, which the service parses itself
        return await method.unary_unary(message if parse is None else parse(message), _Context(context))

    async def ModelInfer(self, request: bytes, grpc_context: Any) -> Any:  # noqa: N802 - the protocol's name, as all below
        """Answer one request."""
        return await self._answer("ModelInfer", request, grpc_context)

    async def ModelConfig(self, request: bytes, grpc_context: Any) -> Any:  # noqa: N802
        """Say whose halves these are."""
        return await self._answer("ModelConfig", request, grpc_context)

    async def ModelReady(self, request: bytes, grpc_context: Any) -> Any:  # noqa: N802
        """Whether there is such a model."""
        return await self._answer("ModelReady", request, grpc_context)

    async def ModelMetadata(self, request: bytes, grpc_context: Any) -> Any:  # noqa: N802
        """The tensors of a model."""
        return await self._answer("ModelMetadata", request, grpc_context)

    async def ServerLive(self, request: bytes, grpc_context: Any) -> Any:  # noqa: N802
        """Whether a replica answers."""
        return await self._answer("ServerLive", request, grpc_context)

    async def ServerReady(self, request: bytes, grpc_context: Any) -> Any:  # noqa: N802
        """The same: a replica that is not ready gets no request."""
        return await self._answer("ServerReady", request, grpc_context)

    async def ServerMetadata(self, request: bytes, grpc_context: Any) -> Any:  # noqa: N802
        """Name and version."""
        return await self._answer("ServerMetadata", request, grpc_context)


def application(arguments: dict[str, Any]) -> Any:
    """The application that Ray Serve's configuration names. Raises pydantic's error for other arguments."""
    given = Arguments.model_validate(arguments)
    return CloudHalves.bind(  # type: ignore[attr-defined] # the decorator's
        given.bundle, given.threads
    )
