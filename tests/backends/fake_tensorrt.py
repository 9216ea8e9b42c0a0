"""TensorRT's Python API as far as the backend uses it, without a GPU: "engines" are ONNX files for ONNX Runtime.

:func:`tensorrt` makes a module with the surface of one version; what that version does not have is not there, so that
using it fails as it would on the device. Sources: NVIDIA's Python API documentation of 8.5, 10.x and 11, and the
migration guides from one to the next.
"""

from __future__ import annotations

import ctypes
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from ecc_deploy.backends.tensorrt.cuda import Cuda


class Flag(int):
    """A value of one of TensorRT's enumerations."""

    name: str

    def __new__(cls, value: int, name: str) -> Flag:
        flag = super().__new__(cls, value)
        flag.name = name
        return flag


def enumeration(*names: str) -> SimpleNamespace:
    return SimpleNamespace(**{name: Flag(i, name) for i, name in enumerate(names)})


def tensorrt(version: str, *, dla_cores: int = 0) -> Any:
    """The module of ``version``, as ``8.5.2``, ``10.3.0`` or ``11.4.1``."""
    major = int(version.split(".")[0])
    trt = SimpleNamespace(__version__=version, built=[])
    trt.NetworkDefinitionCreationFlag = enumeration("EXPLICIT_BATCH", *(["STRONGLY_TYPED"] if major >= 10 else []))
    flags = ["GPU_FALLBACK", "TF32"] + (["FP16", "INT8"] if major < 11 else [])
    trt.BuilderFlag = enumeration(*flags)
    trt.MemoryPoolType = enumeration("WORKSPACE", *(["TACTIC_DRAM"] if major >= 10 else []))
    trt.DeviceType = enumeration("GPU", "DLA")
    trt.DataType = enumeration("FLOAT", "HALF", "INT8", "UINT8")
    trt.nptype = lambda kind: {"FLOAT": np.float32, "HALF": np.float16}[kind.name]

    class ILogger:
        Severity = enumeration("INTERNAL_ERROR", "ERROR", "WARNING")

        def __init__(self) -> None:
            pass

    class Logger(ILogger):
        ERROR = ILogger.Severity.ERROR

        def __init__(self, _: object = None) -> None:
            ILogger.__init__(self)

    trt.ILogger, trt.Logger = ILogger, Logger

    class Network:
        def __init__(self, wanted: int) -> None:
            names = [n for n, f in vars(trt.NetworkDefinitionCreationFlag).items() if wanted >> int(f) & 1]
            self.flags, self.model = names, onnx.ModelProto()

        @property
        def num_layers(self) -> int:
            return len(self.model.graph.node)

        def get_layer(self, i: int) -> Any:
            return SimpleNamespace(name=self.model.graph.node[i].name, kind=self.model.graph.node[i].op_type)

    class Config:
        def __init__(self) -> None:
            self.flags: list[str] = []
            self.limits: dict[str, int] = {}
            self.cache: Any = None
            if version >= "8.6" or major >= 10:
                self.builder_optimization_level = 3

        def set_flag(self, flag: Flag) -> None:
            self.flags.append(flag.name)

        def set_memory_pool_limit(self, pool: Flag, size: int) -> None:
            self.limits[pool.name] = size

        def create_timing_cache(self, content: bytes) -> Any:
            return SimpleNamespace(serialize=lambda: content + b"+")

        def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
            self.cache = cache
            return not ignore_mismatch

        def get_timing_cache(self) -> Any:
            return self.cache

        def can_run_on_DLA(self, layer: Any) -> bool:  # noqa: N802  (TensorRT's name)
            return layer.kind in ("Conv", "Relu")

    class Builder:
        def __init__(self, logger: ILogger) -> None:
            self.logger = logger
            self.num_DLA_cores = dla_cores

        def create_network(self, wanted: int = 0) -> Network:
            if major < 10 and not wanted & 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH):
                raise AssertionError("an implicit batch: the ONNX parser does not take it")
            return Network(wanted)

        def create_builder_config(self) -> Config:
            return Config()

        def build_serialized_network(self, network: Network, config: Config) -> bytes | None:
            weak = {"FP16", "INT8"} & set(config.flags)
            typed = "STRONGLY_TYPED" in network.flags
            if typed and weak:
                self.logger.log(ILogger.Severity.ERROR, "flags are not compatible with a strongly typed network")
                return None
            quantized = any(node.op_type == "QuantizeLinear" for node in network.model.graph.node)
            if quantized and major < 11 and not typed and "INT8" not in config.flags:
                self.logger.log(ILogger.Severity.ERROR, "Q/DQ layers without the INT8 flag")
                return None
            trt.built.append(SimpleNamespace(network=network.flags, flags=config.flags, limits=config.limits))
            return json.dumps({"version": version}).encode() + b"\n" + network.model.SerializeToString()

    class OnnxParser:
        taken = frozenset(("Det", "NonZero"))

        def __init__(self, network: Network, logger: ILogger) -> None:
            self.network, self.errors = network, list[Any]()

        def parse(self, model: bytes) -> bool:
            self.network.model.ParseFromString(model)
            for node in self.network.model.graph.node:
                if node.op_type in self.taken:
                    error = SimpleNamespace(desc=lambda n=node: f"no importer for {n.op_type}, node {n.name}")
                    if major >= 10:
                        error.node_name = lambda n=node: n.name
                        error.node_operator = lambda n=node: n.op_type
                    self.errors.append(error)
            return not self.errors

        @property
        def num_errors(self) -> int:
            return len(self.errors)

        def get_error(self, i: int) -> Any:
            return self.errors[i]

    class Runtime:
        def __init__(self, logger: ILogger) -> None:
            self.DLA_core = -1

        def deserialize_cuda_engine(self, content: bytes) -> Any:
            head, _, model = content.partition(b"\n")
            return Engine(trt, model) if json.loads(head)["version"] == version else None

    trt.Builder, trt.OnnxParser, trt.Runtime = Builder, OnnxParser, Runtime
    return trt


class Engine:
    """Runs on addresses of host memory, which :class:`HostCuda` gives out."""

    def __init__(self, trt: Any, model: bytes) -> None:
        self.trt = trt
        self.session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
        self.tensors = [*self.session.get_inputs(), *self.session.get_outputs()]
        self.num_io_tensors = len(self.tensors)

    def get_tensor_name(self, i: int) -> str:
        return str(self.tensors[i].name)

    def get_tensor_shape(self, name: str) -> list[int]:
        return list(next(tensor.shape for tensor in self.tensors if tensor.name == name))

    def get_tensor_dtype(self, name: str) -> Flag:
        kind = next(tensor.type for tensor in self.tensors if tensor.name == name)
        found: Flag = {"tensor(float)": self.trt.DataType.FLOAT}[kind]
        return found

    def create_execution_context(self) -> Any:
        addresses: dict[str, int] = {}

        def view(name: str) -> np.ndarray:
            shape = self.get_tensor_shape(name)
            buffer = (ctypes.c_float * int(np.prod(shape))).from_address(addresses[name])
            return np.frombuffer(buffer, np.float32).reshape(shape)

        def execute(_: int) -> bool:
            given = {tensor.name: view(tensor.name) for tensor in self.session.get_inputs()}
            names = [tensor.name for tensor in self.session.get_outputs()]
            for name, value in zip(names, self.session.run(names, given), strict=True):
                view(name)[...] = value
            return True

        return SimpleNamespace(set_tensor_address=addresses.__setitem__, execute_async_v3=execute)


class HostCuda(Cuda):
    """A "GPU" whose memory is the host's; it knows what was allocated and not freed."""

    def __init__(self, device: str = "Orin (8.7)") -> None:
        self.name = device
        self.memory: dict[int, Any] = {}
        self.streams: set[int] = set()

    @property
    def device(self) -> str:
        return self.name

    def stream(self) -> int:
        self.streams.add(len(self.streams) + 1)
        return len(self.streams)

    def wait(self, stream: int) -> None:
        assert stream in self.streams

    def end_stream(self, stream: int) -> None:
        self.streams.remove(stream)

    def allocate(self, size: int) -> int:
        buffer = ctypes.create_string_buffer(max(1, size))
        self.memory[ctypes.addressof(buffer)] = buffer
        return ctypes.addressof(buffer)

    def free(self, address: int) -> None:
        del self.memory[address]

    def to_device(self, address: int, array: np.ndarray, stream: int) -> None:
        assert array.nbytes <= len(self.memory[address])
        ctypes.memmove(address, array.ctypes.data, array.nbytes)

    def to_host(self, array: np.ndarray, address: int, stream: int) -> None:
        ctypes.memmove(array.ctypes.data, address, array.nbytes)
