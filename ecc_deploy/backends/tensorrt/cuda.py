"""The few calls of the CUDA runtime and driver that running an engine needs, without a package for them."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from ecc_deploy.errors import BackendMissingError, DeviceError

RUNTIMES = ("libcudart.so", "libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0")
DRIVER = "libcuda.so.1"
_TO_DEVICE, _TO_HOST = 1, 2  # cudaMemcpyKind
_MAJOR, _MINOR = 75, 76  # CUdevice_attribute: compute capability


class Cuda:
    """The first GPU of this machine."""

    def __init__(self) -> None:
        """Raises :class:`BackendMissingError` without CUDA's libraries or without a GPU."""
        self._runtime = _load(RUNTIMES)
        self._driver = _load((DRIVER,))
        if self._driver.cuInit(0) != 0:
            raise BackendMissingError(
                "CUDA finds no GPU on this machine", "`nvidia-smi` or `tegrastats` should show one."
            )
        self._runtime.cudaMalloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        self._runtime.cudaFree.argtypes = [ctypes.c_void_p]
        self._runtime.cudaMemcpyAsync.argtypes = [
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_int,
            ctypes.c_void_p,
        ]
        for name in ("cudaStreamSynchronize", "cudaStreamDestroy"):
            getattr(self._runtime, name).argtypes = [ctypes.c_void_p]

    @property
    def device(self) -> str:
        """Name and compute capability of the GPU, as ``Orin (8.7)``."""
        handle, name = ctypes.c_int(), ctypes.create_string_buffer(256)
        self._check("cuDeviceGet", self._driver.cuDeviceGet(ctypes.byref(handle), 0))
        self._check("cuDeviceGetName", self._driver.cuDeviceGetName(name, len(name), handle))
        parts = []
        for attribute in (_MAJOR, _MINOR):
            value = ctypes.c_int()
            found = self._driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, handle)
            self._check("cuDeviceGetAttribute", found)
            parts.append(str(value.value))
        return f"{name.value.decode(errors='replace')} ({'.'.join(parts)})"

    def stream(self) -> int:
        """A new stream."""
        stream = ctypes.c_void_p()
        self._check("cudaStreamCreate", self._runtime.cudaStreamCreate(ctypes.byref(stream)))
        return stream.value or 0

    def wait(self, stream: int) -> None:
        """Until all that was put on ``stream`` is done."""
        self._check("cudaStreamSynchronize", self._runtime.cudaStreamSynchronize(stream))

    def end_stream(self, stream: int) -> None:
        self._check("cudaStreamDestroy", self._runtime.cudaStreamDestroy(stream))

    def allocate(self, size: int) -> int:
        """Address of ``size`` bytes on the GPU."""
        address = ctypes.c_void_p()
        self._check("cudaMalloc", self._runtime.cudaMalloc(ctypes.byref(address), size))
        return address.value or 0

    def free(self, address: int) -> None:
        self._check("cudaFree", self._runtime.cudaFree(address))

    def to_device(self, address: int, array: np.ndarray, stream: int) -> None:
        """Copy a contiguous array to ``address``; it must stay as it is until :meth:`wait`."""
        self._copy(address, array.ctypes.data, array.nbytes, _TO_DEVICE, stream)

    def to_host(self, array: np.ndarray, address: int, stream: int) -> None:
        """Copy from ``address`` into a contiguous array; it is there after :meth:`wait`."""
        self._copy(array.ctypes.data, address, array.nbytes, _TO_HOST, stream)

    def _copy(self, to: int, start: int, size: int, kind: int, stream: int) -> None:
        self._check("cudaMemcpyAsync", self._runtime.cudaMemcpyAsync(to, start, size, kind, stream))

    def _check(self, call: str, code: int) -> None:
        if code != 0:
            raise DeviceError(f"CUDA's {call} failed with the code {code}")


def _load(names: tuple[str, ...]) -> Any:
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise BackendMissingError(
        f"CUDA's library {names[0]} is not found",
        "On a Jetson it comes with JetPack; set LD_LIBRARY_PATH to the folder that has it.",
    )
