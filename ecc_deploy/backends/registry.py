"""The backends, as data. A backend's modules are imported only when it is used."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from ecc_deploy.backends.interface import Compiler, Runner
from ecc_deploy.bundle.manifest import Half
from ecc_deploy.errors import BackendMissingError, TargetError


@dataclass(frozen=True)
class Backend:
    """One toolchain: where its code is, what must be installed, what it can do."""

    name: str
    title: str
    runner: str
    """Module that holds ``Runner``."""
    compiler: str
    """Module that holds ``compile_half``."""
    runs_with: tuple[str, ...]
    """Modules that the runner imports."""
    compiles_with: tuple[str, ...]
    """Modules that the compiler imports."""
    run_extra: str
    """The extra of ecc-deploy that installs ``runs_with``."""
    compile_extra: str
    precisions: tuple[str, ...]


BACKENDS: dict[str, Backend] = {
    "onnxruntime": Backend(
        name="onnxruntime",
        title="ONNX Runtime",
        runner="ecc_deploy.backends.onnxruntime.runner",
        compiler="ecc_deploy.backends.onnxruntime.compiler",
        runs_with=("onnxruntime",),
        compiles_with=("onnxruntime", "onnx", "onnxscript", "torch"),
        run_extra="onnxruntime",
        compile_extra="train,onnxruntime",
        precisions=("fp32", "int8"),
    ),
}


def get(name: str) -> Backend:
    """Return the backend ``name``. Raises :class:`TargetError` for an unknown one."""
    if name not in BACKENDS:
        raise TargetError(f"there is no backend named {name!r}", f"Known backends: {', '.join(sorted(BACKENDS))}.")
    return BACKENDS[name]


def missing(modules: tuple[str, ...]) -> list[str]:
    """Those of ``modules`` that are not installed; nothing is imported."""
    return [module for module in modules if find_spec(module) is None]


def install_command(extra: str) -> str:
    """The command that installs an extra."""
    return f"pip install 'ecc-deploy[{extra}]'"


def open_runner(path: Path, half: Half, threads: int) -> Runner:
    """Load a compiled half with its backend's runtime. Raises :class:`BackendMissingError`, :class:`BundleError`."""
    backend = get(half.backend)
    absent = missing(backend.runs_with)
    if absent:
        raise BackendMissingError(
            f"{backend.title} is needed to run {path.name}, and {', '.join(absent)} is not installed",
            f"Run: {install_command(backend.run_extra)}",
        )
    runner: type[Runner] = importlib.import_module(backend.runner).Runner
    return runner(path, half, threads)


def load_compiler(name: str) -> Compiler:
    """Import a backend's compiler module. Raises :class:`BackendMissingError`."""
    backend = get(name)
    absent = missing(backend.compiles_with)
    if absent:
        raise BackendMissingError(
            f"{backend.title} cannot compile here: {', '.join(absent)} is not installed",
            f"Run: {install_command(backend.compile_extra)}",
        )
    return cast(Compiler, importlib.import_module(backend.compiler))
