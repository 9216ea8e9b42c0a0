"""What decides how a half comes out, as digests: the graph with its weights, the data, the code that compiles."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import platform
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel

from ecc_deploy.backends.interface import HalfSource
from ecc_deploy.backends.registry import get
from ecc_deploy.data import Dataset
from ecc_deploy.training.run import Run
from ecc_deploy.training.views import identity_of

_CODE = ("ecc_deploy.backends", "ecc_deploy.quantization")
"""The packages whose code decides how a half comes out; what the half computes is in its graph."""


@dataclass(frozen=True)
class Traced:
    """A half's module as ``torch.export`` sees it."""

    digest: str
    """Of operators, their arguments, the modules that they belong to, and all weights."""
    weights: int
    """Numbers among its parameters and buffers that it computes with."""


def traced(source: HalfSource) -> Traced | None:
    """The module of ``source``; ``None`` where ``torch.export`` cannot follow it, so that nothing is known of it.

    The code of a user's own module is not looked at, but what it does.
    """
    examples = tuple(torch.zeros(2, *info.shape) for info in source.inputs)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(source.module, examples, strict=False)
    except Exception:  # torch raises many kinds; whoever compiles it will say what is wrong
        return None
    digest = hashlib.sha256()
    for node in program.graph.nodes:
        owners = [path for path, _ in (node.meta.get("nn_module_stack") or {}).values()]
        digest.update(f"{node.op} {node.name} {node.target} {node.args} {node.kwargs} {owners}\n".encode())
    tensors = {**program.state_dict, **program.constants}
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {getattr(value, 'dtype', value)} {getattr(value, 'shape', '')}\n".encode())
        if isinstance(value, torch.Tensor):
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    signature = program.graph_signature
    named = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    used = {named[node.name] for node in program.graph.nodes if node.name in named and node.users}
    return Traced(digest.hexdigest(), sum(program.state_dict[name].numel() for name in used))


def system_identity(run: Run) -> str:
    """Of the float system that a bundle is made of: structure and weights of its trained parts. 32 hex digits."""
    parts = sorted(run.parts)
    return identity_of([getattr(run.system, part) for part in parts], parts, run.system.split.name)[:32]


def data_identity(dataset: Dataset) -> str:
    """Of the images and labels that an export sees, and how they are normalised. 32 hex digits."""
    digest = hashlib.sha256(json.dumps(plain(dataclasses.asdict(dataset.normalisation))).encode())
    for part in ("train", "val"):
        samples = dataset.part(part)
        digest.update(json.dumps([plain(samples.images), plain(samples.labels)]).encode())
    return digest.hexdigest()[:32]


@functools.cache
def code_identity(backend: str) -> str:
    """Of the code that compiles for ``backend``, ours or a user's own: it changes more often than versions do."""
    digest = hashlib.sha256(version("ecc-deploy").encode())
    for package in dict.fromkeys((*_CODE, get(backend).package)):
        spec = find_spec(package)
        for folder in map(Path, (spec and spec.submodule_search_locations) or ()):
            for path in sorted(folder.rglob("*.py")):
                digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:32]


def machine() -> dict[str, str]:
    """What of this machine may decide: calibration runs on it, and AOTInductor compiles for it."""
    return {
        "architecture": platform.machine(),
        "system": platform.system(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def plain(value: Any) -> Any:
    """``value`` as what JSON can hold, every field of it; of an array its dtype, shape and a digest.

    Raises TypeError for what it does not know: a digest that left something out would be wrong silently.
    """
    if isinstance(value, np.ndarray):
        content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return [str(value.dtype), list(value.shape), content]
    if isinstance(value, BaseModel):
        return [type(value).__name__, value.model_dump(mode="json")]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    raise TypeError(f"a {type(value).__name__} has no place in a digest")
