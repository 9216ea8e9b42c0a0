"""What the modules of a half give inside an ONNX file, by ONNX Runtime. Shared by backends whose files are ONNX."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from ecc_deploy.backends.interface import HalfSource
from ecc_deploy.backends.layers import Arrays, Shown, in_batches
from ecc_deploy.backends.onnx_graph import OUTPUT_SUFFIX
from ecc_deploy.bundle.manifest import Half


def show_layers(path: Path, half: Half, source: HalfSource, batches: Iterable[Arrays]) -> Iterator[Shown]:
    """See :class:`~ecc_deploy.backends.layers.Layers`. As the file says, without ONNX Runtime's own fusions."""
    model = onnx.load(path)
    tensors = _visible(model)
    inside = list(tensors.values())
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inside)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    floats = {entry.name for entry in session.get_inputs() if entry.type == "tensor(float)"}

    def run(arrays: Arrays) -> Shown:
        # In TensorRT's files codes are whole floats.
        given = {name: values.astype(np.float32) if name in floats else values for name, values in arrays.items()}
        found = session.run([*inside, *(tensor.name for tensor in half.outputs)], given)
        ends = zip(half.outputs, found[len(inside) :], strict=True)
        return Shown(
            dict(zip(tensors, found[: len(inside)], strict=True)),
            {tensor.name: values.astype(tensor.dtype) for tensor, values in ends},
        )

    for batch in batches:
        yield in_batches(half, batch, run)


def _visible(model: onnx.ModelProto) -> dict[str, str]:
    """The tensor to look at, by the path of the module that gave it."""
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            readers[name].append(node)
    found = {}
    for name in [name for node in model.graph.node for name in node.output if name.endswith(OUTPUT_SUFFIX)]:
        quantizers = [node for node in readers[name] if node.op_type == "QuantizeLinear"]
        seen = name
        if quantizers and len(quantizers) == len(readers[name]):
            # An activation may have become the clipping of its quantizer: before that, its output is not there.
            values = {reader.output[0] for node in quantizers for reader in readers[node.output[0]]}
            if len(values) != 1:
                continue
            seen = values.pop()
        found[name.removesuffix(OUTPUT_SUFFIX)] = seen
    return found
