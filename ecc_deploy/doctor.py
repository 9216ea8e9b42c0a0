"""What is installed, what can be compiled and run here, and the command that installs what is missing.

Nothing heavy is imported: versions come from the packages' metadata. So "installed" is what this says, not "works".
"""

from __future__ import annotations

import platform
import re
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from ecc_deploy.backends.accelerators import Accelerator, is_here
from ecc_deploy.backends.registry import get, install_command, missing
from ecc_deploy.backends.targets import Target, list_targets
from ecc_deploy.bench.environment import fingerprint

DISTRIBUTION = "ecc-deploy"
SETS = (
    *("onnxruntime", "openvino", "tflite"),
    *("train", "openvino-compile", "tflite-compile", "tensorrt-check"),
    *("sweep", "multi-gpu", "report", "links"),
)
"""The extras that this version uses, in the order in which they are shown: runtimes, what compiles, and the rest.
TensorRT itself is not among them: it comes with a device, or is of no use."""

_REQUIREMENT = re.compile(r"""([A-Za-z0-9._-]+)[^;]*(?:;.*\bextra\s*==\s*["']([A-Za-z0-9_-]+)["'])?""")


@dataclass(frozen=True)
class Package:
    """One package that ecc-deploy can use. ``version``: ``None`` where it is not installed."""

    name: str
    version: str | None


@dataclass(frozen=True)
class Extra:
    """A set of packages that are installed together. ``install``: the command, ``None`` where all are there."""

    name: str
    packages: tuple[Package, ...]
    install: str | None


@dataclass(frozen=True)
class Ability:
    """Whether something can be done here, and if not, what is missing and how it is had."""

    possible: bool
    missing: tuple[str, ...] = ()
    """Python modules, packages, accelerators."""
    install: str | None = None
    """The one command that adds what can be installed; ``None`` where nothing can, or nothing is missing."""
    hint: str | None = None
    """What no command of ours gives."""


@dataclass(frozen=True)
class TargetState:
    """What can be done for one target on this machine. ``compile``: make its halves; ``run``: run them, for real."""

    name: str
    title: str
    backend: str
    compile: Ability
    run: Ability


@dataclass(frozen=True)
class Diagnosis:
    """What this machine has. ``base``: packages that ecc-deploy cannot do without."""

    version: str
    environment: dict[str, Any]
    """CPU, memory, system: see :func:`ecc_deploy.bench.environment.fingerprint`."""
    base: tuple[Package, ...]
    extras: tuple[Extra, ...]
    targets: tuple[TargetState, ...]

    @property
    def is_base_only(self) -> bool:
        """Whether no backend's runtime is here, so that no bundle can be run."""
        return not any(target.run.possible for target in self.targets)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def diagnose() -> Diagnosis:
    """Look at this machine. Imports no toolchain, and works where only the base dependencies are installed."""
    declared = _requirements()
    return Diagnosis(
        version=version(DISTRIBUTION),
        environment=fingerprint(),
        base=_packages(declared.get("", [])),
        extras=tuple(_extra(name, declared.get(name, [])) for name in SETS),
        targets=tuple(_state(target) for target in list_targets()),
    )


def _requirements() -> dict[str, list[str]]:
    """What the installed ecc-deploy declares: package names by extra, ``""`` for the base dependencies."""
    found: dict[str, list[str]] = {}
    for line in requires(DISTRIBUTION) or []:
        match = _REQUIREMENT.match(line)
        if match and match[1] != DISTRIBUTION and _applies(line):
            found.setdefault(match[2] or "", []).append(match[1])
    return found


def _applies(requirement: str) -> bool:
    """Whether it is asked for on this Python and this kind of machine."""
    older = re.search(r"python_version\s*<\s*[\"'](\d+)\.(\d+)", requirement)
    machine = re.search(r"platform_machine\s*==\s*[\"'](\w+)", requirement)
    if older and sys.version_info >= (int(older[1]), int(older[2])):
        return False
    return machine is None or machine[1] == platform.machine()


def _packages(names: list[str]) -> tuple[Package, ...]:
    return tuple(Package(name, _version(name)) for name in sorted(names))


def _extra(name: str, packages: list[str]) -> Extra:
    listed = _packages(packages)
    is_complete = all(package.version is not None for package in listed)
    return Extra(name, listed, None if is_complete else install_command(name))


def _state(target: Target) -> TargetState:
    backend, options = get(target.backend), target.backend_options
    accelerator = options.accelerator if options else None
    device = (accelerator,) if accelerator and not is_here(accelerator) else ()
    runtime = [*missing(backend.runs_with)]
    install = install_command(backend.run_extra)
    if options and options.distribution and _version(options.distribution) is None:
        runtime, install = [options.distribution], f"pip install {options.distribution}"
    to_compile = missing(backend.compiles_with)
    return TargetState(
        name=target.name,
        title=target.title,
        backend=target.backend,
        compile=_ability(
            to_compile, install_command(backend.compile_extra), device if backend.compiles_on_device else ()
        ),
        run=_ability(runtime, install, device, backend.runtime_hint),
    )


def _ability(packages: list[str], install: str, device: tuple[Accelerator, ...], hint: str | None = None) -> Ability:
    if not packages and not device:
        return Ability(possible=True)
    if device:  # a runtime without its device is of no use: nobody is told to install it
        return Ability(False, (*packages, *device), hint=f"needs an {device[0]}")
    return Ability(False, tuple(packages), install, hint)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
