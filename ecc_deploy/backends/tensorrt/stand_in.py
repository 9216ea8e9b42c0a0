"""Answers as TensorRT's file would give them, by ONNX Runtime: for accuracy where there is no GPU, never for times."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort

from ecc_deploy.backends import interface
from ecc_deploy.bundle.manifest import Half
from ecc_deploy.errors import BundleError


class Runner(interface.Runner):
    """One ONNX Runtime session on the file; the codes of the boundary, whole floats in it, become integers here."""

    def __init__(self, path: Path, half: Half, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Fused as for a CPU, Q/DQ nodes would become kernels that round otherwise than the file says.
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no base class
            raise BundleError(f"ONNX Runtime cannot load {path}: {error}") from error
        for kind, found, listed in (
            ("input", self._session.get_inputs(), half.inputs),
            ("output", self._session.get_outputs(), half.outputs),
        ):
            actual = {tensor.name: tuple(tensor.shape) for tensor in found}
            wanted = {tensor.name: (half.batch, *tensor.shape) for tensor in listed}
            if actual != wanted:
                raise BundleError(f"the {kind}s of {path} are {actual}, and the manifest lists {wanted}")
        self._dtypes = {tensor.name: np.dtype(tensor.dtype) for tensor in half.outputs}

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        given = {name: np.asarray(value, np.float32) for name, value in inputs.items()}
        found = self._session.run(list(self._dtypes), given)
        return {name: value.astype(kind) for (name, kind), value in zip(self._dtypes.items(), found, strict=True)}

    def close(self) -> None:
        """ONNX Runtime frees a session with its last reference."""
