"""A half as the ONNX file that TensorRT's parser takes: static shapes, an old opset, its precision in the file."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType

from ecc_deploy.backends import onnx_quantize
from ecc_deploy.backends.interface import HalfSource, Job
from ecc_deploy.backends.onnx_graph import FLOAT_SUFFIX, OPSET, module_of, name_operators, to_onnx
from ecc_deploy.bundle.manifest import Boundary
from ecc_deploy.errors import CompileError

QUANTIZED = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Add")
"""What has int8 kernels; quantized at their inputs only, so that an activation behind them is fused with them."""
STYLE = onnx_quantize.Style(
    QuantType.QInt8,
    QUANTIZED,
    {"ActivationSymmetric": True, "QuantizeBias": False, "OpTypesToExcludeOutputQuantization": list(QUANTIZED)},
)
"""Symmetric, and biases left float: the parser refuses Q/DQ with zero points, and on biases."""
OLDEST_EXPORTED = 18
"""Of PyTorch's exporter; below, :func:`_lower_to_17` does the rest."""
REDUCTIONS = ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSumExp")
NEW_IN_18 = (
    "Mish",
    "GroupNormalization",
    "CenterCropPad",
    "Col2Im",
    "BitwiseAnd",
    "BitwiseOr",
    "BitwiseXor",
    "BitwiseNot",
)


def for_tensorrt(source: HalfSource, job: Job, *, opset: int, batch: int) -> onnx.ModelProto:
    """The graph of ``source``. Every operator is named after the module that made it: TensorRT names layers by that.

    An integer boundary crosses as whole numbers in float32, under its own name: engines of all versions take and give
    these. Raises :class:`CompileError`.
    """
    model = to_onnx(source, opset=min(max(opset, OLDEST_EXPORTED), OPSET))
    if job.precision == "int8":
        model = onnx_quantize.quantize(model, source, job, STYLE)
    if source.boundary is not None and source.boundary.scale is not None:
        (_give_codes if source.side == "edge" else _take_codes)(model, source.boundary)
    if job.precision == "fp16":
        model = _to_half(model)
    if opset < 18:
        _lower_to_17(model)
    _fix_batch(model, batch)
    name_operators(model)
    model.ir_version = min(model.ir_version, 8 if opset < 18 else 9)
    onnx.checker.check_model(model, full_check=True)
    return model


def _scale(boundary: Boundary) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(boundary.scale, np.float32), "boundary_scale")


def _value(boundary: Boundary) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(
        boundary.tensor.name, onnx.TensorProto.FLOAT, ["batch", *boundary.tensor.shape]
    )


def _give_codes(model: onnx.ModelProto, boundary: Boundary) -> None:
    """``clip(round(x / scale), 0, top)``, rounded to even, as the quantizer in training does."""
    name, graph = boundary.tensor.name, model.graph
    place = next(i for i, value in enumerate(graph.output) if value.name == name + FLOAT_SUFFIX)
    graph.output[place].CopyFrom(_value(boundary))
    ends = {"boundary_bottom": 0.0, "boundary_top": float(2**boundary.bits - 1)}
    graph.initializer.append(_scale(boundary))
    graph.initializer.extend(numpy_helper.from_array(np.asarray(end, np.float32), key) for key, end in ends.items())
    steps = (
        ("Div", [name + FLOAT_SUFFIX, "boundary_scale"], "boundary_ratio"),
        ("Round", ["boundary_ratio"], "boundary_rounded"),
        ("Clip", ["boundary_rounded", *ends], name),
    )
    graph.node.extend(helper.make_node(kind, inputs, [output], name=output) for kind, inputs, output in steps)


def _take_codes(model: onnx.ModelProto, boundary: Boundary) -> None:
    name, graph = boundary.tensor.name, model.graph
    place = next(i for i, value in enumerate(graph.input) if value.name == name + FLOAT_SUFFIX)
    graph.input[place].CopyFrom(_value(boundary))
    graph.initializer.append(_scale(boundary))
    scaled = helper.make_node("Mul", [name, "boundary_scale"], [name + FLOAT_SUFFIX], name="boundary_scaled")
    graph.node.insert(0, scaled)


def _to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights and activations in float16, inputs and outputs in float32; the boundary is rounded in float32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    kept = [node.name for node in model.graph.node if node.name.startswith("boundary_")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights that are too small for float16, which become zero
        half = OnnxModel(convert_float_to_float16(model, keep_io_types=True, node_block_list=kept))
    half.topological_sort(is_deterministic=True)  # the casts of inputs were put last
    found: onnx.ModelProto = half.model
    return found


def _lower_to_17(model: onnx.ModelProto) -> None:
    """From opset 18 to 17, in place: what TensorRT 8.5 and 8.6 take. onnx's own converter loses the modules' paths."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        given = {attribute.name: attribute for attribute in node.attribute}
        which = f"{node.op_type} of {module_of(node) or node.name}"
        if node.op_type in NEW_IN_18:
            raise CompileError(
                f"the operator {which} is newer than opset 17, the newest that TensorRT 8.5 and 8.6 take",
                "Write the module with older operators, or use a target of its own for a newer JetPack (opset = 20).",
            )
        if node.op_type in REDUCTIONS and len(node.input) > 1:
            if node.input[1] not in constants:
                raise CompileError(f"{which} reduces over axes that are computed, which opset 17 cannot")
            axes = [int(axis) for axis in numpy_helper.to_array(constants[node.input[1]]).ravel()]
            del node.input[1]
            node.attribute.append(helper.make_attribute("axes", axes))
            if "noop_with_empty_axes" in given:
                node.attribute.remove(given["noop_with_empty_axes"])
        if node.op_type == "Split" and "num_outputs" in given:
            node.attribute.remove(given["num_outputs"])
        if node.op_type == "Resize":
            if ("antialias" in given and given["antialias"].i) or "axes" in given:
                raise CompileError(f"{which} smooths, or names its axes, which opset 17 cannot")
            for name in ("antialias", "keep_aspect_ratio_policy"):
                if name in given:
                    node.attribute.remove(given[name])
    used = {name for node in model.graph.node for name in node.input}
    unused = [tensor for tensor in model.graph.initializer if tensor.name not in used]
    for tensor in unused:
        model.graph.initializer.remove(tensor)
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = 17


def _fix_batch(model: onnx.ModelProto, batch: int) -> None:
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].Clear()
        value.type.tensor_type.shape.dim[0].dim_value = batch
