"""ModelInfer without a network: right answers, and a plain word on every wrong request."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from ecc_deploy import wire
from ecc_deploy.bundle import Bundle
from ecc_deploy.payload import make_codec
from ecc_deploy.serving.catalog import Catalog
from ecc_deploy.serving.model import CloudModel
from ecc_deploy.serving.service import Service
from ecc_deploy.serving.slots import Slots
from tests import reference
from tests.serving.requests import (
    BOUNDARY,
    AbortedError,
    Context,
    golden_boundary,
    images,
    infer,
    logits,
    payload_request,
    png,
    tensor_request,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT
REFUSALS = {INVALID, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION}


@pytest.fixture(scope="module")
def models(toy_bundle: Bundle) -> Iterator[list[CloudModel]]:
    models = [CloudModel(toy_bundle, key, threads=1) for key in ("full", "tail")]
    yield models
    for model in models:
        model.close()


@pytest.fixture(scope="module")
def service(models: list[CloudModel]) -> Service:
    return Service(Catalog(models), Slots(1, max_queue=4))


def test_payloads_are_answered_as_one_batch(service: Service) -> None:
    answer = infer(service, payload_request("full", png(5)))
    np.testing.assert_allclose(logits(answer), reference.cloud_logits(images(5)), atol=1e-4)
    assert (answer.model_name, answer.model_version, answer.id) == ("full", "1", "7")
    assert (answer.outputs[0].name, answer.outputs[0].datatype, list(answer.outputs[0].shape)) == (
        "logits", "FP32", [5, 4],
    )  # fmt: skip


def test_the_codec_of_a_request_counts(service: Service) -> None:
    answer = infer(service, payload_request("full", [image.tobytes() for image in images()], codec="raw"))
    np.testing.assert_allclose(logits(answer), reference.cloud_logits(images()), atol=1e-4)


def test_a_boundary_payload_is_answered_by_the_tail(service: Service) -> None:
    codec = make_codec("int4+delta+zstd", BOUNDARY)
    payloads = [codec.encode(codes) for codes in reference.codes(images())]
    answer = infer(service, payload_request("tail", payloads, codec=codec.spec))
    np.testing.assert_allclose(logits(answer), reference.tail_logits(images()), atol=1e-4)


def test_contents_that_are_not_raw_are_taken_too(service: Service) -> None:
    request = payload_request("full", png())
    del request.raw_input_contents[:]
    request.inputs[0].contents.bytes_contents.extend(png())
    np.testing.assert_allclose(logits(infer(service, request)), reference.cloud_logits(images()), atol=1e-4)


def test_a_foreign_client_may_send_the_tensors_themselves(service: Service, toy_bundle: Bundle) -> None:
    answer = infer(service, tensor_request("full", "image", images()))
    np.testing.assert_allclose(logits(answer), reference.cloud_logits(images()), atol=1e-4)
    boundary = golden_boundary(toy_bundle)
    codec = make_codec("int4", BOUNDARY)
    direct = infer(service, tensor_request("tail", "boundary", boundary))
    encoded = infer(service, payload_request("tail", [codec.encode(codes) for codes in boundary]))
    assert np.array_equal(logits(direct), logits(encoded))


def test_the_parts_of_the_servers_time_add_up(service: Service) -> None:
    times = {
        name: value.int64_param for name, value in infer(service, payload_request("full", png())).parameters.items()
    }
    assert set(times) == {wire.QUEUE_NS, wire.DECODE_NS, wire.COMPUTE_NS, wire.SERVER_NS}
    assert all(value >= 0 for value in times.values())
    assert times[wire.QUEUE_NS] + times[wire.DECODE_NS] + times[wire.COMPUTE_NS] <= times[wire.SERVER_NS]
    assert times[wire.DECODE_NS] > 0
    assert times[wire.COMPUTE_NS] > 0


def _input(**facts: Any) -> Callable[[Any], None]:
    def change(request: Any) -> None:
        for name, value in facts.items():
            if name == "shape":
                request.inputs[0].shape[:] = value
            else:
                setattr(request.inputs[0], name, value)

    return change


def _parameter(name: str, **choice: Any) -> Callable[[Any], None]:
    def change(request: Any) -> None:
        for kind, value in choice.items():
            setattr(request.parameters[name], kind, value)

    return change


def _set(**facts: Any) -> Callable[[Any], None]:
    def change(request: Any) -> None:
        for name, value in facts.items():
            setattr(request, name, value)

    return change


def _raw(*contents: bytes) -> Callable[[Any], None]:
    def change(request: Any) -> None:
        request.raw_input_contents[:] = contents

    return change


WRONG = [
    (_set(model_name="tial"), grpc.StatusCode.NOT_FOUND, r"no model 'tial'; served here: full, tail, toy/full"),
    (_set(model_version="2"), grpc.StatusCode.NOT_FOUND, r"no version '2'"),
    (_parameter("pair_id", string_param="f" * 32), grpc.StatusCode.FAILED_PRECONDITION, r"different bundles"),
    (_parameter("pair_id", int64_param=1), INVALID, r"'pair_id' must be a string"),
    (_parameter("codec", bool_param=True), INVALID, r"'codec' must be a string"),
    (_parameter("codec", string_param=""), INVALID, r"the codec '' cannot be used"),
    (_parameter("codec", string_param="gif"), INVALID, r"no codec named 'gif'"),
    (_parameter("codec", string_param="float16"), INVALID, r"the codec 'float16' cannot be used"),
    (
        _parameter("codec", string_param="int4+ans"),
        INVALID,
        r"the codec 'int4\+ans' cannot be used: int4\+ans needs the table",
    ),
    (_parameter("codec", string_param="png" * 1000), INVALID, r"3000 characters; at most 64"),
    (_input(name="images"), INVALID, r"no input 'images'; the inputs are 'payload' \(BYTES\) or 'image' \(UINT8\)"),
    (_input(name="boundary"), INVALID, r"no input 'boundary'"),
    (_input(name="image"), INVALID, r"'image' is UINT8 of shape \['batch', 8, 8, 1\], not 'BYTES' of shape \[3\]"),
    (_input(datatype="UINT8"), INVALID, r"BYTES of shape \[batch\], not 'UINT8'"),
    (_input(shape=[]), INVALID, r"no batch of 1 to 64"),
    (_input(shape=[0]), INVALID, r"no batch of 1 to 64"),
    (_input(shape=[-1]), INVALID, r"no batch of 1 to 64"),
    (_input(shape=[65]), INVALID, r"no batch of 1 to 64"),
    (_input(shape=[2**62]), INVALID, r"no batch of 1 to 64"),
    (_input(shape=[3, 1]), INVALID, r"BYTES of shape \[batch\]"),
    (_input(shape=[2]), INVALID, r"bytes follow the last of 2 elements"),
    (_input(shape=[4]), INVALID, r"element 3 of 4 is missing"),
    (_raw(), INVALID, r"one entry of raw_input_contents is wanted; the request has 0"),
    (_raw(b"", b""), INVALID, r"the request has 2"),
    (_raw(wire.pack_bytes([b"a", b"b", b"c"])), INVALID, r"payload 0 is not png"),
    (_raw(wire.pack_bytes([*png(2), b"x" * 60000])), INVALID, r"payload 2 is not png: .* at most"),
    (lambda r: r.inputs.add(name="more"), INVALID, r"one input is wanted, 'payload'; the request has 2"),
    (lambda r: r.inputs.pop(), INVALID, r"the request has 0"),
    (lambda r: r.outputs.add(name="boxes"), INVALID, r"only output is 'logits'"),
    (
        lambda r: (
            r.inputs[0]
            .parameters["shared_memory_region"]
            .MergeFrom(service_pb2.InferParameter(string_param="/dev/shm/x"))
        ),
        INVALID,
        r"parameters of an input are not known here: 'shared_memory_region'",
    ),
]


@pytest.mark.parametrize(("change", "code", "says"), WRONG, ids=[says for _, _, says in WRONG])
def test_a_wrong_request_is_told_what_is_wrong(
    service: Service, change: Callable[[Any], None], code: grpc.StatusCode, says: str
) -> None:
    request = payload_request("full", png())
    change(request)
    with pytest.raises(AbortedError, match=says) as refused:
        infer(service, request)
    assert refused.value.code == code


def test_a_wrong_tensor_is_told_what_is_wrong(service: Service) -> None:
    short = tensor_request("full", "image", images())
    short.raw_input_contents[0] = short.raw_input_contents[0][:-1]
    with pytest.raises(AbortedError, match=r"'image' has 191 bytes, its shape and datatype say 192"):
        infer(service, short)
    with pytest.raises(AbortedError, match=r"not 'FP32'"):
        infer(service, tensor_request("full", "image", images(), "FP32"))
    with pytest.raises(AbortedError, match=r"not 'UINT8' of shape \[3, 1, 8, 8\]"):
        infer(service, tensor_request("full", "image", images().reshape(3, 1, 8, 8)))
    encoded = tensor_request("full", "image", images())
    encoded.parameters["codec"].string_param = "png"
    with pytest.raises(AbortedError, match=r"a codec goes with the input 'payload'"):
        infer(service, encoded)


def test_contents_must_be_as_many_as_the_shape_says(service: Service) -> None:
    request = payload_request("full", png())
    del request.raw_input_contents[:]
    request.inputs[0].contents.bytes_contents.extend(png(2))
    with pytest.raises(AbortedError, match="bytes_contents has 2 elements, the shape says 3"):
        infer(service, request)


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


def test_a_failure_of_ours_is_logged_and_not_told(
    models: list[CloudModel], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: CloudModel, inputs: np.ndarray) -> np.ndarray:
        raise RuntimeError("the secret of /etc")

    monkeypatch.setattr(CloudModel, "run", fail)
    slots = Slots(1, max_queue=0)
    service = Service(Catalog(models), slots)
    with caplog.at_level(logging.ERROR, "ecc_deploy.serving"), pytest.raises(AbortedError) as refused:
        infer(service, payload_request("full", png()))
    assert refused.value.code == grpc.StatusCode.INTERNAL
    assert refused.value.message == "the server failed; its log says why, under failure 1"
    assert "failure 1" in caplog.text
    assert "the secret of /etc" in caplog.text
    assert slots.acquire(), "the slot was not given back"


@pytest.mark.parametrize("wrong", [np.zeros((3, 5), np.float32), np.zeros((2, 4), np.float32), np.zeros((3, 4))])
def test_an_engine_that_gives_something_else_is_a_failure_of_ours(
    service: Service, monkeypatch: pytest.MonkeyPatch, wrong: np.ndarray
) -> None:
    monkeypatch.setattr(CloudModel, "run", lambda self, inputs: wrong)
    with pytest.raises(AbortedError) as refused:
        infer(service, payload_request("full", png()))
    assert refused.value.code == grpc.StatusCode.INTERNAL


def test_a_caller_who_went_is_not_computed_for(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CloudModel, "run", lambda self, inputs: pytest.fail("it was computed"))
    with pytest.raises(AbortedError) as refused:
        infer(service, payload_request("full", png()), Context(is_active=False))
    assert refused.value.code == grpc.StatusCode.CANCELLED


def test_a_deadline_that_passes_in_the_queue_ends_the_wait(models: list[CloudModel]) -> None:
    slots = Slots(1, max_queue=1)
    slots.acquire()
    with pytest.raises(AbortedError, match="while the request waited") as refused:
        infer(Service(Catalog(models), slots), payload_request("full", png()), Context(remaining=0.01))
    assert refused.value.code == grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_full_queue_refuses(models: list[CloudModel]) -> None:
    slots = Slots(1, max_queue=0)
    slots.acquire()
    with pytest.raises(AbortedError, match="queue is full") as refused:
        infer(Service(Catalog(models), slots), payload_request("full", png()))
    assert refused.value.code == grpc.StatusCode.RESOURCE_EXHAUSTED
