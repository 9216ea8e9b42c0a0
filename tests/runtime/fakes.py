"""Servers that behave badly: they answer what they are told to, or nothing."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2

from ecc_deploy import wire


def answer(logits: np.ndarray | None = None, **times_ns: int) -> Any:
    """A right ModelInferResponse, to be spoilt."""
    if logits is None:
        logits = np.array([[1, 2, 3, 4]], np.float32)
    response = service_pb2.ModelInferResponse(raw_output_contents=[logits.astype("<f4").tobytes()])
    response.outputs.add(name="logits", datatype="FP32", shape=logits.shape)
    for name, value in times_ns.items():
        response.parameters[name].int64_param = value
    return response


@contextlib.contextmanager
def fake_server(
    infer: Callable[[bytes, grpc.ServicerContext], bytes], config: Callable[..., bytes] | None = None
) -> Iterator[str]:
    """A gRPC server whose ModelInfer (and ModelConfig) is a function from bytes to bytes; gives its address."""
    methods = {"ModelInfer": grpc.unary_unary_rpc_method_handler(infer)}
    if config is not None:
        methods["ModelConfig"] = grpc.unary_unary_rpc_method_handler(config)
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(wire.SERVICE, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@contextlib.contextmanager
def silent_server(speak: bytes = b"") -> Iterator[str]:
    """Accepts connections, says ``speak`` and then nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    accepted.append(connection)
                    connection.sendall(speak)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for connection in accepted:
                connection.close()
            thread.join(5)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
