"""The ``config.pbtxt`` of a Triton model repository, as messages of Triton's own schema.

The names and meanings are those of Triton's model configuration (``model_config.proto``).
"""

from __future__ import annotations

from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from ecc_deploy import wire
from ecc_deploy.bundle import TensorInfo
from ecc_deploy.serving.half import ServedHalf

TYPES = {
    "uint8": model_config_pb2.TYPE_UINT8,
    "int8": model_config_pb2.TYPE_INT8,
    "float32": model_config_pb2.TYPE_FP32,
}
WARM_UP = "golden"
"""In the folder ``warmup`` of a model: the contents of its input for one request, before it counts as ready."""
MAX_QUEUE = 1024
"""Requests that wait for an engine; one more is refused at once."""


def text(config: Any) -> str:
    """The text of ``config.pbtxt``."""
    return text_format.MessageToString(config)


def ensemble(half: ServedHalf, decode: str, engine: str) -> Any:
    """What edges talk to, under the half's own name: decode, then run. ``dims`` include the batch."""
    tensor = half.half.inputs[0]
    config = model_config_pb2.ModelConfig(name=half.key, platform="ensemble")
    config.input.add(name=wire.PAYLOAD, data_type=model_config_pb2.TYPE_STRING, dims=[-1])
    config.output.add(name=wire.LOGITS, data_type=model_config_pb2.TYPE_FP32, dims=[-1, half.classes])
    steps = config.ensemble_scheduling.step
    first = steps.add(model_name=decode, model_version=-1)
    first.input_map[wire.PAYLOAD] = wire.PAYLOAD
    first.output_map[tensor.name] = "decoded"
    second = steps.add(model_name=engine, model_version=-1)
    second.input_map[tensor.name] = "decoded"
    second.output_map[wire.LOGITS] = wire.LOGITS
    _say(config, half.facts)
    return config


def decoder(half: ServedHalf, name: str, *, instances: int, warm_up: bool) -> Any:
    """The payload's decoding, a Python model: one process an instance; ``warm_up`` with the file :data:`WARM_UP`."""
    tensor = half.half.inputs[0]
    config = model_config_pb2.ModelConfig(name=name, backend="python")
    config.input.add(name=wire.PAYLOAD, data_type=model_config_pb2.TYPE_STRING, dims=[-1])
    config.output.add(name=tensor.name, data_type=TYPES[tensor.dtype], dims=[-1, *tensor.shape])
    config.instance_group.add(kind=model_config_pb2.ModelInstanceGroup.KIND_CPU, count=instances)
    if warm_up:
        entry = config.model_warmup.add(name="golden").inputs[wire.PAYLOAD]
        entry.data_type = model_config_pb2.TYPE_STRING
        entry.dims.append(1)
        entry.input_data_file = WARM_UP
    return config


def engine(half: ServedHalf, name: str, *, threads: int, in_python: bool) -> Any:
    """The cloud half itself. A dynamic batch is gathered from requests that wait; a fixed one is taken as it is."""
    facts = half.half
    config = model_config_pb2.ModelConfig(name=name, backend="python" if in_python else "onnxruntime")
    batched = facts.batch == "dynamic"
    front = [] if batched else [facts.batch]
    if batched:
        config.max_batch_size = half.max_batch
        queue = config.dynamic_batching.default_queue_policy
        queue.max_queue_size = MAX_QUEUE
    _tensors(config, facts.inputs[0], half.classes, front)
    providers = facts.compiled.get("providers")
    on_gpu = facts.backend == "tensorrt" or (isinstance(providers, tuple) and providers[0] != "CPUExecutionProvider")
    group = model_config_pb2.ModelInstanceGroup
    config.instance_group.add(kind=group.KIND_GPU if on_gpu and not in_python else group.KIND_CPU, count=1)
    _warm_up(config, facts.inputs[0], front)
    if in_python:
        return config
    if facts.backend == "tensorrt":
        config.optimization.execution_accelerators.gpu_execution_accelerator.add(name="tensorrt")
    _say(config, {"intra_op_thread_count": str(threads), "inter_op_thread_count": "1"})
    return config


def _tensors(config: Any, tensor: TensorInfo, classes: int, front: list[Any]) -> None:
    config.input.add(name=tensor.name, data_type=TYPES[tensor.dtype], dims=[*front, *tensor.shape])
    config.output.add(name=wire.LOGITS, data_type=model_config_pb2.TYPE_FP32, dims=[*front, classes])


def _warm_up(config: Any, tensor: TensorInfo, front: list[Any]) -> None:
    """One sample of zeros before the model counts as ready, so that no client pays for first times."""
    warm_up = config.model_warmup.add(name="zeros", batch_size=0 if front else 1)
    entry = warm_up.inputs[tensor.name]
    entry.data_type = TYPES[tensor.dtype]
    entry.dims.extend([*front, *tensor.shape])
    entry.zero_data = True


def _say(config: Any, facts: dict[str, str]) -> None:
    for name, value in facts.items():
        config.parameters[name].string_value = value
