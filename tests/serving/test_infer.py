"""ModelInfer without a network: right answers, and a plain word on every wrong request."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from ecc_deploy import wire
from ecc_deploy.bundle import Bundle
from ecc_deploy.payload import make_codec
from ecc_deploy.serving import service as service_module
from ecc_deploy.serving.batching import Batcher
from ecc_deploy.serving.catalog import Catalog
from ecc_deploy.serving.figures import Infer, NoFigures
from ecc_deploy.serving.loop import serving_loop
from ecc_deploy.serving.model import CloudModel
from ecc_deploy.serving.service import Service
from tests import reference
from tests.serving.requests import (
    BOUNDARY,
    AbortedError,
    Context,
    begin,
    golden_boundary,
    images,
    infer,
    logits,
    payload_request,
    png,
    tensor_request,
    wait_until,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT


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


def test_a_failure_of_ours_is_logged_and_not_told(
    models: list[CloudModel], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: CloudModel, inputs: np.ndarray) -> np.ndarray:
        raise RuntimeError("the secret of /etc")

    monkeypatch.setattr(CloudModel, "run", fail)
    batcher = Batcher(1, max_queue=0)
    service = Service(Catalog(models), batcher)
    with batcher, caplog.at_level(logging.ERROR, "ecc_deploy.serving"), pytest.raises(AbortedError) as refused:
        infer(service, payload_request("full", png()))
    assert refused.value.code == grpc.StatusCode.INTERNAL
    assert refused.value.message == "the server failed; its log says why, under failure 1"
    assert "failure 1" in caplog.text
    assert "the secret of /etc" in caplog.text
    batcher.admit()  # the engine was given back


@pytest.mark.parametrize("wrong", [np.zeros((3, 5), np.float32), np.zeros((2, 4), np.float32), np.zeros((3, 4))])
def test_an_engine_that_gives_something_else_is_a_failure_of_ours(
    service: Service, monkeypatch: pytest.MonkeyPatch, wrong: np.ndarray
) -> None:
    monkeypatch.setattr(CloudModel, "run", lambda self, inputs: wrong)
    with pytest.raises(AbortedError) as refused:
        infer(service, payload_request("full", png()))
    assert refused.value.code == grpc.StatusCode.INTERNAL


class Slow:
    """An engine that is at work until it is told to end."""

    label = "slow"
    batch_limit = 1

    def __init__(self) -> None:
        self.go = threading.Event()

    def run(self, inputs: np.ndarray) -> np.ndarray:
        assert self.go.wait(20)
        return inputs


@pytest.fixture
def busy() -> Iterator[Batcher]:
    """One engine, at work; room for one request to wait."""
    with Batcher(1, max_queue=1) as batcher:
        engine = Slow()
        batcher.admit()
        working = asyncio.run_coroutine_threadsafe(batcher.run(engine, np.zeros(1)), serving_loop())
        wait_until(lambda: batcher.waiting == 0)
        yield batcher
        engine.go.set()
        working.result(20)


@pytest.mark.parametrize(("left", "code"), [(-0.01, "DEADLINE_EXCEEDED"), (5.0, "CANCELLED")])
def test_a_call_that_is_ended_leaves_the_queue_and_is_counted(
    models: list[CloudModel], busy: Batcher, left: float, code: str
) -> None:
    class Told(NoFigures):
        def infer(self, request: Infer) -> None:
            codes.append(request.code)

    codes: list[str] = []
    call = begin(Service(Catalog(models), busy, figures=Told()), payload_request("full", png()), Context(left))
    wait_until(lambda: busy.waiting == 1)
    call.cancel()
    wait_until(lambda: bool(codes))
    assert (codes, busy.waiting) == ([code], 0)


def test_a_full_queue_refuses(models: list[CloudModel], busy: Batcher) -> None:
    busy.admit()
    with pytest.raises(AbortedError, match="queue is full") as refused:
        infer(Service(Catalog(models), busy), payload_request("full", png()))
    assert refused.value.code == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_long_work_is_not_done_on_the_loop(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    prepare = CloudModel.prepare

    def spy(model: CloudModel, samples: np.ndarray) -> np.ndarray:
        seen.append(threading.current_thread().name == "ecc-serve")
        return prepare(model, samples)

    monkeypatch.setattr(CloudModel, "prepare", spy)
    infer(service, payload_request("full", png(3)))
    monkeypatch.setattr(service_module, "SHORT_ELEMENTS", 2 * 64)
    infer(service, payload_request("full", png(3)))
    infer(service, payload_request("full", png(2)))
    assert seen == [True, False, True]


def test_a_payload_that_cannot_be_decoded_keeps_no_place(service: Service) -> None:
    for _ in range(6):  # more than may wait
        with pytest.raises(AbortedError, match="payload 0 is not png"):
            infer(service, payload_request("full", [b"x"]))
    assert logits(infer(service, payload_request("full", png()))).shape == (3, 4)
