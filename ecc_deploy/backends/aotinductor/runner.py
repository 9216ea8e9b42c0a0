"""Runs AOTInductor packages with PyTorch."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from ecc_deploy.backends import interface
from ecc_deploy.bundle.manifest import Half
from ecc_deploy.errors import BundleError, DeviceError


class Runner(interface.Runner):
    """One loaded package. Inputs and outputs are host arrays; on CUDA they are copied there and back."""

    def __init__(self, path: Path, half: Half, threads: int) -> None:
        self._device = str(half.compiled.get("device", "cpu"))
        if self._device == "cuda":
            _check_gpu(path, half)
        else:
            torch.set_num_threads(threads)
        try:
            self._model = torch._inductor.aoti_load_package(str(path))
        except Exception as error:  # torch raises many kinds
            raise BundleError(f"PyTorch cannot load {path}: {error}") from error
        self._input = half.inputs[0]
        self._dtypes = {tensor.name: np.dtype(tensor.dtype) for tensor in half.outputs}
        self._lock = threading.Lock()

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        values = np.ascontiguousarray(inputs[self._input.name], np.float32)
        with self._lock, torch.inference_mode():
            found = self._model(torch.from_numpy(values).to(self._device))
            arrays = [value.cpu().numpy() for value in found]
        return {name: array.astype(kind) for (name, kind), array in zip(self._dtypes.items(), arrays, strict=True)}

    def close(self) -> None:
        """PyTorch frees a package with its last reference."""


def _check_gpu(path: Path, half: Half) -> None:
    if not torch.cuda.is_available():
        raise DeviceError(f"{path.name} was compiled for CUDA, and torch finds no GPU here")
    here = ".".join(map(str, torch.cuda.get_device_capability()))
    wanted = half.compiled.get("compute_capability")
    if wanted != here:
        raise DeviceError(
            f"{path.name} was compiled for compute capability {wanted}, and this GPU has {here}",
            "Export it again on this machine.",
        )
