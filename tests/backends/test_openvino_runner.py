from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from tests.backends.runner_conformance import RunnerConformance


class TestOpenVinoRunner(RunnerConformance):
    backend = "openvino"
    file = "model.xml"

    def write_model(self, path: Path) -> None:
        x, y = (ops.parameter([-1, 2, 3], np.float32, name=name) for name in ("x", "y"))
        total = ops.add(ops.multiply(x, ops.constant(np.float32(2))), y)
        codes = ops.convert(ops.clamp(ops.round(total, "half_to_even"), 0.0, 255.0), np.uint8)
        results = [ops.result(total), ops.result(codes)]
        for node, name in ((x, "x"), (y, "y"), (results[0], "total"), (results[1], "codes")):
            node.output(0).set_names({name})
        ov.save_model(ov.Model(results, [x, y], "conformance"), path, compress_to_fp16=False)
