"""Engines on the device: each belongs to one model file, one GPU and one version of TensorRT, and says so beside it.

They lie in the user's cache folder, not in the bundle: the bundle is the same on every device, and verified whole.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecc_deploy.atomic import write_file
from ecc_deploy.errors import DeviceError
from ecc_deploy.user_cache import user_cache

HINT = "Build it on this device: ecc-deploy compile BUNDLE"
MAX_SIDECAR_BYTES = 1 << 20


@dataclass(frozen=True)
class Origin:
    """What an engine belongs to."""

    model_sha256: str
    device: str
    """Name and compute capability of the GPU."""
    tensorrt: str

    @property
    def path(self) -> Path:
        """Where the engine lies, whether it is there or not."""
        digest = hashlib.sha256(json.dumps([self.model_sha256, self.device, self.tensorrt]).encode()).hexdigest()
        return folder() / f"{digest[:32]}.engine"

    @property
    def timing_cache(self) -> Path:
        """The measurements of kernels that building on this device left: they serve every model."""
        digest = hashlib.sha256(json.dumps([self.device, self.tensorrt]).encode()).hexdigest()
        return folder() / f"{digest[:32]}.timing"


def origin_of(model: bytes, device: str, tensorrt: str) -> Origin:
    """The origin of engines of the ONNX file ``model``."""
    return Origin(hashlib.sha256(model).hexdigest(), device, tensorrt)


def folder() -> Path:
    """Where engines are kept."""
    return user_cache("engines")


def store(origin: Origin, engine: bytes, facts: dict[str, Any]) -> dict[str, Any]:
    """Keep an engine with ``facts``, what it was built with and how it went; returns all that stands beside it."""
    known = {"model_sha256": origin.model_sha256, "device": origin.device, "tensorrt": origin.tensorrt}
    sidecar = {**known, "engine_sha256": hashlib.sha256(engine).hexdigest(), **facts}
    write_file(origin.path, engine)
    write_file(origin.path.with_suffix(".json"), (json.dumps(sidecar, indent=1) + "\n").encode())
    return sidecar


def sidecar_of(origin: Origin) -> dict[str, Any] | None:
    """What stands beside the engine; ``None`` where there is no engine, or a sidecar that says another thing."""
    path = origin.path.with_suffix(".json")
    try:
        if not origin.path.is_file() or path.stat().st_size > MAX_SIDECAR_BYTES:
            return None
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict):
        return None
    same = all(found.get(name) == getattr(origin, name) for name in ("model_sha256", "device", "tensorrt"))
    return found if same else None


def load(origin: Origin, title: str) -> bytes:
    """The engine of ``origin``. Raises :class:`DeviceError` where there is none, or one that was changed."""
    found = sidecar_of(origin)
    if found is None:
        raise DeviceError(
            f"there is no engine of {title} for {origin.device} with {origin.tensorrt} on this device", HINT
        )
    engine = origin.path.read_bytes()
    if hashlib.sha256(engine).hexdigest() != found.get("engine_sha256"):
        raise DeviceError(f"the engine {origin.path} was changed after it was built", HINT + " --rebuild")
    return engine
