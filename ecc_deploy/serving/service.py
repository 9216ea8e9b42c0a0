"""The remote procedures of KServe v2 that an edge needs: health, metadata, configuration, inference."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any, TypeVar

import grpc
import numpy as np
from google.protobuf.message import DecodeError
from tritonclient.grpc import model_config_pb2, service_pb2

from ecc_deploy import wire
from ecc_deploy.payload import Codec
from ecc_deploy.serving.access import Access
from ecc_deploy.serving.batching import Batcher, QueueFullError
from ecc_deploy.serving.catalog import Catalog
from ecc_deploy.serving.figures import Figures, Infer, NoFigures
from ecc_deploy.serving.model import CloudModel
from ecc_deploy.serving.refusal import RefusalError, invalid
from ecc_deploy.serving.request import Request, read_request

T = TypeVar("T")
Handler = Callable[[Any, grpc.aio.ServicerContext], Awaitable[Any]]

log = logging.getLogger("ecc_deploy.serving")

SHORT_ELEMENTS = 16 << 10
"""What is decoded to no more than these is decoded on the event loop; the rest in a thread, and nobody waits for it."""
SHORT_MESSAGE = 1 << 20
"""The same for reading a message, which costs little more than copying it."""
_CONFIG_TYPES = {
    "uint8": model_config_pb2.TYPE_UINT8,
    "int8": model_config_pb2.TYPE_INT8,
    "float32": model_config_pb2.TYPE_FP32,
}


class Service:
    """Answers for the models of ``catalog``; ``batcher`` bounds how many engines run and how many requests wait.

    ``access`` is asked first, except where it is asked whether the server lives and is ready: probes have no tokens.

    Everything else of the protocol is UNIMPLEMENTED, as gRPC says it.
    """

    def __init__(
        self,
        catalog: Catalog,
        batcher: Batcher,
        access: Access | None = None,
        figures: Figures | None = None,
        is_ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self._catalog = catalog
        self._batcher = batcher
        self._access = access or Access()
        self._figures = figures or NoFigures()
        self._is_ready = is_ready
        self._failures = itertools.count(1)

    def handler(self) -> grpc.GenericRpcHandler:
        """What a gRPC server of :mod:`grpc.aio` is given."""
        is_open = {"ServerLive", "ServerReady"}
        methods = {
            "ServerLive": (self._live, service_pb2.ServerLiveRequest),
            "ServerReady": (self._ready, service_pb2.ServerReadyRequest),
            "ModelReady": (self._model_ready, service_pb2.ModelReadyRequest),
            "ServerMetadata": (self._metadata, service_pb2.ServerMetadataRequest),
            "ModelMetadata": (self._model_metadata, service_pb2.ModelMetadataRequest),
            "ModelConfig": (self._model_config, service_pb2.ModelConfigRequest),
        }
        handlers = {}
        for name, (method, request) in methods.items():
            asked = self._asked(method, request, is_open=name in is_open)
            handlers[name] = grpc.unary_unary_rpc_method_handler(
                self._guarded(asked), None, lambda answer: answer.SerializeToString()
            )
        # The request of an inference stays bytes: it is parsed within the time that the server reports.
        handlers["ModelInfer"] = grpc.unary_unary_rpc_method_handler(
            self._guarded(self._counted_infer), None, service_pb2.ModelInferResponse.SerializeToString
        )
        return grpc.method_handlers_generic_handler(wire.SERVICE, handlers)

    def _guarded(self, method: Handler) -> Handler:
        """Turn what ``method`` raises into a status; what the caller did not cause is logged and not told."""

        async def call(request: Any, context: grpc.aio.ServicerContext) -> Any:
            try:
                return await method(request, context)
            except RefusalError as refusal:
                code, message = refusal.code, refusal.message
            except Exception:
                number = next(self._failures)
                log.exception("failure %d of a request", number)
                code = grpc.StatusCode.INTERNAL
                message = f"the server failed; its log says why, under failure {number}"
            return await context.abort(code, message)

        return call

    def _asked(self, method: Callable[[Any], Any], request: Any, *, is_open: bool) -> Handler:
        """``method`` for a message that is parsed here: gRPC itself says INTERNAL where that fails, which blames us."""

        async def call(message: bytes, context: grpc.aio.ServicerContext) -> Any:
            if not is_open:
                self._access.check(context, counts=False)
            try:
                parsed = request.FromString(message)
            except DecodeError as error:
                raise invalid(f"the request is not a {request.DESCRIPTOR.name}") from error
            return method(parsed)

        return call

    async def _counted_infer(self, message: bytes, context: grpc.aio.ServicerContext) -> Any:
        told = Infer(len(message))
        try:
            self._access.check(context, counts=True)
            return await self._infer(message, told)
        except RefusalError as refusal:
            told.code = refusal.code.name
            raise
        except asyncio.CancelledError:
            # By gRPC, which knows before we do that nobody waits for the answer.
            left = context.time_remaining()
            told.code = "CANCELLED" if left is None or left > 0 else "DEADLINE_EXCEEDED"
            raise
        except BaseException:
            told.code = "INTERNAL"
            raise
        finally:
            self._figures.infer(told)

    async def _infer(self, message: bytes, told: Infer) -> Any:
        start = time.perf_counter_ns()
        request = await _soon(len(message) <= SHORT_MESSAGE, read_request, message, self._catalog)
        told.model = request.model.label
        codec = request.model.codec(request.codec)
        try:
            self._batcher.admit()
        except QueueFullError:
            raise RefusalError(
                grpc.StatusCode.RESOURCE_EXHAUSTED, "the server is busy and its queue is full; try later"
            ) from None
        # Decoded by every request for itself, before the engine is free: what is wrong with one concerns no other.
        decoding = time.perf_counter_ns()
        try:
            is_short = request.batch * request.model.sent.elements <= SHORT_ELEMENTS
            inputs = await _soon(is_short, _decode, request, codec)
        except BaseException:
            self._batcher.dismiss()
            raise
        told.decode_ns = time.perf_counter_ns() - decoding
        done = await self._batcher.run(request.model, inputs)
        told.queue_ns = done.queue_ns
        answer = _answer(request, self._catalog.version(request.model), done.outputs)
        parameters = answer.parameters
        parameters[wire.QUEUE_NS].int64_param = done.queue_ns
        parameters[wire.DECODE_NS].int64_param = told.decode_ns
        parameters[wire.COMPUTE_NS].int64_param = done.compute_ns
        told.server_ns = time.perf_counter_ns() - start
        parameters[wire.SERVER_NS].int64_param = told.server_ns
        told.bytes_out = answer.ByteSize()
        return answer

    def _live(self, request: Any) -> Any:
        return service_pb2.ServerLiveResponse(live=True)

    def _ready(self, request: Any) -> Any:
        return service_pb2.ServerReadyResponse(ready=self._is_ready())

    def _model_ready(self, request: Any) -> Any:
        try:
            self._catalog.find(request.name, request.version)
        except RefusalError:
            return service_pb2.ModelReadyResponse(ready=False)
        return service_pb2.ModelReadyResponse(ready=self._is_ready())

    def _metadata(self, request: Any) -> Any:
        return service_pb2.ServerMetadataResponse(
            name="ecc-deploy", version=version("ecc-deploy"), extensions=["model_configuration"]
        )

    def _model_metadata(self, request: Any) -> Any:
        model = self._catalog.find(request.name, request.version)
        answer = service_pb2.ModelMetadataResponse(
            name=request.name, versions=self._catalog.versions(request.name), platform=model.half.backend
        )
        answer.inputs.add(name=wire.PAYLOAD, datatype="BYTES", shape=[-1])
        answer.outputs.add(name=wire.LOGITS, datatype="FP32", shape=[-1, model.classes])
        return answer

    def _model_config(self, request: Any) -> Any:
        return service_pb2.ModelConfigResponse(config=_config(self._catalog.find(request.name, request.version)))


async def _soon(is_short: bool, work: Callable[..., T], *given: Any) -> T:
    """What ``work`` gives, from here where it is short, else from a thread."""
    if is_short:
        return work(*given)
    return await asyncio.get_running_loop().run_in_executor(None, work, *given)


def _decode(request: Request, codec: Codec) -> np.ndarray:
    """The engine's inputs of a request."""
    model = request.model
    return model.prepare(model.decode(request.payloads, codec) if request.direct is None else request.direct)


def _answer(request: Request, version: str, logits: np.ndarray) -> Any:
    expected = (request.batch, request.model.classes)
    if logits.shape != expected or logits.dtype != np.float32:
        raise RuntimeError(f"{request.model.key} gave {logits.dtype} {logits.shape}, not float32 {expected}")
    answer = service_pb2.ModelInferResponse(
        model_name=request.name,
        model_version=version,
        id=request.id,
        raw_output_contents=[logits.astype("<f4", copy=False).tobytes()],
    )
    answer.outputs.add(name=wire.LOGITS, datatype="FP32", shape=expected)
    return answer


def _config(model: CloudModel) -> Any:
    """The configuration; ``dims`` include the batch (``max_batch_size`` 0 says so), parameters say the rest."""
    config = model_config_pb2.ModelConfig(name=model.key, platform=model.half.backend, backend=model.half.backend)
    config.input.add(name=wire.PAYLOAD, data_type=model_config_pb2.TYPE_STRING, dims=[-1], optional=True)
    config.input.add(
        name=model.direct_input,
        data_type=_CONFIG_TYPES[model.sent.dtype],
        dims=[-1, *model.sent.shape],
        optional=True,
    )
    config.output.add(name=wire.LOGITS, data_type=model_config_pb2.TYPE_FP32, dims=[-1, model.classes])
    for name, value in model.facts.items():
        config.parameters[name].string_value = value
    return config
