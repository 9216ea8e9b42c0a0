"""The client against a good server, bad servers and none."""

import math
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from ecc_deploy import wire
from ecc_deploy.bundle import Bundle
from ecc_deploy.bundle.golden import load_golden
from ecc_deploy.errors import ServerError, UsageError
from ecc_deploy.runtime.client import CloudClient, CloudError
from ecc_deploy.runtime.result import Reason
from ecc_deploy.serving import Server
from tests.runtime.fakes import answer, fake_server, free_port, silent_server


def ask(client: CloudClient, deadline_s: float = 5.0):
    return client.infer("tail", bytes(8), "int4", deadline_s)


def test_it_brings_the_logits_and_the_times(cloud: CloudClient, toy_bundle: Bundle) -> None:
    golden = load_golden(toy_bundle)
    for i in range(len(golden)):
        found = cloud.infer("tail", golden.payload("dynamic", i), "int4", 5.0)
        assert found.logits.dtype == np.float32
        assert found.logits.tolist() == golden.output("tail", "logits")[i].tolist()
        assert 0 < found.compute_ms + found.decode_ms + found.queue_ms <= found.server_ms <= found.round_trip_ms
        found.logits[0] = 0  # the caller's own


def test_clients_do_not_share_a_connection(toy_bundle: Bundle, toy_server: Server) -> None:
    url = f"127.0.0.1:{toy_server.port}"
    with CloudClient(url, toy_bundle.manifest) as first:
        with CloudClient(url, toy_bundle.manifest) as second:
            ask(first)
            ask(second)
        ask(first)


@pytest.mark.parametrize(
    ("half", "codec", "payload", "code"),
    [
        ("tial", "int4", bytes(8), "NOT_FOUND"),
        ("tail", "int5", bytes(8), "INVALID_ARGUMENT"),
        ("tail", "int4", bytes(9), "INVALID_ARGUMENT"),
        ("tail", "int4", bytes(500_000), "RESOURCE_EXHAUSTED"),
    ],
)
def test_what_the_server_refuses_is_refused(
    cloud: CloudClient, half: str, codec: str, payload: bytes, code: str
) -> None:
    with pytest.raises(CloudError, match=code) as error:
        cloud.infer(half, payload, codec, 5.0)
    assert error.value.reason == Reason.REFUSED


def test_a_server_of_another_bundle_is_refused(toy_server: Server, other_bundle: Bundle) -> None:
    with CloudClient(f"127.0.0.1:{toy_server.port}", other_bundle.manifest) as client:
        with pytest.raises(CloudError, match="different bundles") as refused:
            ask(client)
        assert refused.value.reason == Reason.REFUSED
        with pytest.raises(ServerError, match="another bundle"):
            client.connect()


def test_no_server(toy_bundle: Bundle) -> None:
    with CloudClient(f"127.0.0.1:{free_port()}", toy_bundle.manifest) as client:
        with pytest.raises(CloudError) as error:
            ask(client, deadline_s=20.0)
        assert error.value.reason == Reason.UNAVAILABLE
        with pytest.raises(ServerError, match="no server answers") as missing:
            client.connect(timeout_s=0.2)
        assert "ecc-deploy serve" in missing.value.hint


def test_a_server_that_accepts_and_says_nothing_costs_the_deadline(toy_bundle: Bundle) -> None:
    with silent_server() as url, CloudClient(url, toy_bundle.manifest) as client:
        with pytest.raises(CloudError) as error:
            ask(client, deadline_s=0.2)
        assert error.value.reason == Reason.DEADLINE
        with pytest.raises(ServerError, match="no server answers"):
            client.connect(timeout_s=0.2)


def test_a_server_of_another_protocol(toy_bundle: Bundle) -> None:
    with silent_server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url, CloudClient(url, toy_bundle.manifest) as client:
        with pytest.raises(CloudError) as error:
            ask(client, deadline_s=0.5)
        assert error.value.reason in (Reason.UNAVAILABLE, Reason.DEADLINE)


@pytest.mark.parametrize("deadline_s", [0.0, -1.0])
def test_a_deadline_that_has_passed_sends_nothing(toy_bundle: Bundle, deadline_s: float) -> None:
    calls: list[bytes] = []
    with (
        fake_server(lambda request, _: calls.append(request)) as url,
        CloudClient(url, toy_bundle.manifest) as client,
        pytest.raises(CloudError, match="before the sample was sent") as error,
    ):
        ask(client, deadline_s)
    assert error.value.reason == Reason.DEADLINE
    assert calls == []


def test_a_closed_client(toy_bundle: Bundle, toy_server: Server) -> None:
    client = CloudClient(f"127.0.0.1:{toy_server.port}", toy_bundle.manifest)
    client.close()
    client.close()
    with pytest.raises(CloudError) as error:
        ask(client)
    assert error.value.reason == Reason.UNAVAILABLE
    with pytest.raises(ServerError, match="closed"):
        client.connect()


@pytest.mark.parametrize(
    "url",
    ["", "localhost", "localhost:", ":8001", "http://localhost:8001", "localhost:0", "localhost:65536", "a b:1",
     "unix:/tmp/x", "dns:///a:1", "::1:8001", "localhost:80\n", "localhost:8001/v2"],
)  # fmt: skip
def test_what_is_no_address(toy_bundle: Bundle, url: str) -> None:
    with pytest.raises(UsageError, match="not the address") as error:
        CloudClient(url, toy_bundle.manifest)
    assert "host:port" in error.value.hint


@pytest.mark.parametrize(
    "url", ["localhost:8001", "10.0.0.7:1", "[::1]:8001", "cloud-1.example.org:65535", "my_host:80"]
)
def test_addresses(toy_bundle: Bundle, url: str) -> None:
    CloudClient(url, toy_bundle.manifest).close()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, Reason.DEADLINE),
        (grpc.StatusCode.UNAVAILABLE, Reason.UNAVAILABLE),
        (grpc.StatusCode.CANCELLED, Reason.UNAVAILABLE),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Reason.REFUSED),
        (grpc.StatusCode.INTERNAL, Reason.REFUSED),
        (grpc.StatusCode.UNIMPLEMENTED, Reason.REFUSED),
        (grpc.StatusCode.UNAUTHENTICATED, Reason.REFUSED),
    ],
)
def test_each_status_has_its_reason(toy_bundle: Bundle, code: grpc.StatusCode, reason: Reason) -> None:
    with (
        fake_server(lambda _, context: context.abort(code, "so it is")) as url,
        CloudClient(url, toy_bundle.manifest) as client,
        pytest.raises(CloudError, match="so it is") as error,
    ):
        ask(client)
    assert error.value.reason == reason


def _spoilt(change: Callable[[Any], None]) -> bytes:
    response = answer()
    change(response)
    return response.SerializeToString()


MALFORMED = {
    "no message": b"\xff\xff\xff",
    "empty": b"",
    "no contents": _spoilt(lambda r: r.raw_output_contents.pop()),
    "two contents": _spoilt(lambda r: r.raw_output_contents.append(b"")),
    "two outputs": _spoilt(lambda r: r.outputs.add(name="logits")),
    "another name": _spoilt(lambda r: setattr(r.outputs[0], "name", "boxes")),
    "another datatype": _spoilt(lambda r: setattr(r.outputs[0], "datatype", "FP64")),
    "another shape": _spoilt(lambda r: r.outputs[0].shape.append(1)),
    "a batch of two": answer(np.zeros((2, 4), np.float32)).SerializeToString(),
    "too few classes": answer(np.zeros((1, 3), np.float32)).SerializeToString(),
    "too few bytes": _spoilt(lambda r: r.raw_output_contents.__setitem__(0, bytes(15))),
    "not a number": answer(np.array([[0, 1, math.nan, 0]], np.float32)).SerializeToString(),
    "infinite": answer(np.array([[0, 1, -math.inf, 0]], np.float32)).SerializeToString(),
    "huge": _spoilt(lambda r: setattr(r, "id", "x" * 100_000)),
}


@pytest.fixture(scope="module")
def parrot(toy_bundle: Bundle):
    """A client, and the list whose last entry its server answers."""
    says = [b""]
    with fake_server(lambda *_: says[-1]) as url, CloudClient(url, toy_bundle.manifest) as client:
        yield client, says


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_answer_is_a_refusal(parrot: tuple[CloudClient, list[bytes]], what: str) -> None:
    client, says = parrot
    says.append(MALFORMED[what])
    with pytest.raises(CloudError) as error:
        ask(client)
    assert error.value.reason == Reason.REFUSED
    says.append(answer().SerializeToString())
    assert ask(client).logits.tolist() == [1, 2, 3, 4]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80), st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), max_size=4), st.booleans())
def test_whatever_the_server_says_only_cloud_errors_come_out(
    parrot: tuple[CloudClient, list[bytes]], noise: bytes, changes: list[tuple[int, int]], is_damaged: bool
) -> None:
    client, says = parrot
    message = bytearray(answer(server_ns=9, queue_ns=1).SerializeToString()) if is_damaged else bytearray(noise)
    for position, value in changes:
        if message:
            message[position % len(message)] = value
    says.append(bytes(message))
    found, failure = None, None
    try:
        found = ask(client)
    except CloudError as error:
        failure = error
    if found is None:
        assert failure is not None
        assert failure.reason in (Reason.REFUSED, Reason.UNAVAILABLE, Reason.DEADLINE)
    else:
        assert found.logits.shape == (4,)
        assert np.isfinite(found.logits).all()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 200_000), min_size=4, max_size=4))
def test_the_servers_times_are_cut_to_what_is_possible(
    parrot: tuple[CloudClient, list[bytes]], times: list[int]
) -> None:
    client, says = parrot
    queue, decode, compute, server = times
    says.append(answer(queue_ns=queue, decode_ns=decode, compute_ns=compute, server_ns=server).SerializeToString())
    found = ask(client)
    parts = (found.queue_ms, found.decode_ms, found.compute_ms)
    assert min(parts) >= 0
    assert sum(parts) <= found.server_ms + 1e-9
    assert 0 <= found.server_ms <= found.round_trip_ms


def test_a_server_that_says_no_times_is_fine(parrot: tuple[CloudClient, list[bytes]]) -> None:
    client, says = parrot
    says.append(answer().SerializeToString())
    assert ask(client).server_ms == 0


class TestConnect:
    def test_it_accepts_the_server_of_this_bundle(self, cloud: CloudClient) -> None:
        cloud.connect()

    def test_it_wants_every_half(self, toy_bundle: Bundle) -> None:
        def config(message: bytes, context: grpc.ServicerContext) -> bytes:
            request = service_pb2.ModelConfigRequest.FromString(message)
            if request.name != "full":
                context.abort(grpc.StatusCode.NOT_FOUND, "no")
            response = service_pb2.ModelConfigResponse()
            response.config.parameters[wire.PAIR_ID].string_value = toy_bundle.manifest.pair_id
            return response.SerializeToString()

        with (
            fake_server(lambda *_: b"", config) as url,
            CloudClient(url, toy_bundle.manifest) as client,
            pytest.raises(ServerError, match="does not serve 'tail'"),
        ):
            client.connect()

    def test_a_server_without_pairs(self, toy_bundle: Bundle) -> None:
        with (
            fake_server(lambda *_: b"", lambda *_: b"") as url,
            CloudClient(url, toy_bundle.manifest) as client,
            pytest.raises(ServerError, match="of nobody"),
        ):
            client.connect()

    def test_a_server_that_knows_no_configuration(self, toy_bundle: Bundle) -> None:
        with (
            fake_server(lambda *_: b"") as url,
            CloudClient(url, toy_bundle.manifest) as client,
            pytest.raises(ServerError, match="not a server of this protocol: UNIMPLEMENTED"),
        ):
            client.connect()

    def test_it_waits_for_a_server_that_comes_up(self, toy_bundle: Bundle) -> None:
        port = free_port()
        with CloudClient(f"127.0.0.1:{port}", toy_bundle.manifest) as client:
            with pytest.raises(CloudError):
                ask(client)
            with Server([toy_bundle], port=port):
                client.connect(timeout_s=20)
                ask(client)
