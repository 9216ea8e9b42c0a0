"""Building engines: what each version of TensorRT is told, what it says, and where engines are kept."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper

from ecc_deploy.backends.tensorrt import engines, on_device
from ecc_deploy.backends.tensorrt.api import Api, api_of, rtx_api
from ecc_deploy.backends.tensorrt.build import Settings, build
from ecc_deploy.bundle.manifest import Precision
from ecc_deploy.errors import BackendMissingError, CompileError, DeviceError
from tests.backends.fake_tensorrt import tensorrt

VERSIONS = ("8.5.2", "8.6.2", "10.3.0", "10.16.2", "11.4.1")


def model(*operators: str) -> bytes:
    """A chain of operators on ``x`` ``[1, 2, 3, 3]``, named after the modules of a made-up network."""
    names = ["x", *(f"t{i}" for i in range(1, len(operators))), "y"]
    nodes = [
        helper.make_node(kind, [names[i]], [names[i + 1]], name=f"stages.{i}/{kind}_{i}")
        for i, kind in enumerate(operators)
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, 3, 3]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


def fake(version: str, **options: Any) -> Api:
    return api_of(tensorrt(version, **options))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_each_version_is_told_what_it_takes(version: str, precision: Precision) -> None:
    api = fake(version)
    built = build(api, model("Relu", "Sigmoid"), Settings(precision, workspace_mb=64, builder_mb=512))
    (told,) = api.module.built
    major = api.version[0]
    assert (
        told.network
        == {
            8: ["EXPLICIT_BATCH"],
            10: [] if precision == "int8" else ["STRONGLY_TYPED"],
            11: [],
        }[major]
    )
    weak = {"fp32": [], "fp16": ["FP16"] if major == 8 else [], "int8": ["INT8", "FP16"]}[precision]
    assert told.flags == list(built.flags) == (weak if major < 11 else [])
    wanted = {"WORKSPACE": 64 << 20} | ({"TACTIC_DRAM": 512 << 20} if major >= 10 else {})
    assert told.limits == wanted
    assert (built.layers, built.timing_cache) == (2, b"+")


@pytest.mark.parametrize("version", VERSIONS)
def test_what_the_parser_does_not_take_is_named(version: str) -> None:
    with pytest.raises(CompileError) as caught:
        build(fake(version), model("Relu", "Det"), Settings("fp32"), title="the edge half 'exit'")
    assert "the edge half 'exit'" in caught.value.message
    assert "stages.1/Det_1" in caught.value.message
    assert "module" in caught.value.hint


def test_dla_layers_that_fall_back_are_listed() -> None:
    built = build(fake("10.3.0", dla_cores=2), model("Relu", "Sigmoid", "Relu"), Settings("fp16", dla=True))
    assert built.on_gpu == ("stages.1/Sigmoid_1",)
    with pytest.raises(CompileError, match="finds none on this device"):
        build(fake("10.3.0"), model("Relu"), Settings("fp16", dla=True))


def test_a_tensorrt_that_is_too_old() -> None:
    with pytest.raises(BackendMissingError, match=r"8\.4\.1 is too old"):
        fake("8.4.1")


def test_a_timing_cache_is_handed_on() -> None:
    first = build(fake("10.3.0"), model("Relu"), Settings("fp32"))
    assert build(fake("10.3.0"), model("Relu"), Settings("fp32"), timing_cache=first.timing_cache).timing_cache == b"++"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return engines.folder()


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The process that builds, in this one, with the fake of 10.3.0; returns the folders of its jobs."""
    jobs: list[str] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        jobs.append(command[-1])
        code = on_device.work_on(Path(command[-1]), fake("10.3.0"))
        return subprocess.CompletedProcess(command, code, "", "")

    monkeypatch.setattr(on_device.subprocess, "run", run)
    return jobs


PLAIN = Settings("fp32")


def compiled(file: Path, settings: Settings = PLAIN, device: str = "Orin (8.7)", **options: bool) -> Any:
    return on_device.compile_engine(file, settings, device=device, tensorrt="TensorRT 10.3.0", **options)


def test_engines_are_built_once_per_model_device_version_and_settings(
    cache: Path, in_process: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "exit.onnx"
    file.write_bytes(model("Relu"))
    first = compiled(file)
    assert not first.was_there
    assert compiled(file).was_there
    assert compiled(file).facts == first.facts
    assert not compiled(file, rebuild=True).was_there
    assert not compiled(file, Settings("fp32", workspace_mb=8)).was_there
    assert not compiled(file, device="Thor (11.0)").was_there
    file.write_bytes(model("Relu", "Relu"))
    assert not compiled(file).was_there
    assert len(in_process) == 5
    assert first.path.parent == cache
    sidecar = json.loads(first.path.with_suffix(".json").read_text())
    assert sidecar["device"] == "Orin (8.7)"
    assert sidecar["settings"]["workspace_mb"] == 8


def test_a_foreign_or_changed_engine_is_refused(cache: Path, in_process: list[str], tmp_path: Path) -> None:
    file = tmp_path / "exit.onnx"
    file.write_bytes(model("Relu"))
    path = compiled(file).path
    origin = engines.origin_of(file.read_bytes(), "Orin (8.7)", "TensorRT 10.3.0")
    assert engines.load(origin, "exit.onnx") == path.read_bytes()
    for other in (
        engines.origin_of(file.read_bytes(), "Orin (8.7)", "TensorRT 10.4.0"),
        engines.origin_of(b"another", "Orin (8.7)", "TensorRT 10.3.0"),
    ):
        with pytest.raises(DeviceError, match=r"there is no engine of exit\.onnx") as caught:
            engines.load(other, "exit.onnx")
        assert "ecc-deploy compile" in caught.value.hint
        # Its file under the other's name: the sidecar says where it comes from.
        other.path.write_bytes(path.read_bytes())
        other.path.with_suffix(".json").write_text(path.with_suffix(".json").read_text())
        with pytest.raises(DeviceError, match="there is no engine"):
            engines.load(other, "exit.onnx")
    path.write_bytes(b"changed")
    with pytest.raises(DeviceError, match="was changed after it was built"):
        engines.load(origin, "exit.onnx")


def test_what_the_builder_says_comes_through(cache: Path, in_process: list[str], tmp_path: Path) -> None:
    file = tmp_path / "exit.onnx"
    file.write_bytes(model("Det"))
    with pytest.raises(CompileError, match=r"does not take exit\.onnx"):
        compiled(file)
    assert not list(cache.glob("*.engine"))


@pytest.mark.parametrize(
    ("code", "expected"), [(-9, "as the kernel does when memory runs out"), (-11, "SIGSEGV"), (1, "exit code 1")]
)
def test_a_builder_that_dies_is_explained(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, expected: str
) -> None:
    file = tmp_path / "exit.onnx"
    file.write_bytes(model("Relu"))
    monkeypatch.setattr(
        on_device.subprocess,
        "run",
        lambda command, **_: subprocess.CompletedProcess(command, code, "", "the last words"),
    )
    with pytest.raises(DeviceError, match=expected):
        compiled(file)


def test_too_little_memory_is_said_before(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "exit.onnx"
    file.write_bytes(model("Relu"))
    monkeypatch.setattr(on_device, "available_mb", lambda: 100)
    with pytest.raises(DeviceError, match="and 100 are free") as caught:
        compiled(file)
    assert "--ignore-memory" in caught.value.hint


def test_nvidias_own_builder_takes_what_the_fakes_take() -> None:
    api = rtx_api()
    if api is None:
        pytest.skip("tensorrt_rtx is not installed: pip install 'ecc-deploy[tensorrt-check]'")
    built = build(api, model("Relu", "Sigmoid"), Settings("fp32", stand_in="SM86"))
    assert built.layers >= 2
    assert len(built.engine) > 1000
    with pytest.raises(CompileError, match=r"stages\.1/Det_1"):
        build(api, model("Relu", "Det"), Settings("fp32", stand_in="SM86"))
