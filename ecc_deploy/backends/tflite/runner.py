"""Runs .tflite files with LiteRT or, where a device has only that, with the older tflite-runtime.

Full-integer files take and give int8 in NHWC. Images come so already; here, and nowhere else, the other tensors meet
those of the manifest: float32 answers and uint8 codes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ecc_deploy.backends import interface
from ecc_deploy.backends.tflite.interpreter import open_interpreter
from ecc_deploy.bundle.manifest import Half, TensorInfo
from ecc_deploy.errors import BundleError

Convert = Callable[[np.ndarray], np.ndarray]


class Runner(interface.Runner):
    """One interpreter, with XNNPACK where the runtime has it. One sample at a time, whatever the batch."""

    def __init__(self, path: Path, half: Half, threads: int) -> None:
        try:
            content = path.read_bytes()
            self._interpreter = open_interpreter(content, threads)
            signature = self._interpreter.get_signature_runner()
        except (OSError, ValueError, RuntimeError) as error:
            raise BundleError(f"LiteRT cannot load {path}: {error}") from error
        inputs = as_they_are(signature.get_input_details(), self._interpreter.get_input_details())
        outputs = as_they_are(signature.get_output_details(), self._interpreter.get_output_details())
        for kind, found, listed in (("input", inputs, half.inputs), ("output", outputs, half.outputs)):
            _check(path, kind, found, listed)
        self._inputs = [(t.name, inputs[t.name]["index"], to_file(inputs[t.name], t)) for t in half.inputs]
        top = half.compiled.get("top_code", 255)
        if not isinstance(top, int):
            raise BundleError(
                f"the manifest gives {top!r} as the highest code of {path.name}", "Export the bundle again."
            )
        self._outputs = [(t.name, outputs[t.name]["index"], from_file(outputs[t.name], t, top)) for t in half.outputs]
        self._call = self._prepared()

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self._call(inputs)

    def _prepared(self) -> Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]:
        """``run`` in few steps: each costs microseconds behind an engine that has just used all caches."""
        lock, inputs, outputs = threading.Lock(), self._inputs, self._outputs
        set_tensor, invoke, get_tensor = (
            getattr(self._interpreter, name) for name in ("set_tensor", "invoke", "get_tensor")
        )

        def one(given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            found = {}
            with lock:
                for name, index, convert in inputs:
                    values = given[name]
                    if len(values) != 1:
                        break
                    set_tensor(index, convert(values))
                else:
                    invoke()
                    for name, index, convert in outputs:
                        found[name] = convert(get_tensor(index))
                    return found
            rows = [one({name: given[name][i : i + 1] for name, _, _ in inputs}) for i in range(len(values))]
            return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

        return one

    def close(self) -> None:
        """LiteRT frees an interpreter with its last reference."""


def as_they_are(named: dict[str, Any], tensors: list[dict[str, Any]]) -> dict[str, Any]:
    """The tensors that the graph begins or ends with, by the names of its signature.

    Where a quantizer has put a conversion behind an output, the signature still speaks of the tensor before it; the new
    one has the old name and a suffix.
    """
    return {
        name: next(
            (t for t in tensors if t["name"] == details["name"] or t["name"].startswith(details["name"] + "_")), details
        )
        for name, details in named.items()
    }


def _scale(details: dict[str, Any]) -> tuple[np.float32, int]:
    scale, zero_point = details["quantization"]
    return np.float32(scale), int(zero_point)


def _file_shape(tensor: TensorInfo, details: dict[str, Any]) -> tuple[int, ...]:
    """The shape that the file should have: NHWC where the manifest lists NCHW."""
    shape = tensor.shape
    return (*shape[1:], shape[0]) if tensor.layout == "NCHW" and len(details["shape"]) == 4 else shape


def _check(path: Path, kind: str, found: dict[str, Any], listed: tuple[TensorInfo, ...]) -> None:
    actual = {name: (np.dtype(d["dtype"]).name, tuple(int(n) for n in d["shape"])) for name, d in found.items()}
    for tensor in listed:
        details = found.get(tensor.name)
        kinds = {"float32": ("float32", "int8"), "uint8": ("float32", "int8", "uint8"), "int8": ("int8",)}
        if kind == "input":
            kinds["float32"] = ("float32",)
        if (
            details is None
            or len(found) != len(listed)
            or actual[tensor.name][0] not in kinds[tensor.dtype]
            or actual[tensor.name][1] != (1, *_file_shape(tensor, details))
            or not _means_the_same(tensor, details)
        ):
            wanted = {t.name: (t.dtype, t.shape, t.layout, t.quantization) for t in listed}
            raise BundleError(f"the {kind}s of {path} are {actual}, and the manifest lists {wanted}")


def _means_the_same(tensor: TensorInfo, details: dict[str, Any]) -> bool:
    """Whether codes that the manifest explains are what the file takes them for."""
    if tensor.quantization is None:
        return True
    return (np.float32(tensor.quantization.scale), tensor.quantization.zero_point) == _scale(details)


def to_file(details: dict[str, Any], tensor: TensorInfo) -> Convert:
    """From what the manifest lists to what the file takes."""
    is_nchw = tensor.layout == "NCHW" and len(details["shape"]) == 4
    file_dtype = np.dtype(details["dtype"])
    zero_point = _scale(details)[1] if file_dtype == np.int8 and tensor.dtype == "uint8" else 0

    def convert(values: np.ndarray) -> np.ndarray:
        if zero_point:  # codes, counted from the file's zero point
            values = values.astype(np.int16) + zero_point
        values = values.astype(file_dtype, copy=False)
        return np.ascontiguousarray(values.transpose(0, 2, 3, 1) if is_nchw else values)

    if is_nchw or zero_point:
        return convert
    return lambda values: values if values.dtype == file_dtype else convert(values)  # LiteRT copies any strides


def from_file(details: dict[str, Any], tensor: TensorInfo, top: int) -> Convert:
    """From what the file gives to what the manifest lists."""
    axes = (0, 3, 1, 2) if tensor.layout == "NCHW" and len(details["shape"]) == 4 else None
    is_int8 = np.dtype(details["dtype"]) == np.int8
    scale, zero_point = _scale(details)
    values_of_bytes = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.int16) - zero_point
    codes = np.clip(values_of_bytes, 0, top).astype(np.uint8).tobytes()  # counted from the file's zero point
    meanings = values_of_bytes.astype(np.float32) * scale

    def placed(values: np.ndarray) -> np.ndarray:
        return values if axes is None else values.transpose(axes)

    def as_codes(values: np.ndarray) -> np.ndarray:  # a table of bytes is the quickest way, by a third
        values = placed(values)
        return np.ndarray(values.shape, np.uint8, values.tobytes().translate(codes))

    if tensor.dtype == "uint8":
        return as_codes if is_int8 else lambda values: placed(values).astype(np.uint8, order="C")
    if is_int8:
        return lambda values: meanings.take(placed(values).view(np.uint8))
    return (lambda values: values) if axes is None else lambda values: np.ascontiguousarray(placed(values))
