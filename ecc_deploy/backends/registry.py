"""The backends, as data. A backend's modules are imported only when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from ecc_deploy.backends.interface import Compiler, Runner
from ecc_deploy.backends.layers import Layers
from ecc_deploy.backends.options import BackendOptions
from ecc_deploy.backends.profiling import Profiler
from ecc_deploy.bundle.manifest import Half, Precision
from ecc_deploy.errors import BackendMissingError, DeviceError, TargetError, UsageError


@dataclass(frozen=True)
class Backend:
    """One toolchain: where its code is, what must be installed, what it can do.

    A module that may be one of several is written ``"first|second"``: any of them will do, the first is preferred.
    """

    name: str
    title: str
    package: str
    """Package with ``runner.py`` (class ``Runner``), ``compiler.py`` (``compile_half``, ``versions``) and, where its
    targets have options, ``options.py`` (class ``Options``)."""
    runs_with: tuple[str, ...]
    """Modules that the runner imports."""
    compiles_with: tuple[str, ...]
    """Modules that the compiler imports."""
    run_extra: str
    """The extra of ecc-deploy that installs ``runs_with``."""
    compile_extra: str
    precisions: tuple[Precision, ...]
    has_options: bool = False
    runtime_hint: str | None = None
    """Where the runtime comes from, if not from ``run_extra`` alone."""
    compiles_on_device: bool = False
    """Whether what it makes for an accelerator can only be made where that is."""
    is_finished_on_device: bool = False
    """Whether each device makes its own of what is compiled elsewhere: ``on_device.py`` of the package, ``finish``."""
    stands_in_with: tuple[str, ...] = ()
    """Modules that ``stand_in.py`` of the package imports, whose ``Runner`` answers as the file says where the runtime
    is not: for accuracy, never for times. Empty: there is none."""
    shows_layers_with: tuple[str, ...] = ()
    """Modules that ``layers.py`` of the package imports, which shows what is inside its files. Empty: nothing does."""
    has_profiler: bool = False
    """Whether ``profiler.py`` of the package says what each operator takes, where its runner's modules are."""


BACKENDS: dict[str, Backend] = {
    "onnxruntime": Backend(
        name="onnxruntime",
        title="ONNX Runtime",
        package="ecc_deploy.backends.onnxruntime",
        runs_with=("onnxruntime",),
        compiles_with=("onnxruntime", "onnx", "onnxscript", "torch"),
        run_extra="onnxruntime",
        compile_extra="train,onnxruntime",
        precisions=("fp32", "int8"),
        has_options=True,
        stands_in_with=("onnxruntime",),
        shows_layers_with=("onnxruntime", "onnx", "torch"),
        has_profiler=True,
    ),
    "tflite": Backend(
        name="tflite",
        title="LiteRT",
        package="ecc_deploy.backends.tflite",
        runs_with=("ai_edge_litert|tflite_runtime",),
        compiles_with=("litert_torch", "ai_edge_quantizer", "ai_edge_litert", "torch"),
        run_extra="tflite",
        compile_extra="train,tflite-compile",
        precisions=("fp32", "int8"),
        shows_layers_with=("ai_edge_litert", "torch"),
    ),
    "openvino": Backend(
        name="openvino",
        title="OpenVINO",
        package="ecc_deploy.backends.openvino",
        runs_with=("openvino",),
        compiles_with=("openvino", "nncf", "torch"),
        run_extra="openvino",
        compile_extra="train,openvino-compile",
        precisions=("fp32", "bf16", "fp16", "int8"),
        has_options=True,
        stands_in_with=("openvino",),
        shows_layers_with=("openvino", "onnx", "torch"),
    ),
    "tensorrt": Backend(
        name="tensorrt",
        title="TensorRT",
        package="ecc_deploy.backends.tensorrt",
        runs_with=("tensorrt",),
        compiles_with=("onnxruntime", "onnx", "onnxscript", "torch"),
        run_extra="tensorrt",
        runtime_hint="on a Jetson, JetPack brings it: make the environment with --system-site-packages",
        compile_extra="train,onnxruntime",
        precisions=("fp32", "fp16", "int8"),
        has_options=True,
        is_finished_on_device=True,
        stands_in_with=("onnxruntime",),
        shows_layers_with=("onnxruntime", "onnx", "torch"),
    ),
    "aotinductor": Backend(
        name="aotinductor",
        title="AOTInductor",
        package="ecc_deploy.backends.aotinductor",
        runs_with=("torch",),
        compiles_with=("torch",),
        run_extra="train",
        compile_extra="train",
        precisions=("fp32",),
        has_options=True,
        compiles_on_device=True,
    ),
}


def get(name: str) -> Backend:
    """Return the backend ``name``. Raises :class:`TargetError` for an unknown one."""
    if name not in BACKENDS:
        raise TargetError(f"there is no backend named {name!r}", f"Known backends: {', '.join(sorted(BACKENDS))}.")
    return BACKENDS[name]


def options_of(name: str, given: Mapping[str, Any]) -> BackendOptions | None:
    """The options of the backend ``name``, ``None`` where it has none.

    Raises pydantic's ``ValidationError`` for wrong ones, :class:`ValueError` for any where there are none.
    """
    backend = get(name)
    if not backend.has_options:
        if given:
            raise ValueError(f"the backend {name} has no options, and {', '.join(sorted(given))} is given")
        return None
    options: type[BackendOptions] = importlib.import_module(f"{backend.package}.options").Options
    return options.model_validate(given)


def missing(modules: tuple[str, ...]) -> list[str]:
    """Those of ``modules`` that are not installed; nothing is imported. Of ``"a|b"`` one is enough."""
    return [name.replace("|", " or ") for name in modules if not any(find_spec(module) for module in name.split("|"))]


def install_command(extra: str) -> str:
    """The command that installs an extra."""
    return f"pip install 'ecc-deploy[{extra}]'"


def open_runner(path: Path, half: Half, threads: int, *, stand_in: bool = False) -> Runner:
    """Load a compiled half with its backend's runtime, or, if ``stand_in`` and that cannot run here, with its stand-in.

    Raises :class:`BackendMissingError`, :class:`DeviceError`, :class:`BundleError`.
    """
    backend = get(half.backend)
    try:
        opened = _runner(backend, "runner", backend.runs_with, path)(path, half, threads)
    except (BackendMissingError, DeviceError):
        if not (stand_in and backend.stands_in_with):
            raise
        opened = _runner(backend, "stand_in", backend.stands_in_with, path)(path, half, threads)
    opened.half = half
    return opened


def _runner(backend: Backend, module: str, wanted: tuple[str, ...], path: Path) -> type[Runner]:
    if absent := missing(wanted):
        raise BackendMissingError(
            f"{backend.title} is needed to run {path.name}, and {', '.join(absent)} is not installed",
            f"Run: {install_command(backend.run_extra)}",
        )
    runner: type[Runner] = importlib.import_module(f"{backend.package}.{module}").Runner
    return runner


def load_compiler(name: str) -> Compiler:
    """Import a backend's compiler module. Raises :class:`BackendMissingError`."""
    backend = get(name)
    absent = missing(backend.compiles_with)
    if absent:
        raise BackendMissingError(
            f"{backend.title} cannot compile here: {', '.join(absent)} is not installed",
            f"Run: {install_command(backend.compile_extra)}",
        )
    return cast(Compiler, importlib.import_module(f"{backend.package}.compiler"))


def load_profiler(name: str) -> Profiler:
    """Import the profiler of ``name``.

    Raises :class:`UsageError` where it has none, :class:`BackendMissingError` where its runtime is not installed.
    """
    backend = get(name)
    if not backend.has_profiler:
        raise UsageError(
            f"nothing here says what each operator takes with {backend.title}",
            f"These can: {', '.join(b.name for b in BACKENDS.values() if b.has_profiler)}.",
        )
    if absent := missing(backend.runs_with):
        raise BackendMissingError(
            f"{backend.title} is not installed: {', '.join(absent)}", f"Run: {install_command(backend.run_extra)}"
        )
    return cast("Profiler", importlib.import_module(f"{backend.package}.profiler"))


def load_layers(name: str) -> Layers:
    """Import a backend's layers module. Raises :class:`UsageError` for one without, :class:`BackendMissingError`."""
    backend = get(name)
    if not backend.shows_layers_with:
        raise UsageError(
            f"{backend.title} cannot show what is inside its files",
            f"These can: {', '.join(b.name for b in BACKENDS.values() if b.shows_layers_with)}.",
        )
    absent = missing(backend.shows_layers_with)
    if absent:
        raise BackendMissingError(
            f"{backend.title} cannot look into its files here: {', '.join(absent)} is not installed",
            f"Run: {install_command(backend.compile_extra)}",
        )
    return cast(Layers, importlib.import_module(f"{backend.package}.layers"))
