"""What is installed, what can be compiled and run here, and the command that installs what is missing.

Nothing heavy is imported: versions come from the packages' metadata. So "installed" is what this says, not "works".
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from ecc_deploy.backends.registry import get, install_command, missing
from ecc_deploy.backends.targets import list_targets
from ecc_deploy.bench.environment import fingerprint

DISTRIBUTION = "ecc-deploy"
SETS = ("onnxruntime", "train", "sweep", "multi-gpu", "report")
"""The extras that this version uses, in the order in which they are shown."""

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
class TargetState:
    """What can be done for one target on this machine. An ``install_…`` is ``None`` where nothing is missing."""

    name: str
    title: str
    backend: str
    can_compile: bool
    missing_to_compile: tuple[str, ...]
    install_to_compile: str | None
    can_run: bool
    missing_to_run: tuple[str, ...]
    install_to_run: str | None


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
        return not any(target.can_run for target in self.targets)

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
        targets=tuple(_state(target.name, target.title, target.backend) for target in list_targets()),
    )


def _requirements() -> dict[str, list[str]]:
    """What the installed ecc-deploy declares: package names by extra, ``""`` for the base dependencies."""
    found: dict[str, list[str]] = {}
    for line in requires(DISTRIBUTION) or []:
        match = _REQUIREMENT.match(line)
        if match and match[1] != DISTRIBUTION:
            found.setdefault(match[2] or "", []).append(match[1])
    return found


def _packages(names: list[str]) -> tuple[Package, ...]:
    return tuple(Package(name, _version(name)) for name in sorted(names))


def _extra(name: str, packages: list[str]) -> Extra:
    listed = _packages(packages)
    is_complete = all(package.version is not None for package in listed)
    return Extra(name, listed, None if is_complete else install_command(name))


def _state(name: str, title: str, backend_name: str) -> TargetState:
    backend = get(backend_name)
    to_compile, to_run = missing(backend.compiles_with), missing(backend.runs_with)
    return TargetState(
        name=name,
        title=title,
        backend=backend_name,
        can_compile=not to_compile,
        missing_to_compile=tuple(to_compile),
        install_to_compile=install_command(backend.compile_extra) if to_compile else None,
        can_run=not to_run,
        missing_to_run=tuple(to_run),
        install_to_run=install_command(backend.run_extra) if to_run else None,
    )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
