"""The edge's connection to a cloud server: one remote call per offloaded sample, bounded in time and in size."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2

from ecc_deploy import wire
from ecc_deploy.bundle import Manifest
from ecc_deploy.closing import Closing
from ecc_deploy.errors import ServerError, UsageError
from ecc_deploy.runtime.channel import LivelyChannel
from ecc_deploy.runtime.cloud import CloudAnswer as CloudAnswer
from ecc_deploy.runtime.cloud import CloudError as CloudError
from ecc_deploy.runtime.cloud import as_future, cloud_error, failed
from ecc_deploy.runtime.credentials import Credentials, Trouble, trouble
from ecc_deploy.runtime.result import Reason

_URL = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?):([0-9]{1,5})")

RETRY_S = 0.05
"""Between two looks whether a server is there, while :meth:`CloudClient.connect` waits for one."""
_UNKNOWN = "?"
"""No pair_id: what answers knows no models."""
_ANSWER_BYTES = 16 * 1024
"""Room for everything in an answer but the logits."""
_TOO_LATE = "the deadline passed before the sample was sent"


class _NotThereError(Exception):
    """Nobody answers, for now."""

    def __init__(self, trouble: Trouble | None) -> None:
        super().__init__()
        self.trouble = trouble


class CloudClient(Closing):
    """A client of the server at ``url`` (``host:port``) for one bundle. A context manager; safe to call from threads.

    It has a gRPC connection of its own, made at the first call, and made again by itself when the server comes back:
    0.1 to 1 second after a failure; also where deadline after deadline passes and nothing at all comes back, see
    :mod:`~ecc_deploy.runtime.channel`. While there is no connection, calls fail at once. Nothing is sent twice.

    ``credentials``: for a server that encrypts, or that wants to know its clients.

    Raises :class:`UsageError` for a ``url`` that is not ``host:port``, or credentials that cannot be used.
    """

    def __init__(self, url: str, manifest: Manifest, *, credentials: Credentials | None = None) -> None:
        match = _URL.fullmatch(url)
        if match is None or not 1 <= int(match[1]) <= 65535:
            raise UsageError(f"{url!r} is not the address of a server", "Give host:port, for example 127.0.0.1:8001.")
        self.url = url
        self.pair_id = manifest.pair_id
        self._halves = sorted({d.cloud for d in manifest.deployments.values() if d.cloud is not None})
        self._classes = len(manifest.classes)
        self._templates: dict[tuple[str, str], Any] = {}
        self._credentials = credentials or Credentials()
        self._metadata = self._credentials.metadata
        options = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_http_proxy", 0),
            ("grpc.enable_retries", 0),
            ("grpc.initial_reconnect_backoff_ms", 100),
            # How long one attempt to connect may take: by satellite, encrypted, that is four times 0.6 s.
            ("grpc.min_reconnect_backoff_ms", 4000),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.max_receive_message_length", _ANSWER_BYTES + 4 * self._classes),
        ]
        self._channel = LivelyChannel(self._credentials.opener(url, options))
        self._infer = self._method("ModelInfer", service_pb2.ModelInferRequest, service_pb2.ModelInferResponse)
        self._config = self._method("ModelConfig", service_pb2.ModelConfigRequest, service_pb2.ModelConfigResponse)
        self._ready = self._method("ModelReady", service_pb2.ModelReadyRequest, service_pb2.ModelReadyResponse)

    def _method(self, name: str, request: Any, response: Any) -> Any:
        return self._channel.unary_unary(
            f"/{wire.SERVICE}/{name}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )

    def connect(self, timeout_s: float = 5.0) -> None:
        """Wait until the server answers, and make sure that it serves every cloud half of this very bundle.

        Raises :class:`ServerError` where it does not answer in ``timeout_s`` seconds or serves something else.
        """
        end = time.monotonic() + timeout_s
        # By pair_id first: it is exact on a server of several bundles, and unknown to any other server.
        pairs = self._served([f"{self.pair_id}/{half}" for half in self._halves], end, timeout_s)
        found = dict(zip(self._halves, pairs, strict=True))
        others = [half for half in self._halves if found[half] is None]
        found.update(zip(others, self._served(others, end, timeout_s), strict=True))
        for half, pair_id in found.items():
            if pair_id is None:
                raise ServerError(
                    f"the server at {self.url} does not serve {half!r}",
                    "Start it with this bundle: ecc-deploy serve BUNDLE",
                )
            if pair_id != self.pair_id:
                raise ServerError(
                    f"the server at {self.url} serves the cloud half of another bundle: its {half!r} belongs to the "
                    f"pair {ascii(pair_id[:64]) if pair_id else 'of nobody'}, this bundle is {self.pair_id}",
                    "Start it with this bundle, or use the bundle that it serves.",
                )

    def _served(self, names: Sequence[str], end: float, timeout_s: float) -> list[str | None]:
        """The pair_ids of these models, ``""`` for one that has none; None where there is no such model.

        They are asked for at once: on a long link each would cost a round trip.
        """
        while True:
            left = max(end - time.monotonic(), 0.001)
            try:
                calls = [
                    self._config.future(
                        service_pb2.ModelConfigRequest(name=name, version=wire.MODEL_VERSION),
                        timeout=left,
                        metadata=self._metadata,
                    )
                    for name in names
                ]
                return [self._pair_id(call, name, end) for call, name in zip(calls, names, strict=True)]
            except _NotThereError as gone:
                found = gone.trouble
                if time.monotonic() + RETRY_S < end and not (found and found.is_final):
                    time.sleep(RETRY_S)
                    continue
                if found is not None:
                    raise ServerError(f"no connection to {self.url}: {found.message}", found.hint) from gone
                raise ServerError(
                    f"no server answers at {self.url} within {timeout_s:g} s",
                    "Start one with `ecc-deploy serve BUNDLE`, or check host, port and firewall.",
                ) from gone
            except ValueError as error:  # grpc's word for a closed channel
                raise ServerError(f"the client of {self.url} was closed", "Make a new CloudClient.") from error

    def _pair_id(self, call: Any, name: str, end: float) -> str | None:
        try:
            pair_id: str = call.result().config.parameters[wire.PAIR_ID].string_value
        except grpc.FutureCancelledError as error:
            raise ValueError("the channel was closed") from error
        except grpc.RpcError as error:
            code, detail = error.code(), error.details()
            if code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION):
                return None
            if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise _NotThereError(trouble(self.url, self._credentials, detail)) from error
            if code == grpc.StatusCode.UNIMPLEMENTED:
                by_name = self._served_by_name(name, end)
                if by_name != _UNKNOWN:
                    return by_name
            if code == grpc.StatusCode.UNAUTHENTICATED:
                raise ServerError(
                    f"the server at {self.url} does not let this client in: {detail}",
                    "Give a token that it knows: --token-file.",
                ) from error
            raise ServerError(
                f"what answers at {self.url} is not a server of this protocol: {code.name}: {detail}",
                "Start one with `ecc-deploy serve BUNDLE`.",
            ) from error
        return pair_id

    def _served_by_name(self, name: str, end: float) -> str | None:
        """:meth:`_served` where configurations are not told, which the standard protocol leaves out.

        There a model that is called by the pair is the pair's; one called by its half alone is nobody's. A server that
        does not tell either whether it has a model gives :data:`_UNKNOWN`.
        """
        request = service_pb2.ModelReadyRequest(name=name, version=wire.MODEL_VERSION)
        try:
            answer = self._ready(request, timeout=max(end - time.monotonic(), 0.001), metadata=self._metadata)
        except grpc.RpcError as error:
            return _UNKNOWN if error.code() == grpc.StatusCode.UNIMPLEMENTED else None
        except ValueError:  # the channel was closed meanwhile
            return None
        if not answer.ready:
            return None
        return self.pair_id if name.startswith(f"{self.pair_id}/") else ""

    def infer(self, half: str, payload: bytes, codec: str, deadline_s: float) -> CloudAnswer:
        """Let the cloud half ``half`` answer one sample, encoded by ``codec``, within ``deadline_s`` seconds.

        Raises :class:`CloudError`; nothing else, whatever the server does.
        """
        start = time.perf_counter_ns()
        if deadline_s <= 0:
            raise CloudError(Reason.DEADLINE, _TOO_LATE, is_fault=False)
        try:
            answer = self._infer(self._request(half, payload, codec), timeout=deadline_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise cloud_error(error, self._explained) from error
        except ValueError as error:  # grpc's word for a closed channel
            raise CloudError(Reason.UNAVAILABLE, "the client was closed", is_fault=False) from error
        return self._checked(answer, _ms_since(start))

    def submit(self, half: str, payload: bytes, codec: str, deadline_s: float) -> Future[CloudAnswer]:
        """As :meth:`infer`, without waiting: any number of requests may be under way on the one connection.

        The future's exception is a :class:`CloudError`. Cancelling it ends the request, at the server too. Its
        callbacks run on gRPC's thread, which brings all answers: they must be short.
        """
        start = time.perf_counter_ns()
        if deadline_s <= 0:
            return failed(CloudError(Reason.DEADLINE, _TOO_LATE, is_fault=False))
        try:
            call = self._infer.future(self._request(half, payload, codec), timeout=deadline_s, metadata=self._metadata)
        except ValueError:
            return failed(CloudError(Reason.UNAVAILABLE, "the client was closed", is_fault=False))
        return as_future(call, lambda answer: self._checked(answer, _ms_since(start)), self._explained)

    def _request(self, half: str, payload: bytes, codec: str) -> Any:
        request = service_pb2.ModelInferRequest()
        request.CopyFrom(self._template(half, codec))
        request.raw_input_contents.append(wire.pack_bytes([payload]))
        return request

    def _explained(self, detail: str) -> str:
        """gRPC's word on a connection that did not come about, with ours before it where there is one."""
        found = trouble(self.url, self._credentials, detail)
        return detail if found is None else f"{found.message} ({detail})"

    def _template(self, half: str, codec: str) -> Any:
        template = self._templates.get((half, codec))
        if template is None:
            template = service_pb2.ModelInferRequest(model_name=half, model_version=wire.MODEL_VERSION)
            template.parameters[wire.CODEC].string_param = codec
            template.parameters[wire.PAIR_ID].string_param = self.pair_id
            template.inputs.add(name=wire.PAYLOAD, datatype="BYTES", shape=[1])
            self._templates[half, codec] = template
        return template

    def _checked(self, answer: Any, round_trip_ms: float) -> CloudAnswer:
        shape = [1, self._classes]
        if len(answer.outputs) != 1 or len(answer.raw_output_contents) != 1:
            raise CloudError(Reason.REFUSED, "malformed answer: not one output with raw contents")
        output, raw = answer.outputs[0], answer.raw_output_contents[0]
        if output.name != wire.LOGITS or output.datatype != "FP32" or list(output.shape) != shape:
            raise CloudError(
                Reason.REFUSED,
                f"malformed answer: {output.name[:64]!a} {output.datatype[:64]!a} {list(output.shape)[:8]}, "
                f"not logits FP32 {shape}",
            )
        if len(raw) != 4 * self._classes:
            raise CloudError(Reason.REFUSED, f"malformed answer: {len(raw)} bytes of logits, not {4 * self._classes}")
        logits = np.frombuffer(raw, "<f4").astype(np.float32)
        # An answer of NaN would still have a highest entry, and pass for a prediction.
        if not np.isfinite(logits).all():
            raise CloudError(Reason.REFUSED, "malformed answer: the logits are not finite")
        given = answer.parameters

        def ms(name: str, most: float) -> float:
            return min(max(given[name].int64_param / 1e6, 0.0), most) if name in given else 0.0

        server = ms(wire.SERVER_NS, round_trip_ms)
        queue = ms(wire.QUEUE_NS, server)
        decode = ms(wire.DECODE_NS, server - queue)
        compute = ms(wire.COMPUTE_NS, server - queue - decode)
        return CloudAnswer(logits, round_trip_ms, server, queue, decode, compute)

    def close(self) -> None:
        """Close the connection; calls under way end as unavailable. May be called twice."""
        self._channel.close()


def _ms_since(start: int) -> float:
    return (time.perf_counter_ns() - start) / 1e6
