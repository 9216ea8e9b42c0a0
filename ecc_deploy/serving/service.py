"""The remote procedures of KServe v2 that an edge needs: health, metadata, configuration, inference."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import DecodeError
from tritonclient.grpc import model_config_pb2, service_pb2

from ecc_deploy import wire
from ecc_deploy.serving.access import Access
from ecc_deploy.serving.batching import Batcher, Done, GoneError, LateError, QueueFullError
from ecc_deploy.serving.catalog import Catalog
from ecc_deploy.serving.figures import Figures, Infer, NoFigures
from ecc_deploy.serving.model import CloudModel
from ecc_deploy.serving.refusal import RefusalError, invalid
from ecc_deploy.serving.request import Request, read_request

log = logging.getLogger("ecc_deploy.serving")

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
        """What a gRPC server is given."""
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
            parsed = _parsed(method, request)
            allowed = parsed if name in is_open else self._known(parsed)
            handlers[name] = grpc.unary_unary_rpc_method_handler(
                self._guarded(allowed), None, lambda answer: answer.SerializeToString()
            )
        # The request of an inference stays bytes: it is parsed within the time that the server reports.
        handlers["ModelInfer"] = grpc.unary_unary_rpc_method_handler(
            self._guarded(self._counted_infer), None, service_pb2.ModelInferResponse.SerializeToString
        )
        return grpc.method_handlers_generic_handler(wire.SERVICE, handlers)

    def _guarded(self, method: Callable[[Any, grpc.ServicerContext], Any]) -> Callable[..., Any]:
        """Turn what ``method`` raises into a status; what the caller did not cause is logged and not told."""

        def call(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                return method(request, context)
            except RefusalError as refusal:
                code, message = refusal.code, refusal.message
            except Exception:
                number = next(self._failures)
                log.exception("failure %d of a request", number)
                code = grpc.StatusCode.INTERNAL
                message = f"the server failed; its log says why, under failure {number}"
            return context.abort(code, message)

        return call

    def _known(self, method: Callable[[Any, grpc.ServicerContext], Any]) -> Callable[..., Any]:
        """``method``, for those who may use it."""

        def call(request: Any, context: grpc.ServicerContext) -> Any:
            self._access.check(context, counts=False)
            return method(request, context)

        return call

    def _counted_infer(self, message: bytes, context: grpc.ServicerContext) -> Any:
        told = Infer(len(message))
        try:
            self._access.check(context, counts=True)
            return self._infer(message, context, told)
        except RefusalError as refusal:
            told.code = refusal.code.name
            raise
        except BaseException:
            told.code = "INTERNAL"
            raise
        finally:
            self._figures.infer(told)

    def _infer(self, message: bytes, context: grpc.ServicerContext, told: Infer) -> Any:
        start = time.perf_counter_ns()
        request = read_request(message, self._catalog)
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
            samples = request.model.decode(request.payloads, codec) if request.direct is None else request.direct
            inputs = request.model.prepare(samples)
        except BaseException:
            self._batcher.dismiss()
            raise
        told.decode_ns = time.perf_counter_ns() - decoding
        done = self._run(request.model, inputs, context)
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

    def _run(self, model: CloudModel, inputs: np.ndarray, context: grpc.ServicerContext) -> Done:
        try:
            # Whoever asked may have gone while the request waited; then nobody wants the answer.
            return self._batcher.run(model, inputs, context.time_remaining(), context.is_active)
        except LateError:
            raise RefusalError(
                grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline passed while the request waited"
            ) from None
        except GoneError:
            raise RefusalError(grpc.StatusCode.CANCELLED, "the caller went while the request waited") from None

    def _live(self, request: Any, context: grpc.ServicerContext) -> Any:
        return service_pb2.ServerLiveResponse(live=True)

    def _ready(self, request: Any, context: grpc.ServicerContext) -> Any:
        return service_pb2.ServerReadyResponse(ready=self._is_ready())

    def _model_ready(self, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            self._catalog.find(request.name, request.version)
        except RefusalError:
            return service_pb2.ModelReadyResponse(ready=False)
        return service_pb2.ModelReadyResponse(ready=self._is_ready())

    def _metadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        return service_pb2.ServerMetadataResponse(
            name="ecc-deploy", version=version("ecc-deploy"), extensions=["model_configuration"]
        )

    def _model_metadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        model = self._catalog.find(request.name, request.version)
        answer = service_pb2.ModelMetadataResponse(
            name=request.name, versions=self._catalog.versions(request.name), platform=model.half.backend
        )
        answer.inputs.add(name=wire.PAYLOAD, datatype="BYTES", shape=[-1])
        answer.outputs.add(name=wire.LOGITS, datatype="FP32", shape=[-1, model.classes])
        return answer

    def _model_config(self, request: Any, context: grpc.ServicerContext) -> Any:
        return service_pb2.ModelConfigResponse(config=_config(self._catalog.find(request.name, request.version)))


def _parsed(
    method: Callable[[Any, grpc.ServicerContext], Any], request: Any
) -> Callable[[bytes, grpc.ServicerContext], Any]:
    """``method`` for a message that is parsed here: gRPC itself says INTERNAL where that fails, which blames us."""

    def call(message: bytes, context: grpc.ServicerContext) -> Any:
        try:
            parsed = request.FromString(message)
        except DecodeError as error:
            raise invalid(f"the request is not a {request.DESCRIPTOR.name}") from error
        return method(parsed, context)

    return call


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
