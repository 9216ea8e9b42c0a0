"""Which room may know which, and that the device side imports no compiler.

Read from the source, so that nothing has to be installed, or absent, for a violation to show.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import ecc_deploy

PACKAGE = Path(ecc_deploy.__file__).parent

# Modules that everybody may use, and that use nobody but the errors.
COMMON = {
    "errors",
    "progress",
    "atomic",
    "closing",
    "resources",
    "wire",
    "own_code",
    "pem",
    "pictures",
    "toml",
    "child",
    "user_cache",
}

# Room or module: the rooms that it may import, anywhere in its code. The command line may import all.
ARROWS: dict[str, set[str]] = {
    "bundle": {"payload"},
    "payload": set(),
    "data": set(),
    "zoo": set(),
    "preprocess": {"bundle", "data"},
    "quantization": {"bundle", "data"},
    "backends": {"quantization", "bundle", "zoo"},
    "runtime": {"backends", "bundle", "payload", "preprocess"},
    "serving": {"backends", "bundle", "payload", "preprocess"},
    "scaling": {"serving", "backends", "bundle", "payload", "preprocess"},
    "links": set(),
    "bench": {"runtime", "serving", "bundle", "payload", "data", "links"},
    "devices": {"bench", "runtime", "bundle", "backends", "doctor"},
    "report": {"bench", "evaluation", "runtime", "backends"},
    "systems": {"zoo", "bundle"},
    "training": {"systems", "zoo", "data", "bundle"},
    "partition": {"systems", "zoo", "backends", "bundle", "links"},
    "evaluation": {
        *("training", "systems", "partition", "runtime", "backends", "payload", "preprocess", "data", "bundle"),
    },
    "sweep": {"training", "systems", "evaluation"},
    "export": {
        *("training", "systems", "partition", "quantization", "evaluation", "backends", "bundle", "payload"),
        *("runtime", "data", "preprocess"),
    },
    "workbench": {
        *("training", "partition", "quantization", "evaluation", "backends", "bundle", "preprocess", "data", "zoo"),
    },
    "comparison": {
        *("evaluation", "training", "export", "bench", "report", "runtime", "backends", "bundle", "payload"),
        *("preprocess", "data"),
    },
    "doctor": {"backends", "bench"},
    "quickstart": {"training", "evaluation", "export", "bench", "report", "bundle"},
}

DEVICE_ROOMS = {
    "runtime",
    "payload",
    "bundle",
    "serving",
    "scaling",
    "bench",
    "devices",
    "links",
    "data",
    "report",
    "preprocess",
    "doctor",
    "cli",
    "wire",
}
BASE = {
    "numpy",
    "PIL",
    "google",
    "grpc",
    "pydantic",
    "rich",
    "safetensors",
    "tomli",
    "tritonclient",
    "typer",
    "zstandard",
}
"""What `pip install ecc-deploy` brings, as modules."""
REPORT = {"jinja2", "plotly"}
IN_OTHER_SERVERS = {
    "ecc_deploy.scaling.triton_models.decode": {"triton_python_backend_utils"},
    "ecc_deploy.scaling.triton_models.engine": {"triton_python_backend_utils", "onnxruntime"},
    "ecc_deploy.scaling.ray_app": {"ray"},
    "ecc_deploy.scaling.kserve_server": {"kserve", "grpc_interceptor"},
}
"""What runs in another server, and imports what comes with that."""


@dataclass(frozen=True)
class Import:
    module: str
    when: str
    """"start": when the module is imported; "later": inside a function; "types": for the type checker only."""


def modules() -> dict[str, Path]:
    """All modules of the package, by dotted name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def imports(module: str) -> tuple[Import, ...]:
    found: list[Import] = []

    def visit(node: ast.AST, when: str) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, when) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import, which this test does not follow"
            base = node.module or ""
            found.append(Import(base, when))
            found.extend(Import(f"{base}.{a.name}", when) for a in node.names if f"{base}.{a.name}" in MODULES)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            when = "later"
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            when = "types"
        for child in ast.iter_child_nodes(node):
            visit(child, when)

    visit(ast.parse(MODULES[module].read_text(encoding="utf-8")), "start")
    return tuple(found)


def room(module: str) -> str:
    """``bench`` for ``ecc_deploy.bench.run``; "" for the package itself."""
    return module.split(".")[1] if "." in module else ""


def loaded(module: str) -> set[str]:
    """Everything that importing ``module`` imports at once: modules of the package, and names of others."""
    seen: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in MODULES:
            continue
        parts = name.split(".")
        todo += [".".join(parts[:i]) for i in range(1, len(parts))]
        todo += [item.module for item in imports(name) if item.when == "start"]
    return seen


def others(names: set[str]) -> set[str]:
    """Third-party packages among ``names``."""
    roots = {name.split(".")[0] for name in names}
    return roots - set(sys.stdlib_module_names) - {"ecc_deploy"}


def on_the_device(module: str) -> bool:
    return room(module) in DEVICE_ROOMS or module in (
        "ecc_deploy",
        "ecc_deploy.backends.interface",
        "ecc_deploy.backends.registry",
        "ecc_deploy.backends.targets",
    )


DEVICE_MODULES = sorted(filter(on_the_device, MODULES))
RUNNERS = sorted(name for name in MODULES if name.startswith("ecc_deploy.backends.") and name.endswith(".runner"))


def test_the_arrows_make_no_circle() -> None:
    tuple(TopologicalSorter(ARROWS).static_order())


@pytest.mark.parametrize("module", sorted(m for m in MODULES if room(m) not in ("", "cli", "__main__")))
def test_a_room_knows_only_those_below_it(module: str) -> None:
    known = {room(item.module) for item in imports(module) if item.module.startswith("ecc_deploy")}
    own = room(module)
    if own in COMMON:
        assert not known - {"", "errors"}
    else:
        assert own in ARROWS, f"the room {own} is new: say in ARROWS whom it may know"
        assert not known - ARROWS[own] - COMMON - {own, ""}


@pytest.mark.parametrize("module", DEVICE_MODULES)
def test_the_device_side_needs_the_base_dependencies_only(module: str) -> None:
    names = loaded(module)
    assert "safetensors.torch" not in names
    assert (
        not others(names) - BASE - IN_OTHER_SERVERS.get(module, set()) - (REPORT if room(module) == "report" else set())
    )
    assert "torch" not in others({item.module for item in imports(module) if item.when != "types"})


@pytest.mark.parametrize("module", RUNNERS)
def test_a_runner_needs_its_runtime_only(module: str) -> None:
    from ecc_deploy.backends.registry import BACKENDS

    (backend,) = [backend for backend in BACKENDS.values() if f"{backend.package}.runner" == module]
    runtime = {name.split(".")[0] for choice in backend.runs_with for name in choice.split("|")}
    assert others(loaded(module)) - BASE <= runtime


def test_the_command_line_starts_with_typer_alone() -> None:
    names = loaded("ecc_deploy.cli.app")
    assert others(names) == {"typer"}
    assert {room(name) for name in names if name in MODULES} == {"", "cli", "errors"}


def test_the_package_itself_imports_nothing() -> None:
    assert loaded("ecc_deploy") <= {"ecc_deploy", "__future__", "importlib", "typing"}


def test_beside_kserves_messages_there_are_none_of_tritonclient() -> None:
    assert "tritonclient" not in others(loaded("ecc_deploy.scaling.kserve_server"))


def test_this_test_sees_imports() -> None:
    assert "torch" in others(loaded("ecc_deploy.training.loop"))
    assert "ecc_deploy.runtime.engine" in loaded("ecc_deploy.bench.run")
    assert not [
        item for item in imports("ecc_deploy.cli.bench") if item.module == "ecc_deploy" and item.when == "start"
    ]
    assert len(DEVICE_MODULES) > 40
    assert RUNNERS
