"""Runs OpenVINO IR."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from ecc_deploy.backends import interface
from ecc_deploy.bundle.manifest import Half, TensorInfo
from ecc_deploy.errors import BundleError

_DTYPES = {"f32": "float32", "u8": "uint8", "i8": "int8"}


class Runner(interface.Runner):
    """One compiled model. What could be left to OpenVINO's guess is set: precision, threads, streams, latency."""

    def __init__(self, path: Path, half: Half, threads: int) -> None:
        facts = half.compiled
        device = str(facts.get("device", "CPU"))
        config: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": str(facts.get("inference_precision", "f32")),
        }
        if device == "CPU":
            config["INFERENCE_NUM_THREADS"] = threads
        core = ov.Core()
        try:
            model = core.read_model(path, path.with_suffix(".bin"))
            self._compiled = core.compile_model(model, device, config)
        except RuntimeError as error:
            raise BundleError(f"OpenVINO cannot load {path} for {device}: {error}") from error
        for kind, found, listed in (
            ("input", self._compiled.inputs, half.inputs),
            ("output", self._compiled.outputs, half.outputs),
        ):
            _check(path, kind, found, listed)
        self._outputs = [tensor.name for tensor in half.outputs]
        self._local = threading.local()

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._compiled.create_infer_request()
        found = request.infer({name: np.ascontiguousarray(value) for name, value in inputs.items()}, share_inputs=True)
        # The request's own buffers are written again by the next call.
        return {name: np.array(found[name]) for name in self._outputs}

    def close(self) -> None:
        """OpenVINO frees a model with its last reference."""


def _check(path: Path, kind: str, found: list[Any], listed: tuple[TensorInfo, ...]) -> None:
    actual = {
        next(iter(port.names), ""): (
            _DTYPES.get(port.element_type.get_type_name(), port.element_type.get_type_name()),
            tuple(d.get_length() if d.is_static else -1 for d in port.partial_shape)[1:],
        )
        for port in found
    }
    wanted = {t.name: (t.dtype, t.shape) for t in listed}
    if actual != wanted:
        raise BundleError(f"the {kind}s of {path} are {actual}, and the manifest lists {wanted}")
