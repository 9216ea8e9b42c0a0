"""Requests as a client would write them, and a call of the server's handler without a network."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from ecc_deploy import wire
from ecc_deploy.bundle import Bundle
from ecc_deploy.payload import TensorSpec, make_codec
from ecc_deploy.serving import Server
from ecc_deploy.serving.loop import serving_loop
from ecc_deploy.serving.service import Service
from tests.toy import samples

IMAGE = TensorSpec("uint8", (8, 8, 1))
BOUNDARY = TensorSpec("uint8", (1, 4, 4))


def payload_request(model: str, payloads: list[bytes], **parameters: str) -> Any:
    """A ModelInferRequest with the input ``payload``."""
    request = service_pb2.ModelInferRequest(model_name=model, id="7")
    for name, value in parameters.items():
        request.parameters[name].string_param = value
    request.inputs.add(name=wire.PAYLOAD, datatype="BYTES", shape=[len(payloads)])
    request.raw_input_contents.append(wire.pack_bytes(payloads))
    return request


def tensor_request(model: str, name: str, array: np.ndarray, datatype: str = "UINT8") -> Any:
    """A ModelInferRequest with a tensor as it is."""
    request = service_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name=name, datatype=datatype, shape=array.shape)
    request.raw_input_contents.append(array.tobytes())
    return request


def images(count: int = 3) -> np.ndarray:
    """uint8 ``[count, 8, 8, 1]``."""
    return samples(count, seed=5).images


def png(count: int = 3) -> list[bytes]:
    """``images`` as PNG files."""
    codec = make_codec("png", IMAGE)
    return [codec.encode(image) for image in images(count)]


def stub(server: Server, stack: list[grpc.Channel]) -> service_pb2_grpc.GRPCInferenceServiceStub:
    stack.append(grpc.insecure_channel(f"127.0.0.1:{server.port}", [("grpc.use_local_subchannel_pool", 1)]))
    return service_pb2_grpc.GRPCInferenceServiceStub(stack[-1])


class AbortedError(Exception):
    """What ``abort`` of :class:`Context` raises."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message


class Context:
    """As much of a ServicerContext as the handlers use."""

    def __init__(self, remaining: float = 10.0) -> None:
        self._remaining = remaining

    def time_remaining(self) -> float:
        return self._remaining

    async def abort(self, code: grpc.StatusCode, message: str) -> None:
        raise AbortedError(code, message)


class Details:
    """Names a method, as gRPC does when it looks for its handler."""

    invocation_metadata = ()

    def __init__(self, method: str) -> None:
        self.method = f"/{wire.SERVICE}/{method}"


def begin(service: Service, request: Any, context: Context | None = None) -> Future[Any]:
    """Call ModelInfer with a message or with bytes, on the loop."""
    handler = service.handler().service(Details("ModelInfer"))
    message = request if isinstance(request, bytes) else request.SerializeToString()
    return asyncio.run_coroutine_threadsafe(handler.unary_unary(message, context or Context()), serving_loop())


def infer(service: Service, request: Any) -> Any:
    """What comes of :func:`begin`. Raises :class:`AbortedError`."""
    return begin(service, request).result(60)


def logits(answer: Any) -> np.ndarray:
    """The logits of a ModelInferResponse."""
    return np.frombuffer(answer.raw_output_contents[0], "<f4").reshape(answer.outputs[0].shape)


def golden_boundary(bundle: Bundle) -> np.ndarray:
    """uint8 ``[4, 1, 4, 4]``."""
    from ecc_deploy.bundle.golden import load_golden

    return load_golden(bundle).output("encode", "boundary")


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not happen in a minute"
        time.sleep(0.001)
