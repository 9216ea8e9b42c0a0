import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import tomllib

from ecc_deploy import doctor
from ecc_deploy.backends import registry
from ecc_deploy.backends.targets import list_targets
from ecc_deploy.doctor import SETS, diagnose

PYPROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]


def names(requirements: list[str]) -> set[str]:
    return {requirement.split("[")[0].split(">")[0] for requirement in requirements}


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


def test_all_is_here() -> None:
    found = diagnose()
    assert [target.name for target in found.targets] == [target.name for target in list_targets()]
    assert all(target.can_compile and target.can_run for target in found.targets)
    assert all(extra.install is None for extra in found.extras)
    assert not found.is_base_only
    assert json.loads(json.dumps(found.to_json()))["targets"][0]["name"] == "onnxruntime-cpu"


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
    (target,) = found.targets
    assert (target.can_run, target.can_compile, found.is_base_only) == (True, False, False)
    assert target.install_to_run is None
    assert target.missing_to_compile == ("onnx", "onnxscript", "torch")
    assert target.install_to_compile == "pip install 'ecc-deploy[train,onnxruntime]'"
    extras = {extra.name: extra.install for extra in found.extras}
    assert {name: install for name, install in extras.items() if install} == {
        "train": "pip install 'ecc-deploy[train]'"
    }


def test_the_base_dependencies_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(
        monkeypatch,
        *("torch", "onnx", "onnxscript", "onnxruntime", "jinja2", "plotly", "tomli-w", "torchjd"),
        *("optuna", "filelock", "accelerate"),
    )
    found = diagnose()
    assert found.is_base_only
    assert found.targets[0].install_to_run == "pip install 'ecc-deploy[onnxruntime]'"
    assert all(extra.install is not None for extra in found.extras)
    assert all(package.version is None for extra in found.extras for package in extra.packages)


def test_the_commands_name_extras_that_exist() -> None:
    extras = PYPROJECT["optional-dependencies"]
    for backend in registry.BACKENDS.values():
        for extra in (*backend.run_extra.split(","), *backend.compile_extra.split(",")):
            assert extra in extras
