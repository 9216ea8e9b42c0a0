"""``import ecc_deploy as ecc``: names, laziness, and what a missing toolchain says."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import ecc_deploy

NAMES = sorted(set(ecc_deploy.__all__) - {"__version__"})

IN_OTHER_SERVERS = (
    "ecc_deploy.scaling.triton_models.",
    "ecc_deploy.scaling.ray_app",
    "ecc_deploy.scaling.kserve_server",
)
"""Modules that only another server can import."""


def import_every_module() -> None:
    for module in pkgutil.walk_packages(ecc_deploy.__path__, "ecc_deploy."):
        if not module.name.endswith("__main__") and not module.name.startswith(IN_OTHER_SERVERS):
            importlib.import_module(module.name)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    # A submodule of the same name would take the place of a function as soon as somebody imports it.
    import_every_module()
    value = getattr(ecc_deploy, name)
    assert not isinstance(value, ModuleType)
    assert inspect.getdoc(value)


@pytest.mark.parametrize("name", NAMES)
def test_a_path_may_be_text(name: str) -> None:
    value = getattr(ecc_deploy, name)
    if not inspect.isfunction(value):
        return
    for parameter in inspect.signature(value).parameters.values():
        told = str(parameter.annotation)
        assert "Path" not in told or "str" in told, parameter


def test_the_table_the_list_and_the_type_checker_agree() -> None:
    assert sorted(ecc_deploy._NAMES) == NAMES
    assert set(ecc_deploy.__all__) <= set(dir(ecc_deploy))
    for name, (module, attribute, _) in ecc_deploy._NAMES.items():
        found = getattr(importlib.import_module(f"ecc_deploy.{module}"), attribute)
        assert found is getattr(ecc_deploy, name)
        assert f" import {attribute} as {name}\n" in inspect.getsource(ecc_deploy)


def test_the_device_side_of_the_interface_loads_no_torch() -> None:
    code = (
        "import sys, ecc_deploy as ecc\n"
        "ecc.open_bundle, ecc.EdgeRuntime, ecc.CloudClient, ecc.Server, ecc.predict, ecc.run_bench, ecc.load_bench\n"
        "ecc.diagnose(), ecc.list_targets()\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'torch', 'onnx', 'onnxruntime', 'onnxscript'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'abacus'"):
        ecc_deploy.abacus  # noqa: B018
    assert not hasattr(ecc_deploy, "_NOTHING")


WITHOUT_TORCH = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
sys.argv = ["ecc-deploy", "evaluate", "shipped:fashion-mnist"]
from ecc_deploy.cli.app import main
main()
"""


def test_a_missing_toolchain_is_told_with_the_command() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "Error: ecc_deploy.evaluate needs torch, which is not installed\nRun: pip install 'ecc-deploy[train]'\n"
    )
