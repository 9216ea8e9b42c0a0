"""A server of the protocol that tells no configurations, as the standard allows: whose half it has, names say."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from tritonclient.grpc import service_pb2

from ecc_deploy import wire
from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import ServerError
from ecc_deploy.runtime.client import CloudClient

Serve = Callable[[set[str]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that has models of these names ready, and nothing but ``ModelReady``; gives its address."""
    started = []

    def start(names: set[str]) -> str:
        def ready(request: service_pb2.ModelReadyRequest, context: grpc.ServicerContext) -> object:
            return service_pb2.ModelReadyResponse(ready=request.name in names)

        handler = grpc.unary_unary_rpc_method_handler(
            ready, service_pb2.ModelReadyRequest.FromString, service_pb2.ModelReadyResponse.SerializeToString
        )
        server = grpc.server(ThreadPoolExecutor(2))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(wire.SERVICE, {"ModelReady": handler}),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        started.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in started:
        server.stop(None).wait()


def test_a_model_called_by_the_pair_is_the_pairs(serve: Serve, toy_bundle: Bundle) -> None:
    pair_id = toy_bundle.manifest.pair_id
    with CloudClient(serve({f"{pair_id}/full", f"{pair_id}/tail"}), toy_bundle.manifest) as client:
        client.connect(10.0)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"full", "tail"}, "belongs to the pair of nobody"),
        ({"other/full", "other/tail"}, "does not serve 'full'"),
        (set(), "does not serve 'full'"),
    ],
)
def test_any_other_name_is_not_enough(serve: Serve, toy_bundle: Bundle, names: set[str], said: str) -> None:
    with CloudClient(serve(names), toy_bundle.manifest) as client, pytest.raises(ServerError, match=said):
        client.connect(10.0)
