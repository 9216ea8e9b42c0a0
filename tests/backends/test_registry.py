from pathlib import Path

import pytest

from ecc_deploy.backends import registry
from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import BackendMissingError, TargetError


def test_an_unknown_backend_is_named() -> None:
    with pytest.raises(TargetError, match="'tvm'") as error:
        registry.get("tvm")
    assert "onnxruntime" in error.value.hint


def test_missing_names_what_is_not_installed() -> None:
    assert registry.missing(("numpy", "no_such_module")) == ["no_such_module"]


def test_without_the_toolchain_the_hint_is_the_command(monkeypatch: pytest.MonkeyPatch, toy_bundle: Bundle) -> None:
    monkeypatch.setattr(registry, "missing", lambda modules: [modules[0]])
    with pytest.raises(BackendMissingError, match="onnxruntime is not installed") as error:
        registry.open_runner(Path("x.onnx"), toy_bundle.manifest.halves["exit"], threads=1)
    assert error.value.hint == "Run: pip install 'ecc-deploy[onnxruntime]'"
    with pytest.raises(BackendMissingError, match="onnxruntime is not installed") as error:
        registry.load_compiler("onnxruntime")
    assert error.value.hint == "Run: pip install 'ecc-deploy[train,onnxruntime]'"
