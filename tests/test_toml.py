"""The TOML parser where Python has none of its own."""

import importlib
import sys
import types
from collections.abc import Iterator

import pytest

import ecc_deploy.toml


@pytest.fixture
def python_3_10(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    tomli = types.ModuleType("tomli")
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "tomli", tomli)
        patched.setattr(sys, "version_info", (3, 10, 13, "final", 0))
        yield tomli
    importlib.reload(ecc_deploy.toml)


def test_python_3_10_takes_tomli(python_3_10: types.ModuleType) -> None:
    assert importlib.reload(ecc_deploy.toml).tomllib is python_3_10
