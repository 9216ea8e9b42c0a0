"""The real server, whose answers can be spoilt on their way out: ``python -m tests.faults.spoilt_server BUNDLE ...``.

It is :mod:`ecc_deploy.serving` with its own command line; every request is really answered, by the real engine, and
what came out is then spoilt by the way that was last named on stdin. Each line there is answered by ``ok``; the
program ends when stdin closes.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2

Way = Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]]

SLOW_S = 0.7
_TOO_MUCH = bytes(256 << 10)
"""Sixteen times what a client takes. Megabytes would stay with the server's allocator, and look like a leak."""


def _changed(change: Callable[[bytes], bytes]) -> Way:
    async def spoil(raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
        return change(raw)

    return spoil


def _edited(change: Callable[[Any], None]) -> Way:
    def spoil(raw: bytes) -> bytes:
        answer = service_pb2.ModelInferResponse.FromString(raw)
        change(answer)
        return answer.SerializeToString()

    return _changed(spoil)


def _logits(answer: Any) -> np.ndarray:
    return np.frombuffer(answer.raw_output_contents[0], "<f4")


def _set(answer: Any, logits: np.ndarray, shape: list[int]) -> None:
    answer.raw_output_contents[0] = logits.tobytes()
    answer.outputs[0].shape[:] = shape


def _one_class_more(answer: Any) -> None:
    logits = np.append(_logits(answer), np.float32(9))
    _set(answer, logits, [1, len(logits)])


async def _slowly(raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
    await asyncio.sleep(SLOW_S)
    return raw


def _refused(code: grpc.StatusCode) -> Way:
    async def spoil(raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
        await context.abort(code, "told to")
        raise AssertionError

    return spoil


WAYS: dict[str, Way] = {
    "whole": _changed(lambda raw: raw),
    "slow": _slowly,
    "garbage": _changed(lambda raw: os.urandom(len(raw))),
    "truncated": _changed(lambda raw: raw[: len(raw) // 2]),
    "empty": _changed(lambda raw: b""),
    "huge": _changed(lambda raw: raw + _TOO_MUCH),
    "wrong-shape": _edited(_one_class_more),
    "turned": _edited(lambda answer: _set(answer, _logits(answer), [len(_logits(answer)), 1])),
    "two-samples": _edited(lambda answer: _set(answer, np.tile(_logits(answer), 2), [2, len(_logits(answer))])),
    "wrong-dtype": _edited(lambda answer: setattr(answer.outputs[0], "datatype", "FP64")),
    "short": _edited(lambda answer: _set(answer, _logits(answer)[:-1], [1, len(_logits(answer))])),
    "not-finite": _edited(lambda answer: _set(answer, _logits(answer) * np.float32("nan"), [1, len(_logits(answer))])),
    "two-outputs": _edited(lambda answer: answer.outputs.add().CopyFrom(answer.outputs[0])),
    "internal": _refused(grpc.StatusCode.INTERNAL),
    "busy": _refused(grpc.StatusCode.RESOURCE_EXHAUSTED),
}


class Spoiler(grpc.aio.ServerInterceptor):
    """Spoils the answers of ModelInfer by the present ``way``."""

    way = "whole"

    async def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        handler = await continuation(details)
        if handler is None or not details.method.endswith("/ModelInfer"):
            return handler

        async def infer(request: Any, context: grpc.aio.ServicerContext) -> bytes:
            answer = await handler.unary_unary(request, context)
            return await WAYS[self.way](handler.response_serializer(answer), context)

        return grpc.unary_unary_rpc_method_handler(infer, handler.request_deserializer, None)

    def obey(self) -> None:
        """Do what stdin says, and end with it."""
        commands = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115 - lives as long as the process
        while line := commands.readline():
            word = line.decode().strip()
            self.way = word if word in WAYS else self.way
            print("ok" if word in WAYS else f"unknown command {word!r}", flush=True)
        os._exit(0)


def main() -> int:
    spoiler, make = Spoiler(), grpc.aio.server

    def server(**options: Any) -> grpc.aio.Server:
        return make(interceptors=[spoiler], **options)

    grpc.aio.server = server
    from ecc_deploy.serving.__main__ import main as serve

    threading.Thread(target=spoiler.obey, daemon=True).start()
    return serve()


if __name__ == "__main__":
    sys.exit(main())
