"""Makes ONNX files for ONNX Runtime on CPUs: float32, or static INT8 in Q/DQ form."""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from ecc_deploy.backends.interface import Calibration, HalfSource
from ecc_deploy.backends.onnx_graph import FLOAT_SUFFIX, only_for, send_codes, take_codes, to_onnx
from ecc_deploy.bundle.manifest import CONFIDENCE, Half, Precision
from ecc_deploy.errors import UsageError

METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}


def versions() -> dict[str, str]:
    """Versions of what compiles, by package."""
    return {name: version(name) for name in ("torch", "onnx", "onnxscript", "onnxruntime")}


def compile_half(
    source: HalfSource, folder: Path, *, precision: Precision, calibration: Calibration, method: str
) -> Half:
    """See :class:`~ecc_deploy.backends.interface.Compiler`."""
    if precision not in ("fp32", "int8"):
        raise UsageError(f"ONNX Runtime on CPUs runs fp32 and int8, not {precision}")
    model = to_onnx(source)
    if precision == "int8":
        model = _quantize(model, source, calibration, method)
    boundary = source.boundary
    if boundary is not None and boundary.tensor.dtype != "float32":
        (send_codes if source.side == "edge" else take_codes)(model, boundary)
    onnx.checker.check_model(model, full_check=True)
    file = f"{source.side}/{source.key}.onnx"
    (folder / source.side).mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(model.SerializeToString(deterministic=True))
    return Half(
        side=source.side,
        backend="onnxruntime",
        precision=precision,
        file=file,
        inputs=source.inputs,
        outputs=source.outputs,
        batch="dynamic",
        macs=source.macs,
    )


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # the package has no types
    """Hands ONNX Runtime's calibrator one batch after the other."""

    def __init__(self, calibration: Calibration, names: dict[str, str]) -> None:
        self._batches = iter(calibration)
        self._names = names

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {self._names[name]: value for name, value in batch.items()}


def _quantize(model: onnx.ModelProto, source: HalfSource, calibration: Calibration, method: str) -> onnx.ModelProto:
    """Static INT8: unsigned asymmetric activations, signed weights per channel, which is what x86 and Arm kernels take.

    Answers (the outputs of a last Gemm) stay float: a gate compares them, and eight bits are coarse for that. So does
    all of a learned gate: it costs next to nothing, and in int8 its confidence moved by a seventh of its spread.
    """
    if method not in METHODS:
        raise UsageError(f"ONNX Runtime has no calibration method {method!r}", f"It has: {', '.join(METHODS)}.")
    overrides = {}
    boundary = source.boundary
    if boundary is not None and boundary.scale is not None:
        overrides[boundary.tensor.name + FLOAT_SUFFIX] = [
            {
                "quant_type": QuantType.QUInt8,
                "scale": np.asarray(boundary.scale, np.float32),
                "zero_point": np.asarray(boundary.zero_point, np.uint8),
            }
        ]
    float_names = {value.name.removesuffix(FLOAT_SUFFIX): value.name for value in model.graph.input}
    with tempfile.TemporaryDirectory() as work:
        plain, ready, done = (Path(work) / name for name in ("plain.onnx", "ready.onnx", "done.onnx"))
        onnx.save(model, plain)
        quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
        quantize_static(
            str(ready),
            str(done),
            _Reader(calibration, float_names),
            quant_format=QuantFormat.QDQ,
            nodes_to_exclude=only_for(onnx.load(ready), CONFIDENCE),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=METHODS[method],
            calibration_providers=["CPUExecutionProvider"],
            extra_options={
                "ActivationSymmetric": False,
                "WeightSymmetric": True,
                "OpTypesToExcludeOutputQuantization": ["Gemm"],
                "TensorQuantOverrides": overrides,
            },
        )
        return onnx.load(done)
