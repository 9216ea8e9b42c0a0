"""ModelInfer, asked anything: an answer, or a refusal that blames the request."""

import grpc
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from ecc_deploy import wire
from ecc_deploy.serving.service import Service
from tests.serving.requests import AbortedError, infer, logits, payload_request, png

REFUSALS = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION}


def answers_or_refuses(service: Service, message: bytes) -> None:
    """The one thing that must hold for any request: an answer, or a refusal that blames the request."""
    refusal = None
    try:
        answer = infer(service, message)
    except AbortedError as error:
        refusal = error
    if refusal is None:
        assert logits(answer).shape[1] == 4
        return
    assert refusal.code in REFUSALS, refusal
    assert refusal.message
    assert "Traceback" not in refusal.message


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(st.binary(max_size=300))
def test_any_bytes_as_a_request(service: Service, message: bytes) -> None:
    answers_or_refuses(service, message)


@FUZZ
@given(
    st.sampled_from(["full", "tail"]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=6),
    st.integers(0, 40),
)
def test_a_damaged_request(service: Service, model: str, changes: list[tuple[int, int]], cut: int) -> None:
    valid = payload_request(
        model, png(2) if model == "full" else [bytes(8)] * 2, codec="png" if model == "full" else "int4"
    )
    message = bytearray(valid.SerializeToString())
    for position, value in changes:
        message[position % len(message)] = value
    answers_or_refuses(service, bytes(message[: len(message) - cut] if cut < 20 else message))


@FUZZ
@given(
    model=st.sampled_from(["full", "tail", "toy/full", "", "\x00", "x" * 300]),
    name=st.sampled_from(["payload", "image", "boundary", "logits", ""]),
    datatype=st.sampled_from(["BYTES", "UINT8", "FP32", "INT8", ""]),
    shape=st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 9), max_size=6),
    raw=st.lists(st.binary(max_size=200), max_size=3),
    contents=st.lists(st.binary(max_size=20), max_size=3),
    codec=st.none() | st.text(max_size=70) | st.sampled_from(["png", "raw", "int4+zstd:19", "jpeg:50", "webp:1"]),
)
@example("full", "image", "UINT8", [1, 8, 8, 1], [bytes(64)], [], None)
@example("tail", "payload", "BYTES", [1], [wire.pack_bytes([b"\x28\xb5\x2f\xfd" + b"\xff" * 40])], [], "int4+zstd")
def test_a_well_formed_request_of_anything(
    service: Service,
    model: str,
    name: str,
    datatype: str,
    shape: list[int],
    raw: list[bytes],
    contents: list[bytes],
    codec: str | None,
) -> None:
    request = service_pb2.ModelInferRequest(model_name=model, raw_input_contents=raw)
    request.inputs.add(name=name, datatype=datatype, shape=shape).contents.bytes_contents.extend(contents)
    if codec is not None:
        request.parameters["codec"].string_param = codec
    answers_or_refuses(service, request.SerializeToString())
