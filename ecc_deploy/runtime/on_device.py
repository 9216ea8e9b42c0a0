"""The last step of compiling where it belongs to the device: engines of TensorRT."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import UsageError
from ecc_deploy.progress import Progress, silent

FINISHED_ON_DEVICE = ("tensorrt",)
"""Backends whose halves are built where they run."""


@dataclass(frozen=True)
class Engine:
    """The engine of one half on this device."""

    half: str
    path: str
    was_there: bool
    facts: dict[str, Any]
    """What stands beside it: device, version, settings, layers, seconds."""


def compile_bundle(
    bundle: Bundle,
    *,
    sides: Collection[Literal["edge", "cloud"]] = ("edge", "cloud"),
    workspace_mb: int | None = None,
    builder_mb: int | None = None,
    optimization_level: int | None = None,
    dla: bool | None = None,
    rebuild: bool = False,
    ignore_memory: bool = False,
    progress: Progress = silent,
) -> list[Engine]:
    """Build the engines of ``bundle`` on this device, those that are not there yet.

    * ``workspace_mb``, ``builder_mb``: limits of memory, MiB; ``optimization_level``: 0 to 5; TensorRT's own defaults.
    * ``dla``: instead of what the target says.
    * ``rebuild``: also those that are there; ``ignore_memory``: try even where little is free.

    Raises :class:`UsageError` where no half wants it, :class:`BackendMissingError`, :class:`CompileError`,
    :class:`DeviceError`.
    """
    wanted = {
        key: half
        for key, half in bundle.manifest.halves.items()
        if half.backend in FINISHED_ON_DEVICE and half.side in sides
    }
    if not wanted:
        targets = ", ".join(sorted(set(bundle.manifest.targets.values())))
        raise UsageError(
            f"nothing in {bundle.path} is compiled on the device: its targets are {targets}",
            "Its halves run as they are: ecc-deploy run, serve, bench.",
        )
    from ecc_deploy.backends.tensorrt.api import device_api
    from ecc_deploy.backends.tensorrt.build import Settings
    from ecc_deploy.backends.tensorrt.cuda import Cuda
    from ecc_deploy.backends.tensorrt.on_device import compile_engine

    tensorrt, device = device_api().title, Cuda().device
    found = []
    for number, (key, half) in enumerate(wanted.items()):
        progress("Compile", number, len(wanted), key)
        settings = Settings(
            precision=half.precision,
            dla=bool(half.compiled.get("dla")) if dla is None else dla,
            workspace_mb=workspace_mb,
            builder_mb=builder_mb,
            optimization_level=optimization_level,
        )
        made = compile_engine(
            bundle.file(half.file),
            settings,
            device=device,
            tensorrt=tensorrt,
            rebuild=rebuild,
            ignore_memory=ignore_memory,
        )
        found.append(Engine(key, str(made.path), made.was_there, made.facts))
    progress("Compile", len(wanted), len(wanted), "done")
    return found
