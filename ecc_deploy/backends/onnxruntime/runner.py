"""Runs ONNX files with ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort

from ecc_deploy.backends import interface
from ecc_deploy.bundle.manifest import Half, TensorInfo
from ecc_deploy.errors import BundleError

_DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int8)": "int8"}


class Runner(interface.Runner):
    """One ONNX Runtime session, CPU execution provider only."""

    def __init__(self, path: Path, half: Half, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Between two requests a device has better things to do than to spin.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no base class
            raise BundleError(f"ONNX Runtime cannot load {path}: {error}") from error
        for kind, found, listed in (
            ("input", self._session.get_inputs(), half.inputs),
            ("output", self._session.get_outputs(), half.outputs),
        ):
            _check(path, kind, found, listed)
        self._outputs = [tensor.name for tensor in half.outputs]

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self._outputs, self._session.run(self._outputs, dict(inputs)), strict=True))

    def close(self) -> None:
        """ONNX Runtime frees a session with its last reference."""


def _check(path: Path, kind: str, found: list, listed: tuple[TensorInfo, ...]) -> None:
    actual = {t.name: (_DTYPES.get(t.type, t.type), tuple(t.shape[1:])) for t in found}
    wanted = {t.name: (t.dtype, t.shape) for t in listed}
    if actual != wanted:
        raise BundleError(f"the {kind}s of {path} are {actual}, and the manifest lists {wanted}")
