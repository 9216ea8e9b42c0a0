"""OpenVINO by its own C API, as far as running takes it: a call costs 10 to 30 µs less than by its Python package.

Reference: "OpenVINO C API", https://docs.openvino.ai/2026/api/c_cpp_api/group__ov__c__api.html. What a model is, its
shapes and types, is looked at by the package before; here it is compiled and run.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Mapping, Sequence
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_int64, c_size_t, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from ecc_deploy.backends.openvino.signal_stack import kept_signal_stack
from ecc_deploy.errors import BackendMissingError


class _Dimension(Structure):
    _fields_ = (("least", c_int64), ("most", c_int64))


class _PartialShape(Structure):
    _fields_ = (("rank", _Dimension), ("dimensions", POINTER(_Dimension)))


class _Shape(Structure):
    _fields_ = (("rank", c_int64), ("dimensions", POINTER(c_int64)))


_STATUS: dict[str, tuple[Any, ...]] = {
    "ov_core_create": (POINTER(c_void_p),),
    "ov_core_read_model": (c_void_p, c_char_p, c_char_p, POINTER(c_void_p)),
    "ov_core_compile_model": (c_void_p, c_void_p, c_char_p, c_size_t, POINTER(c_void_p)),  # and keys and values
    "ov_model_reshape_input_by_name": (c_void_p, c_char_p, _PartialShape),
    "ov_compiled_model_create_infer_request": (c_void_p, POINTER(c_void_p)),
    "ov_infer_request_get_tensor": (c_void_p, c_char_p, POINTER(c_void_p)),
    "ov_infer_request_set_tensor": (c_void_p, c_char_p, c_void_p),
    "ov_infer_request_infer": (c_void_p,),
    "ov_tensor_get_element_type": (c_void_p, POINTER(c_int)),
    "ov_tensor_create_from_host_ptr": (c_int, _Shape, c_void_p, POINTER(c_void_p)),
}
_FREE = ("core", "model", "compiled_model", "infer_request", "tensor")


@functools.cache
def _library() -> Any:
    """The C library, which lies in the package. Raises :class:`BackendMissingError`."""
    found = sorted((Path(ov.__file__).parent / "libs").glob("*openvino_c.*"))
    if not found:
        raise BackendMissingError(
            "this installation of OpenVINO has no C library", "Run: pip install --force-reinstall openvino"
        )
    library = ctypes.CDLL(str(found[0]))
    for name, arguments in _STATUS.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, c_int
    for name in _FREE:
        function = getattr(library, f"ov_{name}_free")
        function.argtypes, function.restype = (c_void_p,), None
    library.ov_get_last_err_msg.restype = c_char_p
    return library


def _call(name: str, *arguments: Any) -> None:
    """Raises :class:`RuntimeError` with what OpenVINO says."""
    library = _library()
    if getattr(library, name)(*arguments) != 0:
        words = library.ov_get_last_err_msg() or b""
        raise RuntimeError(words.decode(errors="replace").strip() or f"{name} failed")


class _Handle:
    """One of its objects, freed with the last reference."""

    def __init__(self, kind: str) -> None:
        self.pointer = c_void_p()
        self._free = getattr(_library(), f"ov_{kind}_free")

    def __del__(self) -> None:
        if self.pointer:
            self._free(self.pointer)


class CompiledModel:
    """The model in ``path`` on ``device``, with its properties; ``batch``: for batches of this size alone.

    ``inputs``: the shapes of a sample, by name. Raises :class:`RuntimeError` with what OpenVINO says.
    """

    @kept_signal_stack()
    def __init__(
        self,
        path: Path,
        device: str,
        config: Mapping[str, str],
        inputs: Mapping[str, Sequence[int]],
        batch: int | None = None,
    ) -> None:
        core, model = _Handle("core"), _Handle("model")
        self._compiled = _Handle("compiled_model")
        _call("ov_core_create", byref(core.pointer))
        weights = os.fsencode(path.with_suffix(".bin"))
        _call("ov_core_read_model", core.pointer, os.fsencode(path), weights, byref(model.pointer))
        for name, shape in inputs.items() if batch is not None else ():
            sizes = (batch, *shape)
            dimensions = (_Dimension * len(sizes))(*(_Dimension(size, size) for size in sizes))
            wanted = _PartialShape(_Dimension(len(sizes), len(sizes)), dimensions)
            _call("ov_model_reshape_input_by_name", model.pointer, name.encode(), wanted)
        words = [c_char_p(word.encode()) for pair in config.items() for word in pair]
        _call(
            "ov_core_compile_model",
            core.pointer,
            model.pointer,
            device.encode(),
            len(words),
            byref(self._compiled.pointer),
            *words,
        )

    def request(self) -> _Handle:
        """A new request, which one thread uses at a time."""
        made = _Handle("infer_request")
        _call("ov_compiled_model_create_infer_request", self._compiled.pointer, byref(made.pointer))
        return made


class Request:
    """A request on arrays of its own, which are written before and read after each :meth:`infer`."""

    def __init__(self, compiled: CompiledModel, tensors: Mapping[str, np.ndarray]) -> None:
        """``tensors``: inputs and outputs by name, C-contiguous, of the shapes and types that the model has."""
        self._compiled, self._arrays = compiled, tensors
        self._request = compiled.request()
        self._tensors = [self._bound(name, array) for name, array in tensors.items()]
        self._infer, self._pointer = _library().ov_infer_request_infer, self._request.pointer

    def infer(self) -> None:
        """Raises :class:`RuntimeError` with what OpenVINO says."""
        if self._infer(self._pointer) != 0:
            raise RuntimeError(_library().ov_get_last_err_msg().decode(errors="replace"))

    def _bound(self, name: str, array: np.ndarray) -> _Handle:
        """Let the request use ``array``. Its type is that of the tensor there was: the enumeration's numbers change."""
        own, made, kind = _Handle("tensor"), _Handle("tensor"), c_int()
        _call("ov_infer_request_get_tensor", self._request.pointer, name.encode(), byref(own.pointer))
        _call("ov_tensor_get_element_type", own.pointer, byref(kind))
        shape = _Shape(array.ndim, (c_int64 * array.ndim)(*array.shape))
        _call("ov_tensor_create_from_host_ptr", kind, shape, array.ctypes.data_as(c_void_p), byref(made.pointer))
        _call("ov_infer_request_set_tensor", self._request.pointer, name.encode(), made.pointer)
        return made
