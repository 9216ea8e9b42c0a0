"""What flows through an ONNX graph on calibration samples: every float tensor in it, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
import onnxruntime as ort

from ecc_deploy.backends.interface import Calibration
from ecc_deploy.quantization.ranges import Range, RangeMethod, find_ranges

_CHUNK = 16
"""Samples at a time: all that lies between input and output is kept for them."""


def tensor_ranges(
    model: onnx.ModelProto, names: Mapping[str, str], calibration: Calibration, how: RangeMethod
) -> dict[str, Range]:
    """The range of every float tensor of ``model`` that is not a constant, by name.

    ``model`` carries the inferred types of its tensors; ``names``: its input for each input of ``calibration``.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    entries = [value.name for value in model.graph.input]
    known = (*model.graph.value_info, *model.graph.output)
    floats = [v.name for v in known if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT]
    made = {name for node in model.graph.node for name in node.output}  # of what was fused away, types are still there
    inside = sorted({name for name in floats if name in made and name not in constants and name not in entries})
    open_model = onnx.ModelProto()
    open_model.CopyFrom(model)
    del open_model.graph.output[:]
    open_model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inside)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(open_model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def activations() -> Iterable[Mapping[str, np.ndarray]]:
        for batch in calibration:
            given = {names[name]: values for name, values in batch.items()}
            for start in range(0, len(next(iter(given.values()))), _CHUNK):
                part = {name: values[start : start + _CHUNK] for name, values in given.items()}
                yield part | dict(zip(inside, session.run(inside, part), strict=True))

    return find_ranges(activations, how)
