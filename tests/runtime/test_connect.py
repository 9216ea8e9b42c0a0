"""How a client asks whether a server is the right one: for all halves at once, and again while nobody is there."""

from __future__ import annotations

import threading
import time

import grpc
import pytest
from tritonclient.grpc import model_config_pb2, service_pb2

from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import ServerError
from ecc_deploy.runtime.client import CloudClient
from ecc_deploy.serving import Server
from tests.runtime.fakes import fake_server, free_port


def config(pair_id: str) -> bytes:
    told = model_config_pb2.ModelConfig()
    told.parameters["pair_id"].string_value = pair_id
    return service_pb2.ModelConfigResponse(config=told).SerializeToString()


def test_all_halves_are_asked_for_at_once(toy_bundle: Bundle) -> None:
    """The server answers nobody before it was asked for both: one after the other would never end."""
    both = threading.Barrier(2)

    def told(request: bytes, context: grpc.ServicerContext) -> bytes:
        both.wait(10)
        return config(toy_bundle.manifest.pair_id)

    with fake_server(lambda request, context: b"", told) as url, CloudClient(url, toy_bundle.manifest) as client:
        client.connect(timeout_s=8.0)
    assert not both.broken


def test_a_server_that_knows_no_pairs_is_asked_by_the_halves_own_names(toy_bundle: Bundle) -> None:
    asked: list[str] = []

    def told(request: bytes, context: grpc.ServicerContext) -> bytes:
        name = service_pb2.ModelConfigRequest.FromString(request).name
        asked.append(name)
        if "/" in name:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
        return config(toy_bundle.manifest.pair_id)

    with fake_server(lambda request, context: b"", told) as url, CloudClient(url, toy_bundle.manifest) as client:
        client.connect()
    assert sorted(asked[2:]) == ["full", "tail"]


def test_a_server_that_comes_later_is_waited_for(toy_bundle: Bundle) -> None:
    port, servers = free_port(), []

    def come() -> None:
        servers.append(Server([toy_bundle], port=port))
        servers[0].start()

    late = threading.Timer(0.3, come)
    late.start()
    with CloudClient(f"127.0.0.1:{port}", toy_bundle.manifest) as client:
        client.connect(timeout_s=15.0)
    late.join()
    servers[0].stop()


def test_nobody_is_waited_for_longer_than_was_said(toy_bundle: Bundle) -> None:
    start = time.monotonic()
    with (
        CloudClient(f"127.0.0.1:{free_port()}", toy_bundle.manifest) as client,
        pytest.raises(ServerError, match=r"no server answers at .* within 0.2 s"),
    ):
        client.connect(timeout_s=0.2)
    assert time.monotonic() - start < 10
