"""The server over a real connection, spoken to by the protocol's own unmodified client."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from ecc_deploy.bundle import Bundle, Manifest, write_bundle
from ecc_deploy.bundle.codecs import sent
from ecc_deploy.errors import BundleError, ServerError, UsageError
from ecc_deploy.runtime.client import CloudClient
from ecc_deploy.serving import Server
from ecc_deploy.serving.model import CloudModel
from tests import reference
from tests.serving.requests import images, logits, payload_request, png, stub
from tests.toy import make_bundle


@pytest.fixture(scope="module")
def client(toy_server: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"127.0.0.1:{toy_server.port}") as client:
        yield client


def triton_input(payloads: list[bytes]) -> list[triton.InferInput]:
    tensor = triton.InferInput("payload", [len(payloads)], "BYTES")
    tensor.set_data_from_numpy(np.array(payloads, object))
    return [tensor]


class TestTritonClient:
    def test_health(self, client: triton.InferenceServerClient) -> None:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("full")
        assert client.is_model_ready("toy/tail", "1")
        assert not client.is_model_ready("full", "2")
        assert not client.is_model_ready("nothing")

    def test_metadata(self, client: triton.InferenceServerClient) -> None:
        assert client.get_server_metadata(as_json=True)["name"] == "ecc-deploy"
        found = client.get_model_metadata("full", as_json=True)
        assert (found["name"], found["versions"], found["platform"]) == ("full", ["1"], "onnxruntime")
        assert found["inputs"] == [{"name": "payload", "datatype": "BYTES", "shape": ["-1"]}]
        assert found["outputs"] == [{"name": "logits", "datatype": "FP32", "shape": ["-1", "4"]}]

    def test_config(self, client: triton.InferenceServerClient, toy_bundle: Bundle) -> None:
        config = client.get_model_config("tail").config
        said = {name: value.string_value for name, value in config.parameters.items()}
        assert said == {
            "pair_id": toy_bundle.manifest.pair_id,
            "bundle": "toy",
            "max_batch": "64",
            "codec": "int4",
            "codec.adaptive": "int4",
            "codec.dynamic": "int4",
        }
        assert [(i.name, list(i.dims)) for i in config.input] == [("payload", [-1]), ("boundary", [-1, 1, 4, 4])]

    def test_a_codec_with_a_table(self, rich_bundle: Bundle) -> None:
        codec = sent(rich_bundle, "toy").codec("int4+ans")
        payloads = [codec.encode(codes) for codes in reference.codes(images(5))]
        with (
            Server([rich_bundle]) as server,
            triton.InferenceServerClient(f"127.0.0.1:{server.port}") as client,
        ):
            assert client.get_model_config("tail").config.parameters["codec.dynamic"].string_value == "int4+ans"
            for parameters in (None, {"codec": "int4+ans"}):
                found = client.infer("tail", triton_input(payloads), parameters=parameters).as_numpy("logits")
                np.testing.assert_allclose(found, reference.tail_logits(images(5)), atol=1e-4)

    def test_infer(self, client: triton.InferenceServerClient) -> None:
        result = client.infer("full", triton_input(png(5)), request_id="x")
        found = result.as_numpy("logits")
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, reference.cloud_logits(images(5)), atol=1e-4)
        assert result.get_response().id == "x"
        assert result.get_response().parameters["server_ns"].int64_param > 0

    def test_infer_with_parameters_and_outputs(self, client: triton.InferenceServerClient, toy_bundle: Bundle) -> None:
        result = client.infer(
            "full",
            triton_input([image.tobytes() for image in images(1)]),
            outputs=[triton.InferRequestedOutput("logits")],
            parameters={"codec": "raw", "pair_id": toy_bundle.manifest.pair_id},
        )
        np.testing.assert_allclose(result.as_numpy("logits"), reference.cloud_logits(images(1)), atol=1e-4)

    def test_infer_an_image_without_a_codec(self, client: triton.InferenceServerClient) -> None:
        tensor = triton.InferInput("image", [3, 8, 8, 1], "UINT8")
        tensor.set_data_from_numpy(images(3))
        found = client.infer("full", [tensor]).as_numpy("logits")
        np.testing.assert_allclose(found, reference.cloud_logits(images(3)), atol=1e-4)

    def test_the_largest_batch(self, client: triton.InferenceServerClient) -> None:
        assert client.infer("full", triton_input(png(64))).as_numpy("logits").shape == (64, 4)
        with pytest.raises(InferenceServerException, match="batch of 1 to 64"):
            client.infer("full", triton_input(png(65)))

    def test_a_wrong_request(self, client: triton.InferenceServerClient) -> None:
        with pytest.raises(InferenceServerException, match="no model 'empty'") as refused:
            client.infer("empty", triton_input(png(1)))
        assert refused.value.status() == "StatusCode.NOT_FOUND"

    def test_what_is_not_offered_is_unimplemented(self, client: triton.InferenceServerClient) -> None:
        with pytest.raises(InferenceServerException) as refused:
            client.get_inference_statistics()
        assert refused.value.status() == "StatusCode.UNIMPLEMENTED"


def test_a_message_beyond_the_bound_is_refused(toy_server: Server, channels: list[grpc.Channel]) -> None:
    raw = payload_request("full", [b"x" * 400_000])
    with pytest.raises(grpc.RpcError) as refused:
        stub(toy_server, channels).ModelInfer(raw, timeout=10)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    allowed = payload_request("full", [b"x" * 60_000])
    with pytest.raises(grpc.RpcError) as refused:
        stub(toy_server, channels).ModelInfer(allowed, timeout=10)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_bytes_that_are_no_message_are_refused(toy_server: Server, channels: list[grpc.Channel]) -> None:
    stub(toy_server, channels)
    call = channels[0].unary_unary("/inference.GRPCInferenceService/ModelInfer")
    with pytest.raises(grpc.RpcError) as refused:
        call(b"\xff\xff\xff", timeout=10)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_port_in_use_is_an_error_with_a_hint(toy_server: Server, toy_bundle: Bundle) -> None:
    with pytest.raises(ServerError, match=f"cannot listen on 127.0.0.1:{toy_server.port}") as error:
        Server([toy_bundle], port=toy_server.port).start()
    assert "--port" in error.value.hint


def test_a_host_of_elsewhere_is_an_error(toy_bundle: Bundle) -> None:
    with pytest.raises(ServerError, match=r"cannot listen on 192.0.2.1:0"):
        Server([toy_bundle], host="192.0.2.1").start()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"port": 65536}, "port is 65536"),
        ({"port": -1}, "port is -1"),
        ({"threads": 0}, "threads is 0"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"max_queue": -1}, "max_queue is -1"),
    ],
)
def test_arguments_out_of_range(toy_bundle: Bundle, options: dict[str, int], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Server([toy_bundle], **options)


def test_nothing_to_serve(toy_bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="no cloud half in no bundle"):
        Server([])
    with pytest.raises(UsageError, match="given twice"):
        Server([toy_bundle, toy_bundle])


def test_several_bundles_are_told_apart(
    toy_bundle: Bundle, other_bundle: Bundle, tmp_path: Path, channels: list[grpc.Channel]
) -> None:
    named = make_bundle(tmp_path / "named", name="third")
    with Server([toy_bundle, other_bundle, named]) as server:
        ask = stub(server, channels)
        assert server.names == ["third/full", "third/tail", "toy/full", "toy/tail"]
        ours, theirs = toy_bundle.manifest.pair_id, other_bundle.manifest.pair_id
        for model, version, parameters, answering in (
            ("full", "", {"pair_id": ours}, "1"),
            ("full", "1", {"pair_id": theirs}, "2"),  # a client that knows of one version only; its pair decides
            ("toy/full", "2", {"pair_id": theirs}, "2"),
            ("toy/full", "", {"pair_id": ours}, "1"),
            ("toy/full", "", {}, "2"),  # the newest
            ("toy/full", "1", {}, "1"),
            ("toy/full", "2", {}, "2"),
            ("third/full", "", {}, "1"),
            (f"{theirs}/full", "", {}, "2"),
            (f"{theirs}/full", "1", {}, "2"),
        ):
            request = payload_request(model, png(), **parameters)
            request.model_version = version
            answer = ask.ModelInfer(request, timeout=10)
            np.testing.assert_allclose(logits(answer), reference.cloud_logits(images()), atol=1e-4)
            assert (answer.model_name, answer.model_version) == (model, answering), (model, version, parameters)
        for model, version, parameters, code, says in (
            ("full", "", {}, "FAILED_PRECONDITION", "send the parameter pair_id, or ask for third/full or toy/full"),
            ("toy/full", "3", {}, "NOT_FOUND", "no version '3', only '1', '2'"),
            ("toy/full", "3", {"pair_id": ours}, "NOT_FOUND", "no version '3', only '1'"),
            ("third/full", "", {"pair_id": ours}, "FAILED_PRECONDITION", "different bundles"),
        ):
            request = payload_request(model, png(), **parameters)
            request.model_version = version
            with pytest.raises(grpc.RpcError) as refused:
                ask.ModelInfer(request, timeout=10)
            assert refused.value.code().name == code
            assert says in refused.value.details()
        told = ask.ModelMetadata(service_pb2.ModelMetadataRequest(name="toy/tail"), timeout=10)
        assert list(told.versions) == ["1", "2"]
        for version, there in (("", True), ("1", True), ("2", True), ("3", False)):
            request = service_pb2.ModelReadyRequest(name="toy/tail", version=version)
            assert ask.ModelReady(request, timeout=10).ready == there
        for bundle in (toy_bundle, other_bundle, named):
            with CloudClient(f"127.0.0.1:{server.port}", bundle.manifest) as client:
                client.connect()
                client.infer("full", png(1)[0], "png", 10.0)


def changed(bundle: Bundle, out: Path, change) -> Bundle:
    """A consistent bundle with the files of ``bundle`` and another manifest."""

    def fill(folder: Path) -> Manifest:
        for name in bundle.manifest.files:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(bundle.file(name).read_bytes())
        facts = bundle.manifest.model_dump(mode="json")
        change(facts)
        return Manifest.model_validate(facts)

    return write_bundle(out, fill)


def test_a_fixed_batch_is_filled_up(toy_bundle: Bundle, tmp_path: Path) -> None:
    bundle = changed(toy_bundle, tmp_path / "b", lambda facts: facts["halves"]["full"].update(batch=4))
    model = CloudModel(bundle, "full", threads=1)
    seen = []
    run = model._runner.run
    model._runner.run = lambda inputs: seen.append(inputs["image"].shape) or run(inputs)
    found = model.run(model.prepare(images(6)))
    np.testing.assert_allclose(found, reference.cloud_logits(images(6)), atol=1e-4)
    assert seen == [(4, 1, 8, 8), (4, 1, 8, 8)]


def test_halves_that_cannot_serve_are_found_at_the_start(toy_bundle: Bundle, tmp_path: Path) -> None:
    def rename(facts: dict) -> None:
        facts["halves"]["full"]["outputs"][0]["name"] = "boxes"

    with pytest.raises(BundleError, match=r"'full' .* gives no float32 logits of 4 classes"):
        Server([changed(toy_bundle, tmp_path / "a", rename)]).start()

    def transpose(facts: dict) -> None:
        facts["halves"]["full"]["inputs"][0]["shape"] = [8, 1, 8]

    with pytest.raises(BundleError, match="not the image that the manifest describes"):
        Server([changed(toy_bundle, tmp_path / "b", transpose)]).start()

    def recode(facts: dict) -> None:
        facts["deployments"]["cloud-only"]["codec"] = "raw"

    with pytest.raises(BundleError, match=r"golden payload of the deployment 'cloud-only' .* cannot be decoded"):
        Server([changed(toy_bundle, tmp_path / "c", recode)]).start()
