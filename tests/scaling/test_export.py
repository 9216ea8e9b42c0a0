"""``export --serving``: a folder that is whole or absent, and what KServe is told."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from ecc_deploy.bundle import Bundle, open_bundle
from ecc_deploy.cli.app import app
from ecc_deploy.errors import BundleError, UsageError
from ecc_deploy.scaling.export import export_serving


def service(folder: Path) -> Any:
    return yaml.safe_load((folder / "inference-service.yaml").read_text())


def test_an_older_export_is_replaced_and_nothing_else(toy_bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_serving(toy_bundle, out)
    (out / "models/left-over").mkdir()
    made = export_serving(toy_bundle.path, out)
    assert made.models == ("full", "tail")
    assert not (out / "models/left-over").exists()
    assert json.loads((out / "serving.json").read_text())["pair_id"] == toy_bundle.manifest.pair_id
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (tmp_path / "mine").mkdir()
    for place in (tmp_path / "mine", toy_bundle.path, toy_bundle.path / "inside"):
        with pytest.raises(UsageError, match=r"is not what an earlier --serving wrote|is inside the bundle"):
            export_serving(toy_bundle, place)
    assert not list((tmp_path / "mine").iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "tfserving"}, "no server 'tfserving'"),
        ({"engine": "torch"}, "no engine 'torch'"),
        ({"kind": "kserve", "engine": "python"}, "an engine is chosen for triton"),
        ({"threads": 0}, "threads is 0"),
        ({"storage_uri": "/mnt/x"}, "no address of a storage"),
        ({"image": "a image"}, "not the name of an image"),
    ],
)
def test_mistakes_are_told_and_leave_nothing(toy_bundle: Bundle, tmp_path: Path, options: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        export_serving(toy_bundle, tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())


def test_triton_under_kserve(toy_bundle: Bundle, tmp_path: Path) -> None:
    export_serving(toy_bundle, tmp_path / "out", storage_uri="s3://models/toy", image="registry.example/triton:1")
    found = service(tmp_path / "out")
    assert (found["apiVersion"], found["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    model = found["spec"]["predictor"]["model"]
    assert (model["modelFormat"], model["protocolVersion"]) == ({"name": "triton"}, "grpc-v2")
    assert (model["storageUri"], model["image"]) == ("s3://models/toy", "registry.example/triton:1")


def test_our_own_server_under_kserve(toy_bundle: Bundle, tmp_path: Path) -> None:
    export_serving(toy_bundle, tmp_path / "out", kind="kserve", threads=2)
    found = service(tmp_path / "out")
    assert found["metadata"]["name"] == "ecc-toy"
    (container,) = found["spec"]["predictor"]["containers"]
    assert container["env"] == [{"name": "STORAGE_URI", "value": "pvc://ecc-toy/bundle"}]
    assert open_bundle(tmp_path / "out/bundle").manifest == toy_bundle.manifest
    # The container's arguments are those of our own command.
    group = typer.main.get_command(app)
    verb = group.commands[container["args"][0]]  # type: ignore[attr-defined]
    parsed = verb.make_context("serve", list(container["args"][1:]))
    assert (parsed.params["port"], parsed.params["host"]) == (container["ports"][0]["containerPort"], "0.0.0.0")
    assert parsed.params["bundles"] == [Path("/mnt/models")]


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def test_the_command(toy_bundle: Bundle, tmp_path: Path) -> None:
    done = call(toy_bundle.path, "--serving", "triton", "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["models"], said["serving"]) == (["full", "tail"], "triton")
    assert (tmp_path / "out/models/tail/config.pbtxt").is_file()


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        (("--serving", "triton", "--codec", "int4"), UsageError, "--codec is said when a bundle is made"),
        (("--serving", "triton", "--cloud", "cuda"), UsageError, "--cloud is said when a bundle is made"),
        (("--engine", "python"), UsageError, "--engine belongs to --serving"),
        (("--serving", "triton"), BundleError, "is not a bundle"),
    ],
)
def test_options_of_the_other_export(tmp_path: Path, options: tuple, error: type, said: str) -> None:
    done = call(tmp_path / "run", "--out", tmp_path / "out", *options)
    assert isinstance(done.exception, error)
    assert said in str(done.exception)
    assert not (tmp_path / "out").exists()
