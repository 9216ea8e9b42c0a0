"""What is in a package beside the code, and what may stay out of it."""

from __future__ import annotations

import json
import platform
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch

from ecc_deploy.atomic import replacing
from ecc_deploy.bundle.manifest import TensorInfo

_SERIAL = ".data/serialization_id"


def tensors_as_text(tensors: Sequence[TensorInfo]) -> str:
    """Names, dtypes and shapes without the batch, as one JSON text: a package itself knows tensors by position only."""
    return json.dumps([[tensor.name, tensor.dtype, list(tensor.shape)] for tensor in tensors])


def slim(path: Path) -> None:
    """Leave the C++ sources out of the package ``path``, and the number that differs from one compilation to the next.

    The sources are there to be compiled again; they hold paths of the machine that compiled them, and nothing that
    runs reads them.
    """
    with replacing(path) as temporary, zipfile.ZipFile(path) as old, zipfile.ZipFile(temporary, "w") as new:
        for entry in old.infolist():
            if not entry.filename.endswith(".cpp"):
                content = b"0" * 40 if entry.filename.endswith(_SERIAL) else old.read(entry)
                new.writestr(zipfile.ZipInfo(entry.filename), content)


def device_kind(device: str) -> str:
    """What machine code made here runs on: the kind of the GPU, or the instruction set of the CPU."""
    if device == "cuda":
        major, minor = torch.cuda.get_device_capability()
        return f"GPUs of compute capability {major}.{minor}"
    return f"{platform.machine()} with {torch.backends.cpu.get_cpu_capability()}"
