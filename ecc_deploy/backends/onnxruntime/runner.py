"""Runs ONNX files with ONNX Runtime, on the CPU or another execution provider."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort

from ecc_deploy.backends import interface
from ecc_deploy.bundle.manifest import Half, TensorInfo
from ecc_deploy.errors import BackendMissingError, BundleError, DeviceError

CPU = "CPUExecutionProvider"
_DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int8)": "int8"}


class Runner(interface.Runner):
    """One ONNX Runtime session. The first execution provider of the half must be there: nothing falls back unasked."""

    def __init__(self, path: Path, half: Half, threads: int) -> None:
        providers = self._providers(half)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Between two requests a device has better things to do than to spin.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # its exceptions share no base class
            raise BundleError(f"ONNX Runtime cannot load {path}: {error}") from error
        if self._session.get_providers()[0] != providers[0]:
            raise DeviceError(
                f"ONNX Runtime's {providers[0]} does not start on this machine, and {path.name} is for it",
                "Its log says why: set ORT_LOGGING_LEVEL=1. A target of your own may list CPUExecutionProvider first.",
            )
        for kind, found, listed in (
            ("input", self._session.get_inputs(), half.inputs),
            ("output", self._session.get_outputs(), half.outputs),
        ):
            _check(path, kind, found, listed)
        self._outputs = [tensor.name for tensor in half.outputs]

    @staticmethod
    def _providers(half: Half) -> list[str]:
        found = half.compiled.get("providers")
        providers = list(found) if isinstance(found, tuple) else [CPU]
        if providers[0] not in ort.get_available_providers():
            raise BackendMissingError(
                f"this build of ONNX Runtime has no {providers[0]}",
                "Run: pip uninstall onnxruntime; pip install onnxruntime-gpu",
            )
        return providers

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self._outputs, self._session.run(self._outputs, dict(inputs)), strict=True))

    def close(self) -> None:
        """ONNX Runtime frees a session with its last reference."""


def _check(path: Path, kind: str, found: list, listed: tuple[TensorInfo, ...]) -> None:
    actual = {t.name: (_DTYPES.get(t.type, t.type), tuple(t.shape[1:])) for t in found}
    wanted = {t.name: (t.dtype, t.shape) for t in listed}
    if actual != wanted:
        raise BundleError(f"the {kind}s of {path} are {actual}, and the manifest lists {wanted}")
