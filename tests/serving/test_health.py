"""Health as probes ask for it, and the figures: over gRPC and over HTTP."""

from __future__ import annotations

import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import BackendMissingError, ServerError
from ecc_deploy.serving import Server, http
from tests.certificates import TOKENS, token_file
from tests.serving.requests import payload_request, png, stub

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def watched(toy_bundle: Bundle) -> Iterator[Server]:
    with Server([toy_bundle], metrics_port=0) as server:
        yield server


def get(server: Server, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def figures(server: Server) -> dict[tuple[str, ...], float]:
    """All samples, by their name and the values of their labels: model, code."""
    status, text = get(server, "/metrics")
    assert status == 200
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels, reverse=True))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_grpcs_own_health_service(watched: Server, channels: list[grpc.Channel]) -> None:
    stub(watched, channels)
    health = health_pb2_grpc.HealthStub(channels[0])
    for name in ("", "inference.GRPCInferenceService", "full", "toy/tail"):
        assert health.Check(health_pb2.HealthCheckRequest(service=name), timeout=10).status == SERVING
    with pytest.raises(grpc.RpcError) as unknown:
        health.Check(health_pb2.HealthCheckRequest(service="nothing"), timeout=10)
    assert unknown.value.code() == grpc.StatusCode.NOT_FOUND
    watching = health.Watch(health_pb2.HealthCheckRequest(), timeout=20)
    assert next(watching).status == SERVING
    watched.health.end()
    assert next(watching).status == NOT_SERVING
    watching.cancel()


def test_ready_and_not_any_more(watched: Server, channels: list[grpc.Channel]) -> None:
    from tritonclient.grpc import service_pb2 as pb

    ask = stub(watched, channels)

    def told() -> set[bool]:
        status, _ = get(watched, "/readyz")
        return {
            {200: True, 503: False}[status],
            ask.ServerReady(pb.ServerReadyRequest(), timeout=10).ready,
            ask.ModelReady(pb.ModelReadyRequest(name="full"), timeout=10).ready,
            figures(watched)[("ecc_ready",)] == 1,
        }

    assert told() == {True}
    watched.drain()
    assert told() == {False}
    assert get(watched, "/healthz") == (200, "ok\n")
    assert ask.ServerLive(pb.ServerLiveRequest(), timeout=10).live
    ask.ModelInfer(payload_request("full", png()), timeout=10)  # still answered, until the notice is over


def test_requests_are_counted(watched: Server, toy_bundle: Bundle, channels: list[grpc.Channel]) -> None:
    infer = stub(watched, channels).ModelInfer
    good, pair = payload_request("full", png(3)), toy_bundle.manifest.pair_id[:8]
    answers = [infer(good, timeout=10) for _ in range(2)]
    for bad in (payload_request("full", [b"x"]), payload_request("x" * 50, [b"x"])):
        with pytest.raises(grpc.RpcError):
            infer(bad, timeout=10)
    found, model = figures(watched), f"toy/full@{pair}"
    assert found["ecc_requests_total", model, "OK"] == 2
    assert found["ecc_requests_total", model, "INVALID_ARGUMENT"] == 1
    assert found["ecc_requests_total", "unknown", "NOT_FOUND"] == 1
    assert found["ecc_request_bytes_total", model] > 2 * good.ByteSize()
    assert found["ecc_response_bytes_total", model] > 2 * answers[0].ByteSize() - 100
    assert found["ecc_batch_requests_count", model] == 2
    assert found["ecc_batch_samples_sum", model] == 6
    for name in ("request", "queue", "decode", "compute"):
        assert found[f"ecc_{name}_seconds_count", model] == 2
    assert 0 < found["ecc_compute_seconds_sum", model] < found["ecc_request_seconds_sum", model]
    assert found["ecc_waiting_requests",] == 0
    assert not [key for key in found if "x" * 50 in key], "a stranger's words are no label"


def test_who_is_not_let_in_is_counted(toy_bundle: Bundle, tmp_path: Path, channels: list[grpc.Channel]) -> None:
    with Server([toy_bundle], metrics_port=0, token_file=token_file(tmp_path)) as server:
        with pytest.raises(grpc.RpcError):
            stub(server, channels).ModelInfer(payload_request("full", png()), timeout=10)
        assert figures(server)["ecc_requests_total", "unknown", "UNAUTHENTICATED"] == 1
        assert not [token for token in TOKENS.values() if token in get(server, "/metrics")[1]]


def test_other_paths_and_other_talk(watched: Server) -> None:
    assert get(watched, "/")[0] == 404
    assert get(watched, "/../../etc/passwd")[0] == 404
    assert get(watched, "/readyz?verbose")[0] == 200
    with socket.create_connection(("127.0.0.1", watched.metrics_port or 0), timeout=10) as connection:
        connection.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert b"400" in connection.recv(4096)
    assert get(watched, "/healthz")[0] == 200


def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch, toy_bundle: Bundle) -> None:
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 2)
    with Server([toy_bundle], metrics_port=0) as server:
        address = ("127.0.0.1", server.metrics_port or 0)
        idle = [socket.create_connection(address, timeout=10) for _ in range(2)]
        for connection in idle:
            connection.sendall(b"GET /healthz HTTP/1.1\r\n")  # and no end
        with socket.create_connection(address, timeout=10) as third:
            assert third.recv(10) == b""
        for connection in idle:
            connection.close()


def test_a_port_in_use(watched: Server, toy_bundle: Bundle) -> None:
    with pytest.raises(ServerError, match="for metrics") as error:
        Server([toy_bundle], metrics_port=watched.metrics_port).start()
    assert "--metrics-port" in error.value.hint


def test_a_package_that_is_not_there(toy_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.setitem(sys.modules, "grpc_health.v1", None)
    with pytest.raises(BackendMissingError, match="prometheus-client") as error:
        Server([toy_bundle], metrics_port=0)
    assert "ecc-deploy[serve]" in error.value.hint
    with Server([toy_bundle]) as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        with pytest.raises(grpc.RpcError) as refused:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
