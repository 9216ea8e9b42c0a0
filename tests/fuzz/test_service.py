"""The running server, in a process of its own, asked anything; and the client, answered anything."""

import threading
from collections.abc import Iterator

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from ecc_deploy import wire
from ecc_deploy.bundle import Bundle
from ecc_deploy.runtime.client import CloudClient, CloudError
from tests import reference
from tests.child import ServerChild
from tests.faults.children import usage
from tests.runtime.fakes import answer, fake_server
from tests.serving.requests import images, payload_request, png

MIB = 1 << 20
FUZZ = settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
BLAMES_THE_REQUEST = {
    *(grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION),
    *(grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.RESOURCE_EXHAUSTED),
}
METHODS = ("ModelInfer", "ModelConfig", "ModelMetadata", "ModelReady", "ServerReady", "ServerLive", "ServerMetadata")
EDITS = st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=12), st.integers(0, 12)), max_size=5)


class Asker:
    """Raw bytes to any method."""

    def __init__(self, port: int) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def ask(self, method: str, message: bytes, **options: object) -> bytes | grpc.StatusCode:
        call = self.channel.unary_unary(f"/{wire.SERVICE}/{method}")
        refusal = None
        try:
            answered: bytes = call(message, timeout=20, wait_for_ready=True, **options)
        except grpc.RpcError as error:
            refusal = error
        if refusal is None:
            return answered
        assert refusal.code() in BLAMES_THE_REQUEST, (refusal.code(), refusal.details(), message[:200])
        assert refusal.details()
        return refusal.code()


def mutated(seed: bytes, edits: list[tuple[float, bytes, int]]) -> bytes:
    for where, new, replaced in edits:
        at = int(where * len(seed))
        seed = seed[:at] + new + seed[at + replaced :]
    return seed


@pytest.fixture(scope="module")
def child(toy_bundle: Bundle) -> Iterator[ServerChild]:
    with ServerChild(toy_bundle.path) as child:
        yield child


@pytest.fixture
def asker(child: ServerChild) -> Iterator[Asker]:
    """Whatever was asked, the server then answers rightly, and has not grown."""
    asker = Asker(child.port)
    right = payload_request("full", png(), codec="png").SerializeToString()
    asker.ask("ModelInfer", right)
    before = usage(child.process.pid)
    yield asker
    response = asker.ask("ModelInfer", right)
    assert isinstance(response, bytes)
    raw = service_pb2.ModelInferResponse.FromString(response).raw_output_contents[0]
    np.testing.assert_allclose(np.frombuffer(raw, "<f4"), reference.cloud_logits(images()).ravel(), atol=1e-4)
    asker.channel.close()
    assert usage(child.process.pid).rss - before.rss < 48 * MIB


@FUZZ
@given(st.sampled_from(["full", "tail"]), EDITS)
def test_damaged_requests(asker: Asker, model: str, edits: list[tuple[float, bytes, int]]) -> None:
    payloads, codec = (png(2), "png") if model == "full" else ([bytes(8)] * 2, "int4")
    asker.ask("ModelInfer", mutated(payload_request(model, payloads, codec=codec).SerializeToString(), edits))


@FUZZ
@given(st.sampled_from(METHODS), st.binary(max_size=60))
def test_any_bytes_to_any_method(asker: Asker, method: str, message: bytes) -> None:
    asker.ask(method, message)


@pytest.mark.parametrize("method", METHODS)
def test_what_cannot_be_parsed_is_not_the_servers_fault(asker: Asker, method: str) -> None:
    assert asker.ask(method, b"\xff\xff\xff") == grpc.StatusCode.INVALID_ARGUMENT


@FUZZ
@given(
    counts=st.tuples(st.integers(0, 5), st.integers(-3, 70), st.integers(0, 3)),
    shape=st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 9), max_size=4),
    datatype=st.sampled_from(["BYTES", "UINT8", "FP32", "", "\x00"]),
    name=st.sampled_from(["payload", "image", "boundary", "logits", ""]),
    kind=st.sampled_from(["string_param", "int64_param", "bool_param", "double_param"]),
    parameter=st.sampled_from(["codec", "pair_id", "timeout", "sequence_id", "x" * 500]),
    codec=st.text(max_size=80),
)
def test_well_formed_nonsense(
    asker: Asker,
    counts: tuple[int, int, int],
    shape: list[int],
    datatype: str,
    name: str,
    kind: str,
    parameter: str,
    codec: str,
) -> None:
    payloads, batch, inputs = counts
    request = service_pb2.ModelInferRequest(model_name="full", id="7")
    value = {"string_param": codec, "int64_param": -1, "bool_param": True, "double_param": float("nan")}[kind]
    setattr(request.parameters[parameter], kind, value)
    for _ in range(inputs):
        request.inputs.add(name=name, datatype=datatype, shape=[batch, *shape])
    request.raw_input_contents.append(wire.pack_bytes([b"x"] * payloads))
    asker.ask("ModelInfer", request.SerializeToString())


def test_requests_that_are_too_much(asker: Asker) -> None:
    full = payload_request("full", png(1), codec="png")
    for message in (
        b"\x2a\x00" * 30_000,  # empty tensors
        b"\x3a\x00" * 30_000,  # raw contents of nothing
        b"\x22\x00" * 30_000,  # parameters without a name
        full.SerializeToString() + b"\x22\x08\x0a\x02ab\x12\x02\x08\x01" * 7_000,
        bytes(8 << 20),
    ):
        assert asker.ask("ModelInfer", message) in (
            *(grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.NOT_FOUND),
        )
    assert asker.ask("ModelInfer", full.SerializeToString(), metadata=[("x", "y" * 60_000)]) in BLAMES_THE_REQUEST


@pytest.fixture(scope="module")
def told(toy_bundle: Bundle) -> Iterator[tuple[CloudClient, list[bytes]]]:
    """A client, and what it will be answered."""
    answers = [b""]
    with (
        fake_server(lambda request, context: answers[0]) as url,
        CloudClient(url, toy_bundle.manifest) as client,
    ):
        yield client, answers


@FUZZ
@given(EDITS, st.integers(0, 80))
def test_damaged_answers(
    told: tuple[CloudClient, list[bytes]], edits: list[tuple[float, bytes, int]], cut: int
) -> None:
    """Finite logits of the right shape, or a CloudError; never anything else."""
    client, answers = told
    whole = answer(server_ns=10, queue_ns=1, decode_ns=1, compute_ns=1).SerializeToString()
    spoilt = mutated(whole, edits)
    answers[0] = spoilt[: len(spoilt) - cut] if cut < 40 else spoilt
    refusal = None
    try:
        found = client.infer("full", b"x", "png", 20)
    except CloudError as error:
        refusal = error
    if refusal is not None:
        assert refusal.reason.is_fallback
        assert len(refusal.detail) < 2000
        return
    assert found.logits.shape == (4,)
    assert found.logits.dtype == np.float32
    assert np.isfinite(found.logits).all()
    assert 0 <= found.queue_ms + found.decode_ms + found.compute_ms <= found.server_ms <= found.round_trip_ms
    assert threading.active_count() < 30
