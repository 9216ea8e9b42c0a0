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


@pytest.mark.parametrize("text", ["a = " + "[" * 50_000, "a = 1" + "0" * 5_000, "a = 1 1", "a"])
def test_all_that_is_no_toml_has_one_name(text: str) -> None:
    with pytest.raises(ecc_deploy.toml.tomllib.TOMLDecodeError):
        ecc_deploy.toml.loads(text)
