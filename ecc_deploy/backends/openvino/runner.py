"""Runs OpenVINO IR."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from ecc_deploy.backends import interface
from ecc_deploy.backends.openvino import native
from ecc_deploy.backends.openvino.signal_stack import kept_signal_stack
from ecc_deploy.bundle.manifest import Half, TensorInfo
from ecc_deploy.errors import BundleError, DeviceError
from ecc_deploy.user_cache import user_cache

_DTYPES = {"f32": "float32", "u8": "uint8", "i8": "int8"}

Call = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


class _Thread(threading.local):
    """What a thread has prepared: a call for batches of one size."""

    batch = 0
    call: Call


class Runner(interface.Runner):
    """A model compiled for batches of one, and, once there is another batch, for any.

    With its shapes known, a ResNet-20 takes two thirds of the time. What could be left to OpenVINO's guess is set:
    precision, threads, streams, latency.
    """

    @kept_signal_stack()
    def __init__(self, path: Path, half: Half, threads: int) -> None:
        device = self._device(half)
        config = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_PRECISION_HINT": self._precision(half),
        }
        if device == "CPU":
            config["INFERENCE_NUM_THREADS"] = str(threads)
        else:  # drivers compile for seconds; for a CPU it would save 0.1 s, and processes that start together race
            config["CACHE_DIR"] = str(user_cache("openvino"))
        core = ov.Core()
        kinds = {name.partition(".")[0] for name in core.available_devices}
        if device.partition(".")[0] not in kinds:
            raise DeviceError(
                f"OpenVINO finds no {device} on this machine, and {path.name} is for it",
                f"It finds: {', '.join(sorted(kinds))}. Run it where the device and its driver are.",
            )
        try:
            model = core.read_model(path, path.with_suffix(".bin"))
        except RuntimeError as error:
            raise BundleError(f"OpenVINO cannot read {path}: {error}") from error
        _check(path, "input", model.inputs, half.inputs)
        _check(path, "output", model.outputs, half.outputs)
        self._inputs, self._outputs, self._first = half.inputs, half.outputs, half.inputs[0].name
        self._path, self._device_name, self._config = path, device, config
        self._any_batch = half.batch == "dynamic"
        self._for_one = self._compile(1 if self._any_batch else None)
        self._for_more: native.CompiledModel | None = None
        self._compiling = threading.Lock()
        self._thread = _Thread()

    def _compile(self, batch: int | None) -> native.CompiledModel:
        """For batches of this size; ``None``: for those that the file takes."""
        shapes = {tensor.name: tensor.shape for tensor in self._inputs}
        try:
            return native.CompiledModel(self._path, self._device_name, self._config, shapes, batch)
        except RuntimeError as error:
            raise DeviceError(
                f"OpenVINO cannot compile {self._path.name} for this machine's {self._device_name}: {error}",
                "The file is whole: the device, or its driver, lacks something that the target counts on. "
                "Export it for a target that fits this machine, or at another precision.",
            ) from error

    def _compiled_for(self, batch: int) -> native.CompiledModel:
        if batch == 1 or not self._any_batch:
            return self._for_one
        with self._compiling:
            if self._for_more is None:
                self._for_more = self._compile(None)
            return self._for_more

    @staticmethod
    def _device(half: Half) -> str:
        return str(half.compiled.get("device", "CPU"))

    @staticmethod
    def _precision(half: Half) -> str:
        return str(half.compiled.get("inference_precision", "f32"))

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        thread = self._thread
        batch = len(inputs[self._first])
        if thread.batch != batch:
            thread.call, thread.batch = self._prepared(batch), batch
        return thread.call(inputs)

    def _prepared(self, batch: int) -> Call:
        """A call by a request of its own, on arrays of its own."""
        arrays = {t.name: np.zeros((batch, *t.shape), t.dtype) for t in (*self._inputs, *self._outputs)}
        request = native.Request(self._compiled_for(batch), arrays)
        return _call(
            request, {t.name: arrays[t.name] for t in self._inputs}, {t.name: arrays[t.name] for t in self._outputs}
        )

    def close(self) -> None:
        """OpenVINO frees a model with its last reference."""


def _call(request: native.Request, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> Call:
    """Write ``inputs``, run, copy ``outputs``, which the next call writes again.

    Every step counts here: behind an engine that has just used all caches, each line of Python takes a microsecond,
    several times what it takes alone.
    """
    infer = request.infer
    given = [(name, array, array.dtype) for name, array in inputs.items()]
    found = [(name, array.copy) for name, array in outputs.items()]

    def call(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        for name, array, dtype in given:
            value = values[name]
            if value.dtype is dtype:
                array[...] = value  # in half the time of copyto, and it would cast anything
            else:
                np.copyto(array, value)
        infer()
        copies = {}
        for name, copy in found:
            copies[name] = copy()
        return copies

    return call


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
