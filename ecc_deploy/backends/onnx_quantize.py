"""Static INT8 in ONNX graphs, as quantize and dequantize nodes (Q/DQ), for the runtimes that read them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import TensorsData, save_tensors_data
from onnxruntime.quantization.shape_inference import quant_pre_process

from ecc_deploy.backends.interface import HalfSource, Job
from ecc_deploy.backends.onnx_graph import FLOAT_SUFFIX, nodes_of, only_for
from ecc_deploy.backends.onnx_ranges import tensor_ranges
from ecc_deploy.backends.quiet import quiet
from ecc_deploy.bundle.manifest import CONFIDENCE
from ecc_deploy.quantization.products import has_outliers


@dataclass(frozen=True)
class Style:
    """Where the nodes stand and what their codes are: what one runtime's kernels take."""

    activations: QuantType
    operators: tuple[str, ...] | None
    """Operators whose inputs are quantized; ``None`` for all that have integer kernels."""
    options: dict[str, Any]


CPU = Style(QuantType.QUInt8, None, {"ActivationSymmetric": False, "OpTypesToExcludeOutputQuantization": ["Gemm"]})
"""Unsigned asymmetric activations, signed weights per channel: what the integer kernels of x86 and Arm take."""

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""All that is quantized in some networks: see :func:`~ecc_deploy.quantization.products.has_outliers`."""


def quantize(model: onnx.ModelProto, source: HalfSource, job: Job, style: Style) -> onnx.ModelProto:
    """``model``, the float graph of ``source``, with its activations and weights quantized.

    Answers (the outputs of a last Gemm) stay float: a gate compares them, and eight bits are coarse for that. So does
    all of a learned gate: it costs next to nothing, and in int8 its confidence moved by a seventh of its spread.
    """
    with tempfile.TemporaryDirectory() as work:
        plain, ready, done, ranges = (Path(work) / name for name in ("plain", "ready", "done", "ranges"))
        onnx.save(model, plain)
        quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
        prepared = onnx.load(ready)
        names = {value.name.removesuffix(FLOAT_SUFFIX): value.name for value in model.graph.input}
        found = tensor_ranges(prepared, names, job.calibration, job.ranges)
        limits = {name: tuple(np.float32(end) for end in ends) for name, ends in found.items()}
        # Handed over as a finished calibration, under the one name for "these very limits".
        save_tensors_data(TensorsData(CalibrationMethod.MinMax, limits), ranges)
        operators = PRODUCTS if has_outliers(source.module) else style.operators
        with quiet():  # it says of every weight without channels that it has none
            quantize_static(
                str(ready),
                str(done),
                calibration_cache_path=ranges,
                calibrate_method=CalibrationMethod.MinMax,
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=None if operators is None else list(operators),
                nodes_to_exclude=[*only_for(prepared, CONFIDENCE), *nodes_of(prepared, job.exclude)],
                per_channel=True,
                activation_type=style.activations,
                weight_type=QuantType.QInt8,
                extra_options={"WeightSymmetric": True, "TensorQuantOverrides": _fixed(source, style), **style.options},
            )
        return onnx.load(done)


def _fixed(source: HalfSource, style: Style) -> dict[str, list[dict[str, Any]]]:
    """The boundary's scale is the one that training learned."""
    boundary = source.boundary
    if boundary is None or boundary.scale is None:
        return {}
    kind = np.uint8 if style.activations == QuantType.QUInt8 else np.int8
    fixed = {
        "quant_type": style.activations,
        "scale": np.asarray(boundary.scale, np.float32),
        "zero_point": np.asarray(boundary.zero_point, kind),
    }
    return {boundary.tensor.name + FLOAT_SUFFIX: [fixed]}
