"""What a bundle's edge halves need on the device that is to run them."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

from ecc_deploy.backends.registry import get, missing
from ecc_deploy.bundle import Manifest
from ecc_deploy.errors import BackendMissingError

PACKAGE = Path(__file__).resolve().parents[1]


def edge_backends(manifest: Manifest) -> list[str]:
    """The backends of the edge halves, without duplicates."""
    return sorted({half.backend for half in manifest.halves.values() if half.side == "edge"})


def edge_extra(manifest: Manifest) -> str:
    """The extra of ecc-deploy that a device needs for the bundle."""
    return ",".join(dict.fromkeys(get(name).run_extra for name in edge_backends(manifest)))


def check_runtime(manifest: Manifest) -> None:
    """Raises :class:`BackendMissingError` where the runtime of an edge half is not here."""
    absent = {name: modules for name in edge_backends(manifest) if (modules := missing(get(name).runs_with))}
    if not absent:
        return
    backends = [get(name) for name in absent]
    titles = " and ".join(backend.title for backend in backends)
    names = ", ".join(module for modules in absent.values() for module in modules)
    hints = [backend.runtime_hint for backend in backends if backend.runtime_hint]
    extras = ",".join(dict.fromkeys(backend.run_extra for backend in backends))
    raise BackendMissingError(
        f"the runtime of the bundle's edge halves is not installed: {titles} ({names})",
        " ".join([f"On the device: {sys.executable} -m pip install 'ecc-deploy[{extras}]'", *hints]),
    )


def is_finished_there(manifest: Manifest) -> bool:
    """Whether the device has to finish an edge half itself, as with engines of TensorRT."""
    return any(get(name).is_finished_on_device for name in edge_backends(manifest))


def code_digest(package: Path = PACKAGE) -> str:
    """SHA-256 over the names and contents of this package's Python files: the same code on both sides, or not."""
    return _digest(sorted(package.rglob("*.py")), package)


def _digest(files: Iterable[Path], root: Path) -> str:
    digest = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()
