"""Building a bundle's engines, on a fake of TensorRT: the verb, and the runner that finds what it built."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ecc_deploy.backends import registry
from ecc_deploy.backends.tensorrt import api, cuda, on_device, runner
from ecc_deploy.bundle import Bundle
from ecc_deploy.cli.app import app
from ecc_deploy.errors import UsageError
from ecc_deploy.export.exporter import export
from ecc_deploy.runtime.on_device import compile_bundle
from tests import toy
from tests.backends.fake_tensorrt import HostCuda, tensorrt


@pytest.fixture(scope="module")
def jetson_bundle(gated_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export(gated_run, tmp_path_factory.mktemp("jetson") / "bundle", target="jetson-orin-nano", max_drop=100)


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostCuda:
    """A Jetson: the fake of TensorRT 10.3 and memory of the host."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fake, host = api.api_of(tensorrt("10.3.0")), HostCuda()
    monkeypatch.setattr(registry, "missing", lambda modules: [])
    for module in (api, runner, on_device):
        monkeypatch.setattr(module, "device_api", lambda: fake)
    for place in (cuda, runner, on_device):
        monkeypatch.setattr(place, "Cuda", lambda: host)

    def run(command: list[str], **_: object) -> object:
        on_device.work_on(Path(command[-1]), fake)
        return on_device.subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(on_device.subprocess, "run", run)
    return host


def test_the_edge_halves_are_built_and_then_run(jetson_bundle: Bundle, device: HostCuda) -> None:
    found = compile_bundle(jetson_bundle)
    assert {engine.half for engine in found} == {"exit", "encode", "exit-and-encode"}
    assert not any(engine.was_there for engine in found)
    assert all(engine.was_there for engine in compile_bundle(jetson_bundle))
    half = jetson_bundle.manifest.halves["exit-and-encode"]
    path = jetson_bundle.file(half.file)
    image = np.random.default_rng(0).normal(size=(1, 1, 28, 28)).astype(np.float32)
    with registry.open_runner(path, half, threads=1) as opened:
        answers = opened.run({"image": image})
    assert answers["boundary"].dtype == np.uint8
    assert answers["logits"].shape == (1, 10)


def test_the_verb(jetson_bundle: Bundle, device: HostCuda) -> None:
    done = CliRunner().invoke(app, ["compile", str(jetson_bundle.path), "--side", "edge", "--json"])
    assert done.exit_code == 0, done.output
    engines = json.loads(done.stdout)
    assert [engine["facts"]["device"] for engine in engines] == ["Orin (8.7)"] * 3
    shown = CliRunner().invoke(app, ["compile", str(jetson_bundle.path)])
    assert "was there" in shown.stdout
    assert "TensorRT 10.3.0" in shown.stdout


def test_a_bundle_without_such_halves(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is compiled on the device: its targets are"):
        compile_bundle(toy.make_bundle(tmp_path / "bundle"))
