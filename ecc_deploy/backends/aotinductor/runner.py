"""Runs AOTInductor packages with PyTorch."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from ecc_deploy.backends import interface
from ecc_deploy.backends.aotinductor.package import device_kind, tensors_as_text
from ecc_deploy.backends.quiet import quiet
from ecc_deploy.bundle.manifest import Half
from ecc_deploy.errors import BundleError, DeviceError


class Runner(interface.Runner):
    """One loaded package. Inputs and outputs are host arrays; on CUDA they are copied there and back."""

    def __init__(self, path: Path, half: Half, threads: int) -> None:
        self._device = str(half.compiled.get("device", "cpu"))
        _check_machine(path, half, self._device)
        if self._device == "cpu":
            torch.set_num_threads(threads)
        try:
            with quiet():
                self._model = torch._inductor.aoti_load_package(str(path))
        except Exception as error:  # torch raises many kinds
            raise BundleError(f"PyTorch cannot load {path}: {error}") from error
        facts = self._model.get_metadata()
        for kind, listed in (("inputs", half.inputs), ("outputs", half.outputs)):
            if facts.get(kind) != tensors_as_text(listed):
                raise BundleError(
                    f"the {kind} of {path} are {facts.get(kind)}, and the manifest lists {tensors_as_text(listed)}"
                )
        self._inputs = [tensor.name for tensor in half.inputs]
        self._dtypes = {tensor.name: np.dtype(tensor.dtype) for tensor in half.outputs}
        self._lock = threading.Lock()

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        values = [torch.from_numpy(np.array(inputs[name], np.float32, order="C")) for name in self._inputs]
        with self._lock, torch.inference_mode():
            found = self._model(*[value.to(self._device) for value in values])
            arrays = [value.cpu().numpy() for value in found]
        return {name: array.astype(kind) for (name, kind), array in zip(self._dtypes.items(), arrays, strict=True)}

    def close(self) -> None:
        """PyTorch frees a package with its last reference."""


def _check_machine(path: Path, half: Half, device: str) -> None:
    """A package is machine code: for one kind of GPU, or for a CPU with the instructions that it was compiled for."""
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"{path.name} was compiled for CUDA, and torch finds no GPU here")
    wanted, here = half.compiled.get("runs_on"), device_kind(device)
    if wanted is not None and wanted != here:
        raise DeviceError(f"{path.name} was compiled for {wanted}, and here is {here}", "Export it on this machine.")
