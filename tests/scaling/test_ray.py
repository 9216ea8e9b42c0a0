"""What Ray Serve is told, as far as it can be seen without Ray; ``tests/servers`` has it serve."""

import ast
from pathlib import Path
from typing import Any

import grpc
import yaml

import ecc_deploy
from ecc_deploy import wire
from ecc_deploy.bundle import Bundle, open_bundle
from ecc_deploy.scaling import ray_messages
from ecc_deploy.scaling.export import export_serving

APP = Path(ecc_deploy.__file__).parent / "scaling/ray_app.py"


def test_the_configuration_names_what_there_is(toy_bundle: Bundle, tmp_path: Path) -> None:
    made = export_serving(toy_bundle, tmp_path / "out", kind="ray", threads=2)
    found = yaml.safe_load((made.path / "serve.yaml").read_text())
    assert found["grpc_options"]["port"] == 8001
    assert found["grpc_options"]["grpc_servicer_functions"] == [f"{ray_messages.__name__}.add_to_server"]
    (application,) = found["applications"]
    module, _, function = application["import_path"].partition(":")
    assert module == "ecc_deploy.scaling.ray_app"
    tree = ast.parse(APP.read_text())
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    (replicas,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "CloudHalves"]
    assert set(ray_messages.METHODS) <= {node.name for node in replicas.body if isinstance(node, ast.AsyncFunctionDef)}
    assert [item["name"] for item in application["deployments"]] == [replicas.name]
    assert application["args"]["threads"] == 2
    assert open_bundle(application["args"]["bundle"]).manifest.pair_id == toy_bundle.manifest.pair_id


def test_messages_go_through_rays_proxy_as_bytes() -> None:
    class Server:
        def add_generic_rpc_handlers(self, handlers: tuple[Any, ...]) -> None:
            (self.handler,) = handlers

    class Details:
        def __init__(self, method: str) -> None:
            self.method = method

    server = Server()
    ray_messages.add_to_server(None, server)
    for name in ray_messages.METHODS:
        found = server.handler.service(Details(f"/{wire.SERVICE}/{name}"))
        assert isinstance(found, grpc.RpcMethodHandler)
        assert (found.request_deserializer, found.response_serializer) == (None, None)
