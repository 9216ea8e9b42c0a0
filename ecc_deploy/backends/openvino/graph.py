"""OpenVINO's form of a half: read from ONNX, its boundary as codes, its names without a process's counters."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np
import onnx
import openvino as ov
from openvino import opset13 as ops
from openvino._offline_transformations import apply_moc_transformations
from openvino.frontend import GeneralFailure, NotImplementedFailure, OpConversionFailure, OpValidationFailure

from ecc_deploy.backends.onnx_graph import FLOAT_SUFFIX, module_of
from ecc_deploy.backends.quiet import quiet
from ecc_deploy.bundle.manifest import Boundary
from ecc_deploy.errors import CompileError

FRONTEND_FAILURES = (RuntimeError, GeneralFailure, OpConversionFailure, OpValidationFailure, NotImplementedFailure)


def read_graph(graph: onnx.ModelProto, title: str) -> ov.Model:
    """What ``openvino.convert_model`` does, without the process that it starts to report its use over the network."""
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "half.onnx"
        onnx.save(graph, path)
        try:
            with quiet():
                model = ov.Core().read_model(path)
                apply_moc_transformations(model, cf=False, smart_reshape=True)
        except FRONTEND_FAILURES as error:
            raise CompileError(
                f"OpenVINO does not take these of {title}:\n{_failed(graph, str(error))}",
                "Write these modules with other operators, or compile this half for another target.",
            ) from error
    return model


def _failed(graph: onnx.ModelProto, said: str) -> str:
    """What its reader refused, with the modules that hold such operators: it names kinds of operators only."""
    found = re.findall(r"^-- (\w+)-\d+ with a message:\n(.*?)(?=\n-- |\n\nSummary|\Z)", said, re.DOTALL | re.MULTILINE)
    lines = []
    for kind, message in found:
        owners = sorted({module_of(node) or "the half itself" for node in graph.graph.node if node.op_type == kind})
        reason = [line for line in message.splitlines() if line.strip()][-1:]
        lines.append(f"  {kind}, of {', '.join(owners)}: {' '.join(reason)}")
    return "\n".join(lines) or said


def made_of(model: ov.Model, graph: onnx.ModelProto, nodes: set[str]) -> list[str]:
    """Names of the operations that OpenVINO's reader made of ``nodes`` of ``graph``.

    It makes several of one: a convolution with bias ``x`` becomes ``x/WithoutBiases`` and an addition ``x``. What gives
    an output of the graph has the output's name.
    """
    names = {name for node in graph.graph.node if node.name in nodes for name in (node.name, *node.output)}
    found = [op.get_friendly_name() for op in model.get_ordered_ops()]
    return [name for name in found if any(name == own or name.startswith(own + "/") for own in names)]


def number_anew(model: ov.Model) -> None:
    """Give operations names without the numbers that OpenVINO counts through the life of a process.

    Else a half that is compiled again would be another file.
    """
    for place, operation in enumerate(model.get_ordered_ops()):
        if re.fullmatch(r"[A-Z][A-Za-z]*_\d+", operation.get_friendly_name()):
            operation.set_friendly_name(f"{operation.get_type_name()}_{place}")


def with_codes(model: ov.Model, side: str, boundary: Boundary) -> ov.Model:
    """The same model with the boundary as its codes."""
    name = boundary.tensor.name
    scale = ops.constant(np.float32(boundary.scale), name="boundary_scale")
    if side == "cloud":
        old = next(p for p in model.get_parameters() if name + FLOAT_SUFFIX in p.output(0).names)
        entry = ops.parameter(old.get_partial_shape(), np.uint8, name=name)
        entry.output(0).set_names({name})
        value = ops.multiply(ops.convert(entry, np.float32, name="boundary_value"), scale, name="boundary_scaled")
        old.output(0).replace(value.output(0))
        parameters = [entry if p is old else p for p in model.get_parameters()]
        return ov.Model(model.get_results(), parameters, model.get_friendly_name())
    results = []
    for result in model.get_results():
        value = result.input_value(0)
        if name + FLOAT_SUFFIX in value.names:
            ratio = ops.divide(value, scale, name="boundary_ratio")
            rounded = ops.round(ratio, "half_to_even", name="boundary_rounded")
            codes = ops.clamp(rounded, 0.0, float(2**boundary.bits - 1), name="boundary_clipped")
            result = ops.result(ops.convert(codes, np.uint8, name="boundary_codes"), name=name + "/sink")
            result.output(0).set_names({name})
        results.append(result)
    return ov.Model(results, model.get_parameters(), model.get_friendly_name())
