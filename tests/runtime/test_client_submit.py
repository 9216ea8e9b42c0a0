"""Requests without waiting: the same answers and the same errors as with it."""

import threading
from concurrent.futures import Future

import grpc
import numpy as np
import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.payload import make_codec
from ecc_deploy.runtime.client import CloudAnswer, CloudClient, CloudError
from ecc_deploy.runtime.result import Reason
from tests import reference
from tests.runtime.clouds import right_logits
from tests.runtime.fakes import answer, fake_server, free_port
from tests.serving.requests import BOUNDARY
from tests.toy import samples

CODES = reference.codes(samples(8, seed=3).images)
PAYLOADS = [make_codec("int4", BOUNDARY).encode(codes) for codes in CODES]


def failure(future: Future[CloudAnswer]) -> CloudError:
    error = future.exception(20)
    assert isinstance(error, CloudError)
    return error


def test_many_at_a_time(cloud: CloudClient) -> None:
    waited = [cloud.infer("tail", payload, "int4", 20.0).logits.tolist() for payload in PAYLOADS]
    futures = [cloud.submit("tail", payload, "int4", 20.0) for payload in PAYLOADS]
    assert [future.result(20).logits.tolist() for future in futures] == waited
    assert all(future.result().round_trip_ms >= future.result().server_ms > 0 for future in futures)
    np.testing.assert_allclose(waited, [right_logits(payload) for payload in PAYLOADS], atol=1e-4)


def test_what_goes_wrong_is_in_the_future(toy_bundle: Bundle) -> None:
    with CloudClient(f"127.0.0.1:{free_port()}", toy_bundle.manifest) as client:
        assert failure(client.submit("tail", b"x", "int4", 0.0)).reason == Reason.DEADLINE
        assert failure(client.submit("tail", b"x", "int4", 5.0)).reason == Reason.UNAVAILABLE
    closed = failure(client.submit("tail", b"x", "int4", 5.0))
    assert (closed.reason, closed.detail) == (Reason.UNAVAILABLE, "the client was closed")


@pytest.mark.parametrize("garbage", [b"", b"\xff" * 40, answer(np.full((1, 4), np.nan)).SerializeToString()])
def test_garbage_is_refused(toy_bundle: Bundle, garbage: bytes) -> None:
    with fake_server(lambda request, context: garbage) as url, CloudClient(url, toy_bundle.manifest) as client:
        assert failure(client.submit("tail", b"x", "int4", 20.0)).reason == Reason.REFUSED


def test_cancelling_ends_the_request_at_the_server(toy_bundle: Bundle) -> None:
    arrived, gone = threading.Event(), threading.Event()

    def infer(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.add_callback(gone.set)
        arrived.set()
        assert gone.wait(20)
        return b""

    with fake_server(infer) as url, CloudClient(url, toy_bundle.manifest) as client:
        future = client.submit("tail", b"x", "int4", 20.0)
        assert arrived.wait(20)
        assert future.cancel()
        assert gone.wait(20)
        assert future.cancelled()


def test_closing_the_client_ends_what_is_under_way(toy_bundle: Bundle) -> None:
    arrived, ended = threading.Event(), threading.Event()

    def infer(request: bytes, context: grpc.ServicerContext) -> bytes:
        arrived.set()
        assert ended.wait(20)
        return b""

    with fake_server(infer) as url:
        client = CloudClient(url, toy_bundle.manifest)
        future = client.submit("tail", b"x", "int4", 20.0)
        assert arrived.wait(20)
        client.close()
        assert failure(future).reason == Reason.UNAVAILABLE
        ended.set()
