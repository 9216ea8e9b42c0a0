from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.backends.runner_conformance import RunnerConformance


class TestOnnxRuntimeRunner(RunnerConformance):
    backend = "onnxruntime"
    file = "model.onnx"

    def write_model(self, path: Path) -> None:
        def tensor(name: str, kind: int) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, kind, ["batch", 2, 3])

        constants = {"two": np.float32(2), "scale": np.float32(1), "zero": np.uint8(0)}
        graph = helper.make_graph(
            [
                helper.make_node("Mul", ["x", "two"], ["doubled"]),
                helper.make_node("Add", ["doubled", "y"], ["total"]),
                helper.make_node("QuantizeLinear", ["total", "scale", "zero"], ["codes"]),
            ],
            "conformance",
            [tensor("x", TensorProto.FLOAT), tensor("y", TensorProto.FLOAT)],
            [tensor("total", TensorProto.FLOAT), tensor("codes", TensorProto.UINT8)],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        path.write_bytes(model.SerializeToString())
