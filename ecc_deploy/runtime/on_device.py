"""The last step of compiling where it belongs to the device, as with engines of TensorRT."""

from __future__ import annotations

import importlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from ecc_deploy.backends.registry import get
from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import UsageError
from ecc_deploy.progress import Progress, silent


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
        if get(half.backend).is_finished_on_device and half.side in sides
    }
    if not wanted:
        targets = ", ".join(sorted(set(bundle.manifest.targets.values())))
        raise UsageError(
            f"nothing in {bundle.path} is compiled on the device: its targets are {targets}",
            "Its halves run as they are: ecc-deploy run, serve, bench.",
        )
    found = []
    for number, (key, half) in enumerate(wanted.items()):
        progress("Compile", number, len(wanted), key)
        made = importlib.import_module(f"{get(half.backend).package}.on_device").finish(
            bundle.file(half.file),
            half,
            workspace_mb=workspace_mb,
            builder_mb=builder_mb,
            optimization_level=optimization_level,
            dla=dla,
            rebuild=rebuild,
            ignore_memory=ignore_memory,
        )
        found.append(Engine(key, str(made.path), made.was_there, made.facts))
    progress("Compile", len(wanted), len(wanted), "done")
    return found
