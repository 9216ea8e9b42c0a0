"""Runs TensorRT engines, which ``ecc-deploy compile`` built on this device."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecc_deploy.backends import interface
from ecc_deploy.backends.tensorrt import engines
from ecc_deploy.backends.tensorrt.api import Api, device_api
from ecc_deploy.backends.tensorrt.cuda import Cuda
from ecc_deploy.bundle.manifest import Half
from ecc_deploy.errors import BundleError, DeviceError


@dataclass
class _Tensor:
    """One input or output: its memory on both sides, made once."""

    name: str
    host: np.ndarray
    address: int


class Runner(interface.Runner):
    """One engine, one stream, buffers of its one batch; a lock lets one thread at a time through."""

    def __init__(
        self, path: Path, half: Half, threads: int, *, api: Api | None = None, cuda: Cuda | None = None
    ) -> None:
        """``api``, ``cuda``: others than this device's, for tests."""
        self._cuda = cuda or Cuda()
        api = api or device_api()
        try:
            model = path.read_bytes()
        except OSError as error:
            raise BundleError(f"{path} cannot be read: {error.strerror}") from error
        engine = engines.load(engines.origin_of(model, self._cuda.device, api.title), path.name)
        trt = api.module
        self._logger = trt.Logger(trt.Logger.ERROR)
        self._runtime = trt.Runtime(self._logger)
        if half.compiled.get("dla"):
            self._runtime.DLA_core = 0
        self._engine = self._runtime.deserialize_cuda_engine(engine)
        if self._engine is None:
            raise DeviceError(f"{api.title} cannot load the engine of {path.name}", engines.HINT + " --rebuild")
        self._context: Any = self._engine.create_execution_context()
        self._lock = threading.Lock()
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        shapes = {name: tuple(self._engine.get_tensor_shape(name)) for name in names}
        listed = (*half.inputs, *half.outputs)
        wanted = {tensor.name: (half.batch, *tensor.shape) for tensor in listed}
        if shapes != wanted:
            raise BundleError(f"the tensors of the engine of {path.name} are {shapes}, and the manifest lists {wanted}")
        self._stream = self._cuda.stream()
        self._tensors: dict[str, _Tensor] = {}
        for name, shape in shapes.items():
            host = np.zeros(shape, np.dtype(trt.nptype(self._engine.get_tensor_dtype(name))))
            self._tensors[name] = _Tensor(name, host, self._cuda.allocate(host.nbytes))
            self._context.set_tensor_address(name, self._tensors[name].address)
        self._dtypes = {tensor.name: np.dtype(tensor.dtype) for tensor in listed}
        self._outputs = [tensor.name for tensor in half.outputs]

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        with self._lock:
            for name, value in inputs.items():
                tensor = self._tensors[name]
                if value.shape != tensor.host.shape:
                    raise DeviceError(f"the engine takes {name} of {tensor.host.shape}, not {value.shape}")
                np.copyto(tensor.host, value, casting="unsafe")  # the boundary's codes travel as whole floats
                self._cuda.to_device(tensor.address, tensor.host, self._stream)
            if not self._context.execute_async_v3(self._stream):
                raise DeviceError("TensorRT could not start the engine")
            for name in self._outputs:
                self._cuda.to_host(self._tensors[name].host, self._tensors[name].address, self._stream)
            self._cuda.wait(self._stream)
            return {name: self._tensors[name].host.astype(self._dtypes[name]) for name in self._outputs}

    def close(self) -> None:
        """Give the GPU's memory back; a second time does nothing."""
        tensors, self._tensors = self._tensors, {}
        for tensor in tensors.values():
            self._cuda.free(tensor.address)
        if tensors:
            self._cuda.end_stream(self._stream)
        self._context = None
        self._engine = None
