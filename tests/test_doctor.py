import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import tomllib

from ecc_deploy import doctor
from ecc_deploy.backends import accelerators, registry
from ecc_deploy.backends.targets import list_targets
from ecc_deploy.doctor import SETS, Diagnosis, TargetState, diagnose

PYPROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]


def names(requirements: list[str]) -> set[str]:
    """Of the requirements that apply here: ``tomli`` is for a Python older than the tests need."""
    return {line.split("[")[0].split(">")[0] for line in requirements if "python_version" not in line}


def test_it_lists_what_is_declared() -> None:
    found = diagnose()
    assert {package.name for package in found.base} == names(PYPROJECT["dependencies"])
    assert tuple(extra.name for extra in found.extras) == SETS
    for extra in found.extras:
        declared = PYPROJECT["optional-dependencies"][extra.name]
        assert {package.name for package in extra.packages} == names(declared)


def test_versions_are_those_installed() -> None:
    for package in diagnose().base:
        assert package.version == version(package.name)


def target(found: Diagnosis, name: str) -> TargetState:
    return next(state for state in found.targets if state.name == name)


def test_all_that_needs_no_device_is_here() -> None:
    found = diagnose()
    assert [state.name for state in found.targets] == [target.name for target in list_targets()]
    for state in found.targets:
        assert state.run.install is None
        assert state.run.possible or state.run.hint
        assert state.compile.possible or state.backend == "aotinductor"
    assert all(target(found, name).run.possible for name in ("onnxruntime-cpu", "openvino-cpu", "raspberry-pi-4"))
    assert all(extra.install is None for extra in found.extras)
    assert not found.is_base_only
    assert json.loads(json.dumps(found.to_json()))["targets"][0]["name"] == found.targets[0].name


def hide(monkeypatch: pytest.MonkeyPatch, *gone: str) -> None:
    present = registry.find_spec
    monkeypatch.setattr(registry, "find_spec", lambda name: None if name in gone else present(name))

    def version_of(name: str) -> str:
        if name in gone:
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor, "version", version_of)


def test_a_device_with_a_runtime_runs_and_does_not_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "torch", "onnx", "onnxscript", "tomli-w")
    found = diagnose()
    cpu = target(found, "onnxruntime-cpu")
    assert (cpu.run.possible, cpu.compile.possible, found.is_base_only) == (True, False, False)
    assert cpu.run.install is None
    assert cpu.compile.missing == ("onnx", "onnxscript", "torch")
    assert cpu.compile.install == "pip install 'ecc-deploy[train,onnxruntime]'"
    assert target(found, "raspberry-pi-4").compile.install == "pip install 'ecc-deploy[train,tflite-compile]'"
    extras = {extra.name: extra.install for extra in found.extras}
    assert extras["train"] == "pip install 'ecc-deploy[train]'"
    assert extras["onnxruntime"] is None


RUNTIMES = ("onnxruntime", "openvino", "ai_edge_litert", "tflite_runtime", "tensorrt", "torch")


def test_the_base_dependencies_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = {p for extra in SETS for p in names(PYPROJECT["optional-dependencies"][extra])}
    hide(monkeypatch, *RUNTIMES, *declared)
    found = diagnose()
    assert found.is_base_only
    assert not any(state.run.possible or state.compile.possible for state in found.targets)
    assert target(found, "onnxruntime-cpu").run.install == "pip install 'ecc-deploy[onnxruntime]'"
    assert target(found, "raspberry-pi-5").run.install == "pip install 'ecc-deploy[tflite]'"
    assert all(extra.install is not None for extra in found.extras)
    assert all(package.version is None for extra in found.extras for package in extra.packages)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty root directory, in which accelerators are looked for."""
    monkeypatch.setattr(accelerators, "ROOT", tmp_path)
    return tmp_path


def test_without_a_gpu_no_runtime_for_one_is_recommended(machine: Path) -> None:
    found = diagnose()
    for name, kind in (("cuda", "NVIDIA GPU"), ("jetson-orin-nano", "NVIDIA GPU"), ("intel-npu", "Intel NPU")):
        state = target(found, name)
        assert kind in state.run.missing
        assert (state.run.possible, state.run.install, state.run.hint) == (False, None, f"needs an {kind}")


def test_a_gpu_and_no_runtime_for_it(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "dev").mkdir()
    (machine / "dev/nvidia0").touch()
    hide(monkeypatch, "onnxruntime-gpu", "tensorrt")
    found = diagnose()
    assert target(found, "cuda").run.install == "pip install onnxruntime-gpu"
    jetson = target(found, "jetson-orin-nano").run
    assert jetson.install == "pip install 'ecc-deploy[tensorrt]'"
    assert "JetPack" in (jetson.hint or "")
    assert target(found, "cuda-aotinductor").run.possible


def test_an_accelerator_of_intel_is_known_by_its_vendor(machine: Path) -> None:
    for kind, vendor in (("drm/renderD128", "0x10de"), ("accel/accel0", "0x8086")):
        (machine / "sys/class" / kind / "device").mkdir(parents=True)
        (machine / "sys/class" / kind / "device/vendor").write_text(vendor + "\n")
    assert not target(diagnose(), "intel-igpu").run.possible
    assert target(diagnose(), "intel-npu").run.possible


def test_the_commands_name_extras_that_exist() -> None:
    extras = PYPROJECT["optional-dependencies"]
    for backend in registry.BACKENDS.values():
        for extra in (*backend.run_extra.split(","), *backend.compile_extra.split(",")):
            assert extra in extras
